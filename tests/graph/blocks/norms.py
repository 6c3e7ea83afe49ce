"""Normalisations, as operators and spelled out; activations."""

from tests.graph.blocks.builder import Builder, Map, block


@block()
def batch_norm(b: Builder, x: Map) -> Map:
    c = x.channels
    parts = [b.weight(c, mean=1.0, size=0.2), b.weight(c), b.weight(c)]
    return x.now(b.op("BatchNormalization", x.name, *parts, b.weight(c, mean=2.0, size=0.1)))


@block()
def instance_norm(b: Builder, x: Map) -> Map:
    return x.now(b.op("InstanceNormalization", x.name, *_affine(b, x.channels), epsilon=1e-3))


@block()
def instance_norm_spelled(b: Builder, x: Map) -> Map:
    """As old exporters write it: [1, C, H*W], mean, variance, and back."""
    rows = b.reshape(x.name, 1, x.channels, x.height * x.width)
    centred = b.op("Sub", rows, b.mean(rows, -1))
    variance = b.mean(b.op("Mul", centred, centred), -1)
    spread = b.op("Sqrt", b.op("Add", variance, b.constant(1e-3, "f4")))
    back = b.reshape(b.op("Div", centred, spread), *x.shape)
    scale, shift = _affine(b, x.channels, 1, 1)
    return x.now(b.op("Add", b.op("Mul", back, scale), shift))


@block()
def group_norm_spelled(b: Builder, x: Map) -> Map:
    """As PyTorch exports it: InstanceNormalization over [1, groups, -1], and back."""
    x = b.convolution(x, out=2 * b.integer(1, 4))
    groups = b.choose([1, 2, x.channels])
    rows = b.reshape(x.name, b.choose([0, 1]), groups, -1)
    ones, zeros = b.constant([1.0] * groups, "f4"), b.constant([0.0] * groups, "f4")
    back = b.reshape(b.op("InstanceNormalization", rows, ones, zeros, epsilon=1e-3), *x.shape)
    scale, shift = _affine(b, x.channels, 1, 1)
    return x.now(b.op("Add", b.op("Mul", back, scale), shift))


@block()
def group_norm_by_means(b: Builder, x: Map) -> Map:
    """Mean and variance of each group spelled out over [1, groups, -1]."""
    x = b.convolution(x, out=2 * b.integer(1, 4))
    groups = b.choose([1, 2, x.channels])
    rows = b.reshape(x.name, 1, groups, -1)
    back = b.reshape(_standardised(b, rows, -1), *x.shape)
    scale, shift = _affine(b, x.channels, 1, 1)
    return x.now(b.op("Add", b.op("Mul", back, scale), shift))


@block()
def layer_norm_spelled(b: Builder, x: Map) -> Map:
    """Over the channels of every place, in NCHW, as ConvNeXt and NAFNet write it."""
    x = b.convolution(x)
    normed = _standardised(b, x.name, 1)
    scale, shift = _affine(b, x.channels, 1, 1)
    return x.now(b.op("Add", b.op("Mul", normed, scale), shift))


def _standardised(b: Builder, value: str, axis: int) -> str:
    centred = b.op("Sub", value, b.mean(value, axis))
    variance = b.mean(b.op("Pow", centred, b.constant(2.0, "f4")), axis)
    return b.op("Div", centred, b.op("Sqrt", b.op("Add", variance, b.constant(1e-2, "f4"))))


@block(since=21)  # ONNX withdrew the operator of opset 18
def group_norm(b: Builder, x: Map) -> Map:
    x = b.convolution(x, out=2 * b.integer(1, 4))
    groups = b.choose([1, 2, x.channels])
    affine = _affine(b, x.channels)
    return x.now(b.op("GroupNormalization", x.name, *affine, num_groups=groups, epsilon=1e-3))


@block(since=17)
def layer_norm(b: Builder, x: Map) -> Map:
    """Over the channels, in NHWC."""
    x = b.convolution(x)
    last = b.transpose(x.name, 0, 2, 3, 1)
    normed = b.op("LayerNormalization", last, *_affine(b, x.channels), axis=-1, epsilon=1e-3)
    return x.now(b.transpose(normed, 0, 3, 1, 2))


@block(since=17)
def layer_norm_image(b: Builder, x: Map) -> Map:
    """Over channels, height and width, with weights of that shape."""
    x = b.convolution(x)
    affine = _affine(b, *x.shape[1:])
    return x.now(b.op("LayerNormalization", x.name, *affine, axis=1, epsilon=1e-3))


@block()
def pixel_norm(b: Builder, x: Map) -> Map:
    """Divide by the root mean square over the channels."""
    x = b.convolution(x)
    mean = b.mean(b.op("Mul", x.name, x.name), 1)
    return x.now(b.op("Div", x.name, b.op("Sqrt", b.op("Add", mean, b.constant(1e-2, "f4")))))


@block()
def activation(b: Builder, x: Map) -> Map:
    kinds = ["Relu", "LeakyRelu", "Sigmoid", "Tanh", "Elu", "Softplus", "Abs"]
    return x.now(b.op(b.choose(kinds), x.name))


@block()
def prelu(b: Builder, x: Map) -> Map:
    return x.now(b.op("PRelu", x.name, b.weight(x.channels, 1, 1, size=0.3)))


@block()
def swish(b: Builder, x: Map) -> Map:
    return x.now(b.op("Mul", x.name, b.op("Sigmoid", x.name)))


@block(since=11)
def clip(b: Builder, x: Map) -> Map:
    return x.now(b.op("Clip", x.name, b.constant(-1.0, "f4"), b.constant(1.0, "f4")))


def norm(b: Builder, x: Map) -> Map:
    """One of those that keep channels apart."""
    return b.choose([batch_norm, instance_norm, instance_norm_spelled])(b, x)


def _affine(b: Builder, *shape: int) -> tuple[str, str]:
    return b.weight(*shape, mean=1.0, size=0.2), b.weight(*shape, size=0.3)
