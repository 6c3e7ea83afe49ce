"""A crop after ConvTranspose, as padding of the ConvTranspose.

`pads` of a ConvTranspose are rows and columns that it leaves out of its full output, so with
y of length L along a spatial axis:

    ConvTranspose(x, pads=(p, q))[a : b]  =  ConvTranspose(x, pads=(p + a, q + L - b))

That saves the copy, and the work on rows that are cut off.
"""

import numpy as np
from onnx import NodeProto

from decig.graph.rewrite.editor import Editor, attribute, set_attributes
from decig.graph.rewrite.rule import NoMatch, reader_of, rule, shape_of


@rule("ConvTranspose", one_size=True)
def slice_into_transpose(graph: Editor, node: NodeProto) -> None:
    """Take the Slice of spatial axes that follows `node`, a ConvTranspose, into its pads."""
    automatic = attribute(node, "auto_pad", b"NOTSET") != b"NOTSET"
    if automatic or attribute(node, "output_shape", None) is not None:
        raise NoMatch("its padding follows from the size of its output")
    crop, size = reader_of(graph, node), shape_of(graph, node.output[0])
    if crop.op_type != "Slice" or crop.input[0] != node.output[0]:
        raise NoMatch("no Slice follows")
    cut = _cut(graph, crop, size)
    if cut is None:
        raise NoMatch("the Slice behind it does more than crop spatial axes by constant bounds")
    pads = attribute(node, "pads", [0] * len(cut))
    set_attributes(node, pads=[int(p) + c for p, c in zip(pads, cut, strict=True)])
    node.output[0] = crop.output[0]
    graph.remove(crop)


def _cut(graph: Editor, crop: NodeProto, size: tuple[int, ...]) -> list[int] | None:
    """Rows that a Slice takes away before and behind each spatial axis, as in `pads`.

    None if it crops other axes too, has steps, or bounds that are not constant.
    """
    bounds = [graph.constant(name) for name in crop.input[1:]]
    if any(name and bound is None for name, bound in zip(crop.input[1:], bounds, strict=True)):
        return None
    starts, ends, axes, steps = bounds + [None] * (4 - len(bounds))
    if starts is None or ends is None or (steps is not None and (steps != 1).any()):
        return None
    spatial = len(size) - 2
    before, behind = [0] * spatial, [0] * spatial
    axes = np.arange(len(starts)) if axes is None else axes
    for start, end, axis in zip(starts.tolist(), ends.tolist(), axes.tolist(), strict=True):
        length = size[axis]
        first, last, _ = slice(start, end).indices(length)
        if first >= last:
            return None
        if axis % len(size) < 2:
            if (first, last) != (0, length):
                return None
            continue
        before[axis % len(size) - 2] = first
        behind[axis % len(size) - 2] = length - last
    return before + behind
