"""What changes height and width: pooling, resizing, padding, pixel shuffles."""

from tests.graph.blocks.builder import Builder, Map, block


@block()
def pool(b: Builder, x: Map) -> Map:
    if x.height < 4 or x.width < 4:
        return b.convolution(x)
    kind = b.choose(["MaxPool", "AveragePool"])
    name = b.op(kind, x.name, kernel_shape=[2, 2], strides=[2, 2])
    return Map(name, x.channels, x.height // 2, x.width // 2)


@block()
def crop(b: Builder, x: Map) -> Map:
    if x.height < 4:
        return b.convolution(x)
    return Map(b.slice(x.name, 1, -1, 2), x.channels, x.height - 2, x.width)


@block()
def pad(b: Builder, x: Map) -> Map:
    if x.height > 12 or x.width > 12 or x.height < 2 or x.width < 2:
        return b.convolution(x)
    mode = b.choose(["constant", "reflect", "edge"])
    name = b.pad(x.name, [0, 0, 1, 1, 0, 0, 1, 1], mode)
    return Map(name, x.channels, x.height + 2, x.width + 2)


@block()
def pad_channels(b: Builder, x: Map) -> Map:
    """Zeros as channels, as in the first residual nets."""
    x = b.few(x)
    name = b.pad(x.name, [0, 1, 0, 0, 0, 2, 0, 0])
    return Map(name, x.channels + 3, x.height, x.width)


@block()
def upsample(b: Builder, x: Map) -> Map:
    if x.height > 8 or x.width > 8:
        return b.convolution(x)
    c, h, w = x.channels, 2 * x.height, 2 * x.width
    mode = b.choose(["nearest", "linear"])
    scales = b.constant([1, 1, 2, 2], "f4")
    if b.opset < 10:
        return Map(b.op("Upsample", x.name, scales, mode=mode), c, h, w)
    none = "" if b.opset >= 13 else b.constant([], "f4")
    if b.flip():
        scales = none
        sizes = [b.constant([1, c, h, w])]
    else:
        sizes = []
    return Map(b.op("Resize", x.name, none, scales, *sizes, mode=mode), c, h, w)


@block()
def upsample_spelled(b: Builder, x: Map) -> Map:
    """Nearest neighbour through axes of size 1 that are repeated."""
    if x.height > 8 or x.width > 8:
        return b.convolution(x)
    c, h, w = x.shape[1:]
    wide = b.reshape(x.name, 1, c, h, 1, w, 1)
    way = b.choose(["Tile", "Expand", "Concat"])
    if way == "Tile":
        wide = b.op("Tile", wide, b.constant([1, 1, 1, 2, 1, 2]))
    elif way == "Expand":
        wide = b.op("Expand", wide, b.constant([1, c, h, 2, w, 2]))
    else:
        wide = b.op("Concat", wide, wide, axis=3)
        wide = b.op("Concat", wide, wide, axis=5)
    return Map(b.reshape(wide, 0, b.choose([c, -1]), 2 * h, 2 * w), c, 2 * h, 2 * w)


@block()
def pixel_shuffle(b: Builder, x: Map) -> Map:
    if x.height > 8 or x.width > 8:
        return b.convolution(x)
    x = b.divisible(b.few(x), 4)
    out, h, w = x.channels // 4, x.height, x.width
    if b.flip():
        wide = b.transpose(b.reshape(x.name, 1, out, 2, 2, h, w), 0, 1, 4, 2, 5, 3)
        return Map(b.reshape(wide, 1, out, 2 * h, 2 * w), out, 2 * h, 2 * w)
    mode = {"mode": b.choose(["DCR", "CRD"])} if b.opset >= 11 else {}
    return Map(b.op("DepthToSpace", x.name, blocksize=2, **mode), out, 2 * h, 2 * w)


@block()
def pixel_unshuffle(b: Builder, x: Map) -> Map:
    if x.height % 2 or x.width % 2 or x.channels > 12:
        return b.convolution(x, out=b.integer(4, 6))
    c, h, w = x.channels, x.height // 2, x.width // 2
    if b.flip():
        return Map(b.op("SpaceToDepth", x.name, blocksize=2), 4 * c, h, w)
    wide = b.transpose(b.reshape(x.name, 1, c, h, 2, w, 2), 0, 1, 3, 5, 2, 4)
    return Map(b.reshape(wide, 1, 4 * c, h, w), 4 * c, h, w)


@block()
def channel_shuffle(b: Builder, x: Map) -> Map:
    x = b.divisible(x, 2)
    wide = b.reshape(x.name, 1, 2, x.channels // 2, x.height, x.width)
    return x.now(b.reshape(b.transpose(wide, 0, 2, 1, 3, 4), 1, -1, x.height, x.width))
