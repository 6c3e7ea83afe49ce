"""Elements taken at given places: windows, tokens in another order, unpooling, fold."""

import numpy as np

from tests.graph.blocks.builder import Builder, Map, block


@block()
def windows_of_a_vector(b: Builder, x: Map) -> Map:
    """Every second row and column of the flattened picture, as `as_strided` picks them."""
    flat = np.arange(np.prod(x.shape)).reshape(x.shape)[:, :, ::2, ::2]
    picked = b.op("Gather", b.reshape(x.name, -1), b.constant(flat), axis=0)
    return Map(picked, x.channels, *flat.shape[2:])


@block(since=11)
def rows_at_places(b: Builder, x: Map) -> Map:
    """GatherND over rows, in any order and twice."""
    places = [[b.integer(-x.height, x.height - 1)] for _ in range(b.integer(1, 8))]
    front = b.transpose(x.name, 2, 3, 0, 1)
    picked = b.op("GatherND", front, b.constant(places))
    return Map(b.transpose(picked, 2, 3, 0, 1), x.channels, len(places), x.width)


@block(since=11)
def channels_at_places(b: Builder, x: Map) -> Map:
    """GatherND over channels: another order, some left out."""
    some = [[place] for place in range(x.channels - 1, -1, -b.integer(1, 2))]
    picked = b.op("GatherND", b.transpose(x.name, 1, 0, 2, 3), b.constant(some))
    return Map(b.transpose(picked, 1, 0, 2, 3), len(some), x.height, x.width)


@block(since=11)
def elements_at_places(b: Builder, x: Map) -> Map:
    """Columns in reverse, or channels in reverse."""
    axis = b.choose([1, 3])
    order = np.arange(x.shape[axis])[::-1].reshape([-1 if a == axis else 1 for a in range(4)])
    index = b.constant(np.broadcast_to(order, x.shape))
    return x.now(b.op("GatherElements", x.name, index, axis=axis))


@block(since=13)
def tokens_in_order(b: Builder, x: Map) -> Map:
    """Tokens sorted by another map, changed in that order, and written back."""
    count = x.height * x.width
    rank = b.op("Mul", b.input("rank", 1, count), b.constant(1.0, "f4"))
    tokens = b.reshape(b.transpose(x.name, 0, 2, 3, 1), 1, count, x.channels)
    order = b.ops("TopK", rank, b.constant([count]), outputs=2, axis=1)[1]
    wide = b.op("Expand", b.unsqueeze(order, 2), b.constant([1, count, x.channels]))
    sorted_ = b.op("GatherElements", tokens, wide, axis=1)
    changed = b.op("CumSum", sorted_, b.constant(1))
    changed = b.op("Mul", changed, b.constant(1 / count, "f4"))
    back = b.op("ScatterElements", tokens, wide, changed, axis=1)
    return x.now(b.transpose(b.reshape(back, 1, x.height, x.width, x.channels), 0, 3, 1, 2))


@block(since=11)
def unpooled(b: Builder, x: Map) -> Map:
    """Down and up again, as SegNet does it."""
    if x.height % 2 or x.width % 2:
        return b.convolution(x)
    rough = b.op("Add", x.name, b.weight(x.height, x.width, size=1.0))
    window = {"kernel_shape": [2, 2], "strides": [2, 2]}
    small, places = b.ops("MaxPool", rough, outputs=2, **window)
    inner = Map(small, x.channels, x.height // 2, x.width // 2)
    changed = b.convolution(inner, out=x.channels).name
    return x.now(b.op("MaxUnpool", changed, places, **window))


@block(since=18)
def folded(b: Builder, x: Map) -> Map:
    """Windows by a convolution, added up."""
    out = b.integer(3, 4)
    made = b.convolution(x, out=4 * out)
    columns = b.reshape(made.name, 1, 4 * out, x.height * x.width)
    size = b.constant([x.height + 1, x.width + 1])
    picture = b.op("Col2Im", columns, size, b.constant([2, 2]))
    cropped = b.slice(b.slice(picture, 0, x.height, 2), 0, x.width, 3)
    return Map(cropped, out, x.height, x.width)
