"""Convolutions of every kind."""

from tests.graph.blocks.builder import Builder, Map, block


@block()
def conv(b: Builder, x: Map) -> Map:
    return b.convolution(x, kernel=b.choose([1, 3]))


@block()
def conv_strided(b: Builder, x: Map) -> Map:
    if x.height < 4 or x.width < 4:
        return b.convolution(x)
    out = b.integer(4, 12)
    weight = b.weight(out, x.channels, 3, 3)
    pads = {"auto_pad": "SAME_UPPER"} if b.flip() else {"pads": [1, 1, 1, 1]}
    name = b.op("Conv", x.name, weight, strides=[2, 2], **pads)
    return Map(name, out, -(-x.height // 2), -(-x.width // 2))


@block()
def conv_grouped(b: Builder, x: Map) -> Map:
    group = b.choose([2, 3])
    x = b.divisible(b.few(x), group)
    out = group * b.integer(1, 4)
    weights = [b.weight(out, x.channels // group, 3, 3), b.weight(out)]
    name = b.op("Conv", x.name, *weights, group=group, pads=[1, 1, 1, 1])
    return Map(name, out, x.height, x.width)


@block()
def conv_depthwise(b: Builder, x: Map) -> Map:
    x = b.few(x)
    out = x.channels * b.choose([1, 1, 2])
    weights = [b.weight(out, 1, 3, 3, size=0.4)]
    if b.flip():
        weights.append(b.weight(out))
    name = b.op("Conv", x.name, *weights, group=x.channels, pads=[1, 1, 1, 1])
    return Map(name, out, x.height, x.width)


@block()
def conv_transpose(b: Builder, x: Map) -> Map:
    return _transposed(b, x, 1, b.integer(4, 12))


@block()
def conv_transpose_grouped(b: Builder, x: Map) -> Map:
    x = b.divisible(b.few(x), 2)
    return _transposed(b, x, 2, 2 * b.integer(1, 4))


@block()
def conv_transpose_depthwise(b: Builder, x: Map) -> Map:
    x = b.few(x)
    return _transposed(b, x, x.channels, x.channels * b.choose([1, 2]))


def _transposed(b: Builder, x: Map, group: int, out: int) -> Map:
    weights = [b.weight(x.channels, out // group, 3, 3, size=0.3)]
    if b.flip():
        weights.append(b.weight(out))
    if x.height > 8 or x.width > 8:
        name = b.op("ConvTranspose", x.name, *weights, group=group, pads=[1, 1, 1, 1])
        return Map(name, out, x.height, x.width)
    more = {"strides": [2, 2], "pads": [1, 1, 1, 1], "output_padding": [1, 1]}
    name = b.op("ConvTranspose", x.name, *weights, group=group, **more)
    return Map(name, out, 2 * x.height, 2 * x.width)
