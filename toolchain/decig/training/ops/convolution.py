"""Convolutions and matrix products."""

import operator
from typing import Any

import torch
import torch.nn.functional as F
from torch import fx

from decig.training.ops.node import OpNode
from decig.training.ops.registry import op
from decig.training.ops.windows import Window

_CONV = {1: F.conv1d, 2: F.conv2d, 3: F.conv3d}
_TRANSPOSED = {1: F.conv_transpose1d, 2: F.conv_transpose2d, 3: F.conv_transpose3d}


@op("Conv")
def conv(node: OpNode) -> fx.Node:
    """Convolution of X with W, plus B, in one to three spatial dimensions."""
    x, weight, bias = node.tensor(0), node.weight(1), node.weight(2)
    assert weight is not None
    _fix_weights(node, weight)
    kernel = node.shape(weight)[2:]
    window = Window.of(node, kernel)
    x, padding = window.pad(node, x)
    return node.emit(
        _function(node, _CONV, len(kernel)), x, weight, **_settings(node, window, bias, padding)
    )


@op("ConvTranspose")
def conv_transpose(node: OpNode) -> fx.Node:
    """Transposed convolution of X with W, plus B.

    The untrimmed result has (in - 1) stride + (kernel - 1) dilation + 1 elements along an axis;
    ONNX adds output_padding at the end and trims the pads. Torch trims the same on both sides and
    gives back less than a stride at the end; what that cannot express is sliced off.
    """
    x, weight, bias = node.tensor(0), node.weight(1), node.weight(2)
    assert weight is not None
    _fix_weights(node, weight)
    kernel = node.shape(weight)[2:]
    window = Window.of(node, kernel)
    trims = _trims(node, window, node.shape(x)[2:])
    if any(begin < 0 for begin, _ in trims):
        raise node.error("negative pads")
    reach = map(max, window.strides, window.dilations)
    padding = [
        begin if 0 <= begin - end < most else max(0, min(begin, end))
        for (begin, end), most in zip(trims, reach, strict=True)
    ]
    extra = [max(0, even - end) for (_, end), even in zip(trims, padding, strict=True)]
    cuts = [
        slice(begin - even or None, even - end if end > even else None)
        for (begin, end), even in zip(trims, padding, strict=True)
    ]
    function = _function(node, _TRANSPOSED, len(kernel))
    settings = _settings(node, window, bias, padding)
    if any(extra):
        settings["output_padding"] = tuple(extra)
    if all(cut == slice(None) for cut in cuts):
        return node.emit(function, x, weight, **settings)
    whole = node.step(function, x, weight, **settings)
    return node.emit(operator.getitem, whole, (slice(None), slice(None), *cuts))


def _trims(node: OpNode, window: Window, size: tuple[int, ...]) -> list[tuple[int, int]]:
    """Elements to trim at the begin and the end of each axis; a negative number adds some."""
    rank = len(window.kernel)
    grow = node.attr("output_padding", [0] * rank)
    whole = [
        (n - 1) * stride + extent
        for n, stride, extent in zip(size, window.strides, window.extents, strict=True)
    ]
    wanted = node.attr("output_shape")
    if wanted is None and window.auto_pad in ("NOTSET", "VALID"):
        return [(b, e - g) for (b, e), g in zip(window.pads, grow, strict=True)]
    if wanted is None:
        wanted = [n * stride for n, stride in zip(size, window.strides, strict=True)]
    trims = []
    for full, out, more in zip(whole, wanted[-rank:], grow, strict=True):
        if full + more < out and not node.attr("output_shape"):
            # ONNX Runtime makes fewer elements than ONNX says.
            raise node.error(f"auto_pad {window.auto_pad} of a kernel smaller than its stride")
        total = max(full + more - out, 0)
        begin = total // 2 if window.auto_pad == "SAME_UPPER" else total - total // 2
        trims.append((begin, full - out - begin))
    return trims


def _fix_weights(node: OpNode, weight: fx.Node) -> None:
    """Tie the module to what computed weights are made from: one image has one set of them."""
    for axis in range(2):
        node.fix(weight, axis)


def _function(node: OpNode, table: dict[int, Any], rank: int) -> Any:
    if rank not in table:
        raise node.error(f"{rank} spatial axes; 1 to 3 are supported")
    return table[rank]


def _settings(
    node: OpNode, window: Window, bias: fx.Node | None, padding: list[int]
) -> dict[str, Any]:
    """Return keyword arguments, those at torch's defaults left out, so that the code reads well."""
    settings: dict[str, Any] = {"bias": bias} if bias is not None else {}
    if any(stride != 1 for stride in window.strides):
        settings["stride"] = window.strides
    if any(padding):
        settings["padding"] = tuple(padding)
    if any(dilation != 1 for dilation in window.dilations):
        settings["dilation"] = window.dilations
    if node.attr("group", 1) != 1:
        settings["groups"] = node.attr("group")
    return settings


@op("Gemm")
def gemm(node: OpNode) -> fx.Node:
    """Y = alpha A' B' + beta C, where A' and B' may be transposed."""
    a, b, c = node.weight(0), node.weight(1), node.weight(2)
    assert a is not None
    assert b is not None
    if node.attr("transA", 0):
        a = node.step(torch.t, a)
    if not node.attr("transB", 0):
        b = node.step(torch.t, b)
    alpha, beta = node.attr("alpha", 1.0), node.attr("beta", 1.0)
    plain_bias = c is None or (node.rank(c) == 1 and node.shape(c)[0] == node.shape(b)[0])
    if alpha == 1 and beta == 1 and plain_bias:
        return node.emit(F.linear, a, b, c)
    if c is None:
        return node.emit(operator.mul, node.step(F.linear, a, b), alpha)
    return node.emit(torch.addmm, c, a, node.step(torch.t, b), beta=beta, alpha=alpha)


@op("MatMul")
def matmul(node: OpNode) -> fx.Node:
    """Y = A B, over the last two axes."""
    return node.emit(torch.matmul, node.weight(0), node.weight(1))


@op("Einsum")
def einsum(node: OpNode) -> fx.Node:
    """Sum of products by an equation; constant operands are weights."""
    operands = [node.weight(slot) for slot in range(len(node.proto.input))]
    return node.emit(torch.einsum, node.attr("equation"), *operands)
