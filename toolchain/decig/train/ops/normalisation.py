"""Normalisations."""

import operator

import torch
import torch.nn.functional as F
from torch import Tensor, fx

from decig.train.ops.node import OpNode
from decig.train.ops.registry import op


@op("BatchNormalization")
def batch_normalization(node: OpNode) -> fx.Node:
    """Y = (X - mean) / sqrt(var + epsilon) * scale + B.

    The module's training flag chooses between the statistics of the batch and the stored ones.
    """
    x, scale, bias = node.tensor(0), node.weight(1), node.weight(2)
    mean, var = node.tensor(3), node.tensor(4)
    momentum, epsilon = node.attr("momentum", 0.9), node.attr("epsilon", 1e-5)
    training = node.tracer.training()
    return node.emit(batch_norm, x, mean, var, scale, bias, training, momentum, epsilon)


def batch_norm(
    x: Tensor,
    mean: Tensor,
    var: Tensor,
    weight: Tensor,
    bias: Tensor,
    training: bool,
    momentum: float,
    epsilon: float,
) -> Tensor:
    """Normalise N,C,... by channel; in training update `mean` and `var` as ONNX defines it.

    running = momentum * running + (1 - momentum) * batch (ONNX operator BatchNormalization), so
    `momentum` is what stays: torch's own counts the other way round. The batch's variance is the
    population's, where torch takes n - 1.
    """
    if not training:
        return F.batch_norm(x, mean, var, weight, bias, False, 0.0, epsilon)
    kept = momentum * var
    y = F.batch_norm(x, mean, var, weight, bias, True, 1 - momentum, epsilon)
    # Through .data: autograd has saved `var`, yet the gradient in training does not read it.
    var.data.sub_((var.data - kept) / (x.numel() // x.shape[1]))
    return y


@op("InstanceNormalization")
def instance_normalization(node: OpNode) -> fx.Node:
    """Y = (X - mean) / sqrt(var + epsilon) * scale + B, by sample and channel."""
    x, scale, bias = node.tensor(0), node.weight(1), node.weight(2)
    return node.emit(instance_norm, x, scale, bias, node.attr("epsilon", 1e-5))


def instance_norm(x: Tensor, weight: Tensor | None, bias: Tensor | None, epsilon: float) -> Tensor:
    """Normalise N,C,... by sample and channel.

    torch 2.13 on a CPU computes another gradient for a batch of one when what comes back has its
    channels last, so that is brought into the usual order first.
    """
    y = F.instance_norm(x, weight=weight, bias=bias, eps=epsilon)
    if y.requires_grad:
        y.register_hook(Tensor.contiguous)  # type: ignore[no-untyped-call]
    return y


@op("GroupNormalization")
def group_normalization(node: OpNode) -> fx.Node:
    """Y = (X - mean) / sqrt(var + epsilon) * scale + bias, by sample and group of channels.

    Scale and bias are one a group in opset 18, one a channel from 21.
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
    function = F.rms_norm if rms else F.layer_norm
    if node.shape(scale) == shape and (bias is None or node.shape(bias) == shape):
        affine = {"weight": scale} if rms else {"weight": scale, "bias": bias}
        return node.emit(function, x, shape, **affine, eps=epsilon)
    y = node.step(function, x, shape, eps=epsilon)
    if bias is None:
        return node.emit(operator.mul, y, scale)
    return node.emit(operator.add, node.step(operator.mul, y, scale), bias)


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
