"""Reductions over axes, softmax and its kin, and pools."""

import math
import operator
from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor, fx

from decig.train.ops.node import OpNode
from decig.train.ops.registry import op
from decig.train.ops.windows import Window

_REDUCE: dict[str, Callable[..., Tensor]] = {
    "ReduceL2": torch.linalg.vector_norm,
    "ReduceLogSumExp": torch.logsumexp,
    "ReduceMax": torch.amax,
    "ReduceMean": torch.mean,
    "ReduceMin": torch.amin,
    "ReduceSum": torch.sum,
}
_BEFORE: dict[str, Callable[..., Tensor]] = {"ReduceL1": torch.abs, "ReduceSumSquare": torch.square}
_MAX_POOL: dict[int, Callable[..., Tensor]] = {1: F.max_pool1d, 2: F.max_pool2d, 3: F.max_pool3d}
_AVERAGE_POOL: dict[int, Callable[..., Tensor]] = {
    1: F.avg_pool1d,
    2: F.avg_pool2d,
    3: F.avg_pool3d,
}


@op(*_REDUCE, *_BEFORE, "ReduceLogSum")
def reduce(node: OpNode) -> fx.Node:
    """Y = f(X) over axes, all of them by default; axes are an attribute in older opsets."""
    x = node.tensor(0)
    axes = node.setting("axes", 1)
    if not axes and node.attr("noop_with_empty_axes", 0):
        return x
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
    """Y = product of X over axes; torch takes one axis a call."""
    x = node.tensor(0)
    rank = node.rank(x)
    keep = bool(node.attr("keepdims", 1))
    axes = node.setting("axes", 1) or range(rank)
    for axis in sorted((axis % rank for axis in axes), reverse=True):
        x = node.step(torch.prod, x, axis, keepdim=keep)
    return x


@op("ArgMax", "ArgMin")
def arg_extreme(node: OpNode) -> fx.Node:
    """Y = index of the first extreme along an axis."""
    if node.attr("select_last_index", 0):
        raise node.error("select_last_index is not supported")
    function = torch.argmax if node.op_type == "ArgMax" else torch.argmin
    keep = bool(node.attr("keepdims", 1))
    return node.emit(function, node.tensor(0), node.attr("axis", 0), keepdim=keep)


@op("CumSum")
def cumulative_sum(node: OpNode) -> fx.Node:
    """Y = running sum of X along an axis."""
    if node.attr("exclusive", 0) or node.attr("reverse", 0):
        raise node.error("exclusive and reverse are not supported")
    return node.emit(torch.cumsum, node.tensor(0), node.constant(1).item())


@op("Softmax", "LogSoftmax")
def softmax(node: OpNode) -> fx.Node:
    """Y = softmax of X along an axis; before opset 13 over all axes from `axis` on together."""
    function = torch.softmax if node.op_type == "Softmax" else torch.log_softmax
    x = node.tensor(0)
    axis = node.attr("axis", -1 if node.opset >= 13 else 1)
    if node.opset >= 13 or axis % node.rank(x) == node.rank(x) - 1:
        return node.emit(function, x, axis)
    flat = node.step(function, node.step(torch.flatten, x, axis), axis)
    return node.emit(Tensor.view_as, flat, x)


@op("Hardmax")
def hardmax(node: OpNode) -> fx.Node:
    """Y = 1 at the first maximum along an axis, else 0; it has no gradient."""
    x = node.tensor(0)
    axis = node.attr("axis", -1 if node.opset >= 13 else 1) % node.rank(x)
    if node.opset < 13 and axis != node.rank(x) - 1:
        raise node.error("before opset 13 it is supported on the last axis")
    return node.emit(one_hot_maximum, x, axis)


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


@op("GlobalAveragePool", "GlobalMaxPool")
def global_pool(node: OpNode) -> fx.Node:
    """Y = mean or maximum over the spatial axes, which stay with size 1."""
    function = torch.mean if node.op_type == "GlobalAveragePool" else torch.amax
    x = node.tensor(0)
    return node.emit(function, x, tuple(range(2, node.rank(x))), keepdim=True)


@op("GlobalLpPool")
def global_lp_pool(node: OpNode) -> fx.Node:
    """Y = p-norm over the spatial axes, which stay with size 1."""
    x = node.tensor(0)
    axes, p = tuple(range(2, node.rank(x))), float(node.attr("p", 2))
    return node.emit(torch.linalg.vector_norm, x, p, axes, keepdim=True)


@op("LpPool")
def lp_pool(node: OpNode) -> fx.Node:
    """Y = p-norm over a sliding window, of elements padded with zeros."""
    window = Window.of(node, tuple(node.attr("kernel_shape")))
    if any(dilation != 1 for dilation in window.dilations) or node.attr("ceil_mode", 0):
        raise node.error("dilations and ceil_mode are not supported")
    p = node.attr("p", 2)
    x, padding = window.pad(node, node.tensor(0))
    powers = node.step(operator.pow, node.step(torch.abs, x), p)
    function = _pool(node, _AVERAGE_POOL, window)
    # The mean of the powers times the elements of the window is their sum.
    mean = node.step(function, powers, window.kernel, window.strides, tuple(padding), False, True)
    total = node.step(operator.mul, mean, math.prod(window.kernel))
    return node.emit(operator.pow, total, 1 / p)


@op("MaxPool")
def max_pool(node: OpNode) -> fx.Node:
    """Y = maximum over a sliding window; the optional output of indices cannot be read."""
    if node.wants(1):
        raise node.error("the output of indices is not supported")
    window = Window.of(node, tuple(node.attr("kernel_shape")))
    x, padding = window.pad(node, node.tensor(0), -math.inf)
    if any(2 * pad > size for pad, size in zip(padding, window.kernel, strict=True)):
        raise node.error("pads above half the kernel are not supported")
    return node.emit(
        _pool(node, _MAX_POOL, window),
        x,
        window.kernel,
        window.strides,
        tuple(padding),
        window.dilations,
        ceil_mode=bool(node.attr("ceil_mode", 0)),
    )


@op("AveragePool")
def average_pool(node: OpNode) -> fx.Node:
    """Y = mean over a sliding window; padding counts only if count_include_pad is set."""
    window = Window.of(node, tuple(node.attr("kernel_shape")))
    if any(dilation != 1 for dilation in window.dilations):
        raise node.error("dilations are not supported")
    source, count = node.tensor(0), bool(node.attr("count_include_pad", 0))
    function = _pool(node, _AVERAGE_POOL, window)
    x, padding = window.pad(node, source)
    settings = (window.kernel, window.strides, tuple(padding), bool(node.attr("ceil_mode", 0)))
    if x is source or count:
        return node.emit(function, x, *settings, count)
    # Torch would count the zeros just added: divide by the share of the window that is real.
    ones, _ = window.pad(node, node.step(torch.ones_like, source))
    total, share = (node.step(function, value, *settings) for value in (x, ones))
    return node.emit(operator.truediv, total, share)


def _pool(
    node: OpNode, table: dict[int, Callable[..., Tensor]], window: Window
) -> Callable[..., Tensor]:
    if len(window.kernel) not in table:
        raise node.error(f"{len(window.kernel)} spatial axes; 1 to 3 are supported")
    return table[len(window.kernel)]
