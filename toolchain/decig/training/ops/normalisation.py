"""Normalisations."""

import operator
from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, fx

from decig.training.ops.node import OpNode
from decig.training.ops.registry import op


@op("InstanceNormalization")
def instance_normalization(node: OpNode) -> fx.Node:
    """Y = (X - mean) / sqrt(var + epsilon) * scale + B; statistics per image and channel."""
    x, scale, bias = node.tensor(0), node.weight(1), node.weight(2)
    return node.emit(instance_norm, x, scale, bias, node.attr("epsilon", 1e-5))


def instance_norm(x: Tensor, weight: Tensor | None, bias: Tensor | None, epsilon: float) -> Tensor:
    """Normalise N,C,... by image and channel, then scale and shift.

    Args:
        x: N,C,... with any number of positions, also one.
        weight: C numbers for all images, or N * C numbers, C of them for each image. The second
            comes up in training: a graph declared for one image computes C numbers from its
            style, and a batch brings N styles.
        bias: as `weight`.
        epsilon: added to the variance.

    Returns:
        The same shape as `x`.
    """
    images, channels = x.shape[:2]
    own = [value is not None and value.numel() != channels for value in (weight, bias)]
    apart = any(own) or x[0, 0].numel() == 1
    y = _normalised(x, None if apart else weight, None if apart else bias, epsilon)
    if not apart:
        return y
    ones = [1] * (x.dim() - 2)
    if weight is not None:
        y = y * weight.reshape(images if own[0] else 1, channels, *ones)
    if bias is not None:
        y = y + bias.reshape(images if own[1] else 1, channels, *ones)
    return y


def _normalised(x: Tensor, weight: Tensor | None, bias: Tensor | None, epsilon: float) -> Tensor:
    if x[0, 0].numel() == 1:
        return x - x  # the mean of a single position is its value; F.instance_norm refuses it
    # In bf16 a scale that the net computes is narrower than PyTorch takes it for some inputs.
    wide = torch.promote_types(x.dtype, torch.float32)
    weight, bias = (None if each is None else each.to(wide) for each in (weight, bias))
    y = F.instance_norm(x, weight=weight, bias=bias, eps=epsilon)
    # torch 2.13 on a CPU computes another gradient for a batch of one when what comes back has its
    # channels last, so that is brought into the usual order first.
    if y.requires_grad and y.device.type == "cpu":
        y.register_hook(Tensor.contiguous)  # type: ignore[no-untyped-call]
    return y


@op("GroupNormalization")
def group_normalization(node: OpNode) -> fx.Node:
    """Y = (X - mean) / sqrt(var + epsilon) * scale + bias; statistics per image and group.

    Scale and bias have one number per group before opset 21, one per channel from there on.
    """
    x, scale, bias = node.tensor(0), node.weight(1), node.weight(2)
    assert scale is not None
    assert bias is not None
    groups, channels = node.attr("num_groups"), node.shape(x)[1]
    if node.opset < 21:
        scale, bias = (
            node.step(torch.repeat_interleave, value, channels // groups) for value in (scale, bias)
        )
    return node.emit(F.group_norm, x, groups, scale, bias, node.attr("epsilon", 1e-5))


@op("LayerNormalization", "RMSNormalization")
def layer_normalization(node: OpNode) -> fx.Node:
    """Y = X normalised over the axes from `axis` on, * scale + B; RMS: by the mean square alone."""
    x, scale, bias = node.tensor(0), node.weight(1), node.weight(2)
    assert scale is not None
    shape = node.shape(x)[node.attr("axis", -1) :]
    epsilon = node.attr("epsilon", 1e-5)
    rms = node.op_type != "LayerNormalization"
    function = rms_norm if rms else F.layer_norm
    if node.shape(scale) == shape and (bias is None or node.shape(bias) == shape):
        affine = {"weight": scale} if rms else {"weight": scale, "bias": bias}
        return node.emit(function, x, shape, **affine, eps=epsilon)
    y = node.step(function, x, shape, eps=epsilon)
    if bias is None:
        return node.emit(operator.mul, y, scale)
    return node.emit(operator.add, node.step(operator.mul, y, scale), bias)


def rms_norm(
    x: Tensor, shape: Sequence[int], weight: Tensor | None = None, eps: float = 1e-5
) -> Tensor:
    """Divide x by the root of its mean square over the last axes, of a given shape, then scale it.

    In bf16 x may be narrower than the scale, for which PyTorch has no kernel.
    """
    x = x if weight is None else x.to(torch.promote_types(x.dtype, weight.dtype))
    return F.rms_norm(x, list(shape), weight, eps)


@op("LpNormalization")
def lp_normalization(node: OpNode) -> fx.Node:
    """Y = X / its p-norm along an axis."""
    x, p, axis = node.tensor(0), node.attr("p", 2), node.attr("axis", -1)
    # ONNX Runtime divides 0 by 0 to 0, which is what the smallest positive bound gives.
    return node.emit(F.normalize, x, p=float(p), dim=axis, eps=1e-38)


@op("MeanVarianceNormalization")
def mean_variance_normalization(node: OpNode) -> fx.Node:
    """Y = (X - mean) / (standard deviation + 1e-9) over the given axes."""
    x = node.tensor(0)
    axes = node.within_image(x, node.attr("axes", [0, 2, 3]))
    centred = node.step(operator.sub, x, node.step(torch.mean, x, axes, keepdim=True))
    deviation = node.step(torch.std, x, axes, correction=0, keepdim=True)
    return node.emit(operator.truediv, centred, node.step(operator.add, deviation, 1e-9))


@op("LRN")
def local_response_normalization(node: OpNode) -> fx.Node:
    """Y = X / (bias + alpha / size * sum of squares over `size` channels around) ** beta."""
    size = node.attr("size")
    return node.emit(
        F.local_response_norm,
        node.tensor(0),
        size,
        alpha=node.attr("alpha", 1e-4),
        beta=node.attr("beta", 0.75),
        k=node.attr("bias", 1.0),
    )
