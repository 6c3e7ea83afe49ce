"""Arithmetic of convolution windows that several rules share."""

import math

from onnx import NodeProto

from decig.graph.rewrite.editor import Editor, attribute

# Channels that a CPU convolution computes at a time (ONNX Runtime with AVX-512; 8 with AVX2,
# where the comparisons made with it come out the same way, less sharply).
BLOCK = 16


def blocks(channels: int) -> int:
    """Channels paid for: `channels` rounded up to whole blocks."""
    return math.ceil(channels / BLOCK) * BLOCK


def is_plain(node: NodeProto) -> bool:
    """Whether a convolution is dense: one group, no dilation."""
    return attribute(node, "group", 1) == 1 and set(attribute(node, "dilations", [1])) == {1}


def conv_pads(graph: Editor, node: NodeProto) -> list[int] | None:
    """Padding of a two-dimensional Conv as [top, left, bottom, right], `auto_pad` resolved.

    None if it depends on a shape that is not known.
    """
    mode = attribute(node, "auto_pad", b"NOTSET").decode()
    if mode == "NOTSET":
        return list(attribute(node, "pads", [0, 0, 0, 0]))
    if mode == "VALID":
        return [0, 0, 0, 0]
    size, kernel = graph.shape(node.input[0]), graph.shape(node.input[1])
    if size is None or kernel is None:
        return None
    strides = attribute(node, "strides", [1, 1])
    # SAME: as many outputs as inputs per stride; the odd row goes below (UPPER) or above (LOWER).
    totals = [
        max((math.ceil(n / s) - 1) * s + k - n, 0)
        for n, s, k in zip(size[2:], strides, kernel[2:], strict=True)
    ]
    small, large = [t // 2 for t in totals], [t - t // 2 for t in totals]
    return small + large if mode == "SAME_UPPER" else large + small
