"""Gates and conditions: what scales a map from elsewhere."""

from tests.graph.blocks.builder import Builder, Map, block


@block()
def squeeze_excite(b: Builder, x: Map) -> Map:
    pooled = Map(b.op("GlobalAveragePool", x.name), x.channels, 1, 1)
    hidden = b.convolution(pooled, kernel=1)
    hidden = hidden.now(b.op("Relu", hidden.name))
    gate = b.op("Sigmoid", b.convolution(hidden, out=x.channels, kernel=1).name)
    return x.now(b.op("Mul", x.name, gate))


@block()
def squeeze_excite_linear(b: Builder, x: Map) -> Map:
    """With matrices: the pooled map flattened, the gate reshaped back."""
    flat = b.op("Flatten", b.op("GlobalAveragePool", x.name), axis=1)
    hidden = b.integer(4, 8)
    middle = b.op("Relu", b.op("MatMul", flat, b.weight(x.channels, hidden)))
    gate = b.op("Sigmoid", linear(b, middle, hidden, x.channels))
    return x.now(b.op("Mul", x.name, b.reshape(gate, 1, -1, 1, 1)))


@block()
def spatial_gate(b: Builder, x: Map) -> Map:
    """Mean and maximum over the channels decide where to look."""
    x = b.convolution(x)
    axes = [b.constant([1])] if b.opset >= 18 else []
    more = {} if b.opset >= 18 else {"axes": [1]}
    largest = b.op("ReduceMax", x.name, *axes, keepdims=1, **more)
    both = b.op("Concat", b.mean(x.name, 1), largest, axis=1)
    gate = b.op("Sigmoid", b.convolution(Map(both, 2, x.height, x.width), out=1).name)
    return x.now(b.op("Mul", x.name, gate))


@block()
def adaptive_norm(b: Builder, x: Map) -> Map:
    """AdaIN: a style code sets scale and shift of every channel."""
    hidden = b.integer(4, 8)
    style = b.op("Relu", linear(b, b.input("style", 1, 6), 6, hidden))
    c = x.channels
    if b.flip():
        halves = b.split(linear(b, style, hidden, 2 * c), 1, [c, c], stated=b.flip())
    else:
        halves = [linear(b, style, hidden, c) for _ in range(2)]
    scale, shift = (
        b.unsqueeze(half, 2, 3) if b.flip() else b.reshape(half, 1, c, 1, 1) for half in halves
    )
    ones, zeros = b.constant([1.0] * c, "f4"), b.constant([0.0] * c, "f4")
    normed = b.op("InstanceNormalization", x.name, ones, zeros, epsilon=1e-3)
    return x.now(b.op("Add", b.op("Mul", normed, scale), shift))


@block()
def spatial_norm(b: Builder, x: Map) -> Map:
    """SPADE: a label map sets scale and shift of every pixel."""
    labels = Map(b.input("labels", 1, 2, x.height, x.width), 2, x.height, x.width)
    hidden = b.convolution(labels)
    hidden = hidden.now(b.op("Relu", hidden.name))
    scale, shift = (b.convolution(hidden, out=x.channels).name for _ in range(2))
    scale = b.op("Add", scale, b.constant(1.0, "f4"))
    return x.now(b.op("Add", b.op("Mul", x.name, scale), shift))


@block()
def noise(b: Builder, x: Map) -> Map:
    """A noise input, weighted channel by channel."""
    source = b.input("noise", 1, 1, x.height, x.width)
    return x.now(b.op("Add", x.name, b.op("Mul", source, b.weight(x.channels, 1, 1, size=0.2))))


@block()
def modulated_convolution(b: Builder, x: Map) -> Map:
    """StyleGAN2: the style scales the weights of a convolution, which are then computed."""
    x = b.convolution(x)
    out = b.integer(4, 8)
    scale = linear(b, b.input("style", 1, 6), 6, x.channels)
    weight = b.weight(out, x.channels, 3, 3)
    made = b.op("Mul", weight, b.reshape(scale, 1, x.channels, 1, 1))
    name = b.op("Conv", x.name, made, pads=[1, 1, 1, 1])
    return Map(name, out, x.height, x.width)


def linear(b: Builder, value: str, wide: int, out: int) -> str:
    """Fully connected layer over [1, wide]."""
    if b.flip():
        return b.op("Gemm", value, b.weight(out, wide), b.weight(out), transB=1)
    return b.op("Gemm", value, b.weight(wide, out), b.weight(out))
