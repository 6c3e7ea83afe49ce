"""Reductions over axes, and what compares the elements of an axis: softmax, maxima, sorting."""

import operator
from collections.abc import Callable

import torch
from torch import Tensor, fx

from decig.training.ops.node import OpNode
from decig.training.ops.registry import op

_REDUCE: dict[str, Callable[..., Tensor]] = {
    "ReduceL2": torch.linalg.vector_norm,
    "ReduceLogSumExp": torch.logsumexp,
    "ReduceMax": torch.amax,
    "ReduceMean": torch.mean,
    "ReduceMin": torch.amin,
    "ReduceSum": torch.sum,
}
_BEFORE: dict[str, Callable[..., Tensor]] = {"ReduceL1": torch.abs, "ReduceSumSquare": torch.square}
"""What is done to each element before a sum."""

_EACH: dict[str, Callable[..., Tensor]] = {
    **_BEFORE,
    "ReduceL2": torch.abs,
    "ReduceLogSum": torch.log,
}
"""What is left of a reduction that has no axes and is told to reduce none; elsewhere X itself."""


@op(*_REDUCE, *_BEFORE, "ReduceLogSum")
def reduce(node: OpNode) -> fx.Node:
    """Y = f(X) over axes, all of them by default; axes are an attribute in older opsets."""
    x = node.tensor(0)
    axes = node.setting("axes", 1)
    if not axes and node.attr("noop_with_empty_axes", 0):
        function = _EACH.get(node.op_type)
        return x if function is None else node.emit(function, x)
    where = tuple(axes or range(node.rank(x)))
    keep = bool(node.attr("keepdims", 1))
    if keep and len(where) > 1:
        where = node.within_image(x, where)
    if node.op_type in _BEFORE:
        each = node.step(_BEFORE[node.op_type], x)
        return node.emit(torch.sum, each, where, keepdim=keep)
    if node.op_type == "ReduceLogSum":
        return node.emit(torch.log, node.step(torch.sum, x, where, keepdim=keep))
    if node.op_type == "ReduceL2":
        return node.emit(_REDUCE[node.op_type], x, dim=where, keepdim=keep)
    return node.emit(_REDUCE[node.op_type], x, where, keepdim=keep)


@op("ReduceProd")
def reduce_prod(node: OpNode) -> fx.Node:
    """Y = product of X over axes; PyTorch's function takes one axis per call."""
    x = node.tensor(0)
    rank = node.rank(x)
    keep = bool(node.attr("keepdims", 1))
    axes = node.setting("axes", 1)
    if not axes and node.attr("noop_with_empty_axes", 0):
        return x
    axes = axes or list(range(rank))
    for axis in sorted((axis % rank for axis in axes), reverse=True):
        x = node.step(torch.prod, x, axis, keepdim=keep)
    return x


@op("ArgMax", "ArgMin")
def arg_extreme(node: OpNode) -> fx.Node:
    """Y = index of the first extreme along an axis, or of the last."""
    function = torch.argmax if node.op_type == "ArgMax" else torch.argmin
    keep = bool(node.attr("keepdims", 1))
    x, axis = node.tensor(0), node.attr("axis", 0)
    if not node.attr("select_last_index", 0):
        return node.emit(function, x, axis, keepdim=keep)
    first = node.step(function, node.step(torch.flip, x, (axis,)), axis, keepdim=keep)
    return node.emit(from_the_end, first, x, axis)


def from_the_end(index: Tensor, x: Tensor, axis: int) -> Tensor:
    """Count indices from the begin of an axis of `x` that were counted from its end."""
    return x.shape[axis] - 1 - index


@op("CumSum")
def cumulative_sum(node: OpNode) -> fx.Node:
    """Y = running sum of X along an axis, from the end if `reverse`, without X if `exclusive`."""
    x, axis = node.tensor(0), node.constant(1).item()
    reverse, exclusive = node.attr("reverse", 0), node.attr("exclusive", 0)
    if not (reverse or exclusive):
        return node.emit(torch.cumsum, x, axis)
    return node.emit(running_sum, x, axis, bool(reverse), bool(exclusive))


def running_sum(x: Tensor, axis: int, reverse: bool, exclusive: bool) -> Tensor:
    """Running sum along an axis (ONNX CumSum)."""
    total = x.flip(axis).cumsum(axis).flip(axis) if reverse else x.cumsum(axis)
    return total - x if exclusive else total


@op("Softmax", "LogSoftmax")
def softmax(node: OpNode) -> fx.Node:
    """Y = softmax of X along an axis; before opset 13 over all axes from `axis` on together."""
    function = torch.softmax if node.op_type == "Softmax" else torch.log_softmax
    x = node.tensor(0)
    axis = node.attr("axis", -1 if node.opset >= 13 else 1) % node.rank(x)
    if node.opset >= 13 or axis == node.rank(x) - 1:
        return node.emit(function, x, axis)
    flat = node.step(function, node.step(torch.flatten, x, axis), axis)
    return node.emit(Tensor.view_as, flat, x)


@op("Hardmax")
def hardmax(node: OpNode) -> fx.Node:
    """Y = 1 at the first maximum, else 0, over the axes of a Softmax; it has no gradient."""
    x = node.tensor(0)
    axis = node.attr("axis", -1 if node.opset >= 13 else 1) % node.rank(x)
    if node.opset >= 13 or axis == node.rank(x) - 1:
        return node.emit(one_hot_maximum, x, axis)
    flat = node.step(one_hot_maximum, node.step(torch.flatten, x, axis), axis)
    return node.emit(Tensor.view_as, flat, x)


def one_hot_maximum(x: Tensor, axis: int) -> Tensor:
    """Mark the first maximum along an axis (ONNX Hardmax)."""
    place = torch.argmax(x, axis, keepdim=True)
    return torch.zeros_like(x).scatter(axis, place, 1.0)


@op("TopK")
def top_k(node: OpNode) -> tuple[fx.Node, ...]:
    """The k largest or smallest elements along an axis, sorted, and their indices."""
    counts = node.setting("k", 1) or [0]
    largest = bool(node.attr("largest", 1))
    found = node.step(torch.topk, node.tensor(0), counts[0], node.attr("axis", -1), largest)
    return tuple(node.step(operator.getitem, found, index) for index in range(2))
