"""Arithmetic of convolution windows that several rules share."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from onnx import NodeProto, helper

from decig.graph.rewrite.editor import Editor, attribute
from decig.graph.rewrite.rule import NoMatch, shape_of, weights_of

BLOCK = 16
"""Channels that a CPU convolution computes at a time: ONNX Runtime with AVX-512.

With AVX2 they are 8; comparisons made with 16 then come out the same way, with smaller gaps.
"""


def blocks(channels: int) -> int:
    """Channels that are computed for so many: rounded up to whole blocks."""
    return math.ceil(channels / BLOCK) * BLOCK


def is_plain(node: NodeProto) -> bool:
    """Whether a convolution is dense: one group, no dilation."""
    return attribute(node, "group", 1) == 1 and set(attribute(node, "dilations", [1])) == {1}


@dataclass(frozen=True)
class DenseConv:
    """What the rules read of a dense two-dimensional convolution of stride 1.

    Attributes:
        weight: [M, C, h, w].
        bias: [M]; None if there is none.
        pads: [top, left, bottom, right].
        source: shape of its input, [N, C, H, W].
        target: shape of its output.
    """

    weight: np.ndarray
    bias: np.ndarray | None
    pads: list[int]
    source: tuple[int, ...]
    target: tuple[int, ...]


def dense_conv(graph: Editor, node: NodeProto) -> DenseConv:
    """Read a Conv.

    Raises:
        NoMatch: it is no `DenseConv`, or part of it is computed or not known.
    """
    weight, pads = dense_kernel(graph, node)
    bias = graph.constant(node.input[2]) if len(node.input) > 2 else None
    if len(node.input) > 2 and bias is None:
        raise NoMatch("its bias is computed")
    source, target = shape_of(graph, node.input[0]), shape_of(graph, node.output[0])
    return DenseConv(weight, bias, pads, source, target)


def dense_kernel(graph: Editor, node: NodeProto) -> tuple[np.ndarray, list[int]]:
    """Weights [M, C, h, w] and padding [top, left, bottom, right] of a dense Conv of stride 1.

    Raises:
        NoMatch: it is none, or they are computed or not known.
    """
    if not is_plain(node):
        raise NoMatch("it is grouped or dilated")
    if set(attribute(node, "strides", [1])) != {1}:
        raise NoMatch("its stride is not 1")
    weight, pads = weights_of(graph, node), conv_pads(graph, node)
    if weight.ndim != 4:
        raise NoMatch("it has not two spatial axes")
    if pads is None:
        raise NoMatch("its padding is not known")
    return weight, pads


def conv_pads(graph: Editor, node: NodeProto) -> list[int] | None:
    """Padding of a Conv as in `pads`, [top, left, bottom, right] in two dimensions.

    `auto_pad` is resolved. None if it depends on a shape that is not known, or if the Conv is
    dilated too, which ONNX Runtime does not run.
    """
    mode = attribute(node, "auto_pad", b"NOTSET").decode()
    size, kernel = graph.shape(node.input[0]), graph.shape(node.input[1])
    if kernel is None:
        return None
    spatial = len(kernel) - 2
    if mode == "NOTSET":
        return list(attribute(node, "pads", [0] * (2 * spatial)))
    if mode == "VALID":
        return [0] * (2 * spatial)
    if size is None or set(attribute(node, "dilations", [1])) != {1}:
        return None
    strides = attribute(node, "strides", [1] * spatial)
    # SAME: one output for every stride of inputs; an odd row goes below (UPPER) or above (LOWER).
    totals = [
        max((math.ceil(n / s) - 1) * s + k - n, 0)
        for n, s, k in zip(size[2:], strides, kernel[2:], strict=True)
    ]
    small, large = [t // 2 for t in totals], [t - t // 2 for t in totals]
    return small + large if mode == "SAME_UPPER" else large + small


def pad_amounts(graph: Editor, node: NodeProto) -> list[int] | None:
    """Amounts of a Pad before and then behind every axis; None if they are computed."""
    listed = attribute(node, "pads", None)  # up to operator set 10
    if listed is not None:
        return [int(amount) for amount in listed]
    shape, array = graph.shape(node.input[0]), graph.constant(node.input[1])
    axes = graph.constant(node.input[3]) if len(node.input) > 3 and node.input[3] else None
    if shape is None or array is None or (axes is None and len(node.input) > 3 and node.input[3]):
        return None
    given = range(len(shape)) if axes is None else [int(axis) % len(shape) for axis in axes]
    amounts = [0] * (2 * len(shape))
    for index, axis in enumerate(given):
        amounts[axis] = int(array[index])
        amounts[axis + len(shape)] = int(array[index + len(given)])
    return amounts


def crop(
    graph: Editor, node: NodeProto, suffix: str, value: str, bounds: Mapping[str, Any]
) -> NodeProto:
    """Slice of `value` with these `starts`, `ends` and `axes`, for the rewrite of `node`."""
    name = f"{node.name}/{suffix}"
    if graph.opset < 10:
        return helper.make_node("Slice", [value], [name], name=name, **bounds)
    names = [
        graph.add_constant(node, f"{suffix}_{key}", np.array(bounds[key]))
        for key in ("starts", "ends", "axes")
    ]
    return helper.make_node("Slice", [value, *names], [name], name=name)


def fills_with_zero(graph: Editor, node: NodeProto) -> bool:
    """Whether a Pad surrounds its input with zeros."""
    if attribute(node, "mode", b"constant") != b"constant" or attribute(node, "value", 0.0) != 0:
        return False
    value = graph.constant(node.input[2]) if len(node.input) > 2 and node.input[2] else 0
    return value is not None and not np.any(value)
