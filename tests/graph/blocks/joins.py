"""Maps joined, taken apart, and met by constants and unknown operators."""

from tests.graph.blocks.builder import Builder, Map, block
from tests.graph.blocks.norms import norm


@block()
def residual(b: Builder, x: Map) -> Map:
    inner = norm(b, b.convolution(x))
    inner = inner.now(b.op("Relu", inner.name))
    branch = norm(b, b.convolution(inner, out=x.channels))
    return x.now(b.op("Add", x.name, branch.name))


@block()
def join(b: Builder, x: Map) -> Map:
    kind = b.choose(["Add", "Sub", "Mul", "Max", "Min", "Sum", "Mean"])
    return x.now(b.op(kind, b.like(x).name, x.name))


@block()
def join_broadcast(b: Builder, x: Map) -> Map:
    """A map of one channel meets all channels."""
    mask = b.op("Sigmoid", b.convolution(x, out=1).name)
    return x.now(b.op(b.choose(["Add", "Mul"]), x.name, mask))


@block()
def join_where(b: Builder, x: Map) -> Map:
    other = b.like(x).name
    zero = b.constant(0.0, "f4")
    return x.now(b.op("Where", b.op("Greater", other, zero), x.name, other))


@block()
def concat(b: Builder, x: Map) -> Map:
    """A skip, dense connection, or the same map twice."""
    x = b.few(x)
    fitting = [m for m in b.maps if m.shape[2:] == x.shape[2:] and m.channels <= 12]
    parts = [x, b.choose([x, *fitting]) if b.flip() else b.convolution(x)]
    if b.flip():
        parts.reverse()
    axis = b.choose([1, -3] if b.opset >= 11 else [1])
    name = b.op("Concat", *(part.name for part in parts), axis=axis)
    return Map(name, sum(part.channels for part in parts), x.height, x.width)


@block()
def concat_rows(b: Builder, x: Map) -> Map:
    """Concat over a spatial axis."""
    if x.height > 8:
        return b.convolution(x)
    name = b.op("Concat", x.name, b.like(x).name, axis=2)
    return Map(name, x.channels, 2 * x.height, x.width)


@block()
def concat_constant(b: Builder, x: Map) -> Map:
    """Coordinates as channels."""
    x = b.few(x)
    name = b.op("Concat", x.name, b.weight(1, 2, x.height, x.width), axis=1)
    return Map(name, x.channels + 2, x.height, x.width)


@block()
def split_concat(b: Builder, x: Map) -> Map:
    """Part of the channels pass, the others are worked on."""
    x = b.few(x) if x.channels > 1 else b.convolution(x)
    first = b.integer(1, x.channels - 1)
    sizes = [first, x.channels - first]
    names = b.split(x.name, 1, sizes)
    parts = [Map(n, c, x.height, x.width) for n, c in zip(names, sizes, strict=True)]
    if b.flip():
        parts[0] = b.convolution(parts[0])
    if b.flip():
        parts.reverse()
    name = b.op("Concat", *(part.name for part in parts), axis=1)
    return Map(name, sum(part.channels for part in parts), x.height, x.width)


@block()
def gated_unit(b: Builder, x: Map) -> Map:
    """Half of the channels gate the other half."""
    x = b.divisible(x, 2)
    half = x.channels // 2
    value, gate = b.split(x.name, 1, [half, half], stated=b.flip())
    return Map(b.op("Mul", value, b.op("Sigmoid", gate)), half, x.height, x.width)


@block()
def slice_channels(b: Builder, x: Map) -> Map:
    start = b.integer(0, x.channels - 1)
    end = b.integer(start + 1, x.channels)
    low = start - x.channels if b.flip() else start
    high = 2**31 - 1 if end == x.channels else end
    return Map(b.slice(x.name, low, high, 1), end - start, x.height, x.width)


@block()
def gather_channels(b: Builder, x: Map) -> Map:
    count = b.integer(1, 8)
    indices = [b.integer(-x.channels, x.channels - 1) for _ in range(count)]
    return Map(b.op("Gather", x.name, b.constant(indices), axis=1), count, x.height, x.width)


@block()
def channel_constant(b: Builder, x: Map) -> Map:
    """A bias, a scale, a noise map, a positional map or a plain number."""
    c, h, w = x.shape[1:]
    shape = b.choose([(c, 1, 1), (1, c, 1, 1), (1, c, h, w), (h, w), (1,)])
    operands = [x.name, b.weight(*shape, mean=1.0, size=0.3)]
    if b.flip():
        operands.reverse()
    return x.now(b.op(b.choose(["Add", "Mul", "Sub", "Max"]), *operands))


@block(since=14)
def unknown_operator(b: Builder, x: Map) -> Map:
    x = b.convolution(x)
    return x.now(b.op("Trilu", x.name))


@block()
def compares_channels(b: Builder, x: Map) -> Map:
    x = b.convolution(x)
    return x.now(b.op("Softmax", x.name, axis=1))
