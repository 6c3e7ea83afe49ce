"""Pixels as tokens: matrix products over channels last, self-attention."""

from tests.graph.blocks.builder import Builder, Map, block
from tests.graph.blocks.styles import linear


@block()
def channels_last(b: Builder, x: Map) -> Map:
    """MatMul over NHWC, with a bias, as TensorFlow writes a pointwise convolution."""
    out = b.integer(4, 12)
    last = b.transpose(x.name, 0, 2, 3, 1)
    made = b.op("Add", b.op("MatMul", last, b.weight(x.channels, out)), b.weight(out))
    return Map(b.transpose(made, 0, 3, 1, 2), out, x.height, x.width)


@block()
def tokens_linear(b: Builder, x: Map) -> Map:
    """Gemm over [H*W, C]."""
    out, places = b.integer(4, 12), x.height * x.width
    tokens = b.reshape(b.transpose(x.name, 0, 2, 3, 1), places, x.channels)
    made = b.reshape(linear(b, tokens, x.channels, out), 1, x.height, x.width, out)
    return Map(b.transpose(made, 0, 3, 1, 2), out, x.height, x.width)


@block()
def self_attention(b: Builder, x: Map) -> Map:
    """SAGAN: 1x1 convolutions to queries, keys and values over [C, H*W]."""
    inner, places = b.integer(1, 4), x.height * x.width
    query, key = (
        b.reshape(b.convolution(x, out=inner, kernel=1).name, 1, inner, -1) for _ in range(2)
    )
    value = b.reshape(b.convolution(x, out=x.channels, kernel=1).name, 1, x.channels, places)
    scores = b.op("MatMul", b.transpose(query, 0, 2, 1), key)
    focus = b.op("Softmax", scores, axis=2)
    mixed = b.op("MatMul", value, b.transpose(focus, 0, 2, 1))
    scaled = b.op("Mul", b.reshape(mixed, *x.shape), b.weight(1, mean=1.0))
    return x.now(b.op("Add", scaled, x.name))


@block()
def multi_head_attention(b: Builder, x: Map) -> Map:
    """A transformer's: heads are parts of the channels."""
    heads, depth, places = b.choose([1, 2]), b.integer(1, 4), x.height * x.width
    tokens = b.reshape(b.transpose(x.name, 0, 2, 3, 1), 1, places, x.channels)

    def project(*perm: int) -> str:
        made = b.op("MatMul", tokens, b.weight(x.channels, heads * depth))
        return b.transpose(b.reshape(made, 1, places, heads, depth), *perm)

    scores = b.op("MatMul", project(0, 2, 1, 3), project(0, 2, 3, 1))
    focus = b.op("Softmax", b.op("Mul", scores, b.constant(0.5, "f4")), axis=3)
    mixed = b.transpose(b.op("MatMul", focus, project(0, 2, 1, 3)), 0, 2, 1, 3)
    joined = b.reshape(mixed, 1, places, heads * depth)
    out = b.op("MatMul", joined, b.weight(heads * depth, x.channels))
    back = b.reshape(b.transpose(out, 0, 2, 1), *x.shape)
    return x.now(b.op("Add", x.name, back))


@block()
def channel_attention(b: Builder, x: Map) -> Map:
    """Attention between channels: those kept share one softmax."""
    x = b.convolution(x)
    rows = b.reshape(x.name, 1, x.channels, -1)
    scores = b.op("MatMul", rows, b.transpose(rows, 0, 2, 1))
    mixed = b.op("MatMul", b.op("Softmax", scores, axis=2), rows)
    return x.now(b.reshape(mixed, *x.shape))


@block()
def heads_between_channels(b: Builder, x: Map) -> Map:
    """Restormer's: queries and keys of length one, heads, a temperature each."""
    heads, places = b.choose([1, 2]), x.height * x.width
    out = heads * b.integer(1, 4)

    def project() -> str:
        return b.reshape(b.convolution(x, out=out, kernel=1).name, 1, heads, out // heads, places)

    def unit(value: str) -> str:
        return b.op("LpNormalization", value, axis=3)

    scores = b.op("MatMul", unit(project()), b.transpose(unit(project()), 0, 1, 3, 2))
    scores = b.op("Mul", scores, b.weight(heads, 1, 1, mean=1.0))
    focus = b.op("Softmax", scores, axis=3) if b.flip() else b.op("Relu", scores)
    if b.flip():
        focus = b.op("Add", focus, b.weight(1, heads, out // heads, out // heads))
    mixed = b.op("MatMul", focus, project())
    return Map(b.reshape(mixed, 1, out, x.height, x.width), out, x.height, x.width)


@block()
def linear_attention(b: Builder, x: Map) -> Map:
    """Keys times values first, then queries: no map over places."""
    heads, places = b.choose([1, 2]), x.height * x.width
    inner, out = heads * b.integer(1, 4), heads * b.integer(1, 4)

    def project(size: int) -> str:
        return b.reshape(b.convolution(x, out=size, kernel=1).name, 1, heads, size // heads, places)

    pairs = b.op("MatMul", project(out), b.transpose(project(inner), 0, 1, 3, 2))
    pairs = b.op("Mul", pairs, b.constant(1 / places, "f4"))
    mixed = b.op("MatMul", pairs, project(inner))
    return Map(b.reshape(mixed, 1, out, x.height, x.width), out, x.height, x.width)


@block(since=13)
def softmax_over_channels(b: Builder, x: Map) -> Map:
    """Gates that add up to one."""
    x = b.convolution(x)
    kind = b.choose(["Softmax", "LogSoftmax"])
    gates = b.op(kind, x.name, axis=1)
    return x.now(b.op("Mul", x.name, gates))


@block(since=12)
def three_factors(b: Builder, x: Map) -> Map:
    """Einsum of pixels with two factors of low-rank weights, or with itself."""
    if b.flip():
        gate = b.weight(x.channels)
        return x.now(b.op("Einsum", x.name, x.name, gate, equation="bchw,bchw,c->bchw"))
    rank, out = b.integer(1, 4), b.integer(4, 8)
    factors = b.weight(x.channels, rank), b.weight(rank, out)
    made = b.op("Einsum", x.name, *factors, equation="bchw,cr,ro->bohw")
    return Map(made, out, x.height, x.width)


@block()
def row_product(b: Builder, x: Map) -> Map:
    """Rows times columns within each channel."""
    if x.height != x.width:
        return b.convolution(x)
    return x.now(b.op("Tanh", b.op("MatMul", x.name, b.like(x).name)))
