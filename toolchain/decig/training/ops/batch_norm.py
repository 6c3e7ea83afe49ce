"""BatchNormalization: stored statistics, or those of what is normalised.

Which ones a node uses is fixed in the file (attribute `training_mode`; before opset 14, whether
the node lists more than one output). The module's own `training` flag plays a part for the stored
ones alone.
"""

import torch
from torch import Tensor, fx

from decig.graph.rules.normalisation import uses_batch_statistics
from decig.training.ops.node import OpNode
from decig.training.ops.normalisation import instance_norm
from decig.training.ops.registry import op


@op("BatchNormalization")
def batch_normalization(node: OpNode) -> tuple[fx.Node, ...]:
    """Y = (X - mean) / sqrt(var + epsilon) * scale + B, by channel.

    With stored statistics, the module's training flag chooses between those of the batch and the
    stored ones, as the layer of the original net does, unless the module was built with fixed ones.
    """
    if uses_batch_statistics(node.proto):
        return _by_batch_statistics(node)
    x, scale, bias = node.tensor(0), node.weight(1), node.weight(2)
    mean, var = node.tensor(3), node.tensor(4)
    momentum, epsilon = node.attr("momentum", 0.9), node.attr("epsilon", 1e-5)
    by_batch = node.tracer.by_batch()
    return (node.emit(batch_norm, x, mean, var, scale, bias, by_batch, momentum, epsilon),)


def _by_batch_statistics(node: OpNode) -> tuple[fx.Node, ...]:
    """Emit a node in training mode, and the statistics that it gives as further outputs.

    Opset 14 and later: running mean and running variance. Before: those, then the mean and the
    inverse deviation of the batch (ONNX Runtime's saved_mean and saved_var).
    """
    x, scale, bias = node.tensor(0), node.weight(1), node.weight(2)
    epsilon, momentum = node.attr("epsilon", 1e-5), node.attr("momentum", 0.9)
    if node.shape(x)[0] == 1:
        # Over one image, as declared. A training batch holds several, each as it will come: alone.
        y = node.emit(instance_norm, x, scale, bias, epsilon)
    else:
        y = node.emit(normalise_over_batch, x, scale, bias, epsilon)
    outputs = [y]
    if any(map(node.wants, range(1, 5))):
        axes = tuple(axis for axis in range(node.rank(x)) if axis != 1)
        # In bf16 x may be narrower than the running statistics.
        wide = node.step(Tensor.to, x, node.dtype(node.tensor(3)))
        mean = node.step(torch.mean, wide, axes)
        variance = node.step(torch.var, wide, axes, correction=0)
        for slot, value in ((3, mean), (4, variance)):
            outputs.append(node.step(torch.lerp, value, node.tensor(slot), momentum))
        outputs += [mean, node.step(inverse_deviation, variance, epsilon)]
    return tuple(outputs)


def normalise_over_batch(x: Tensor, weight: Tensor, bias: Tensor, epsilon: float) -> Tensor:
    """Normalise N,C,... by channel, by the statistics of x itself, all images together."""
    wide = torch.promote_types(x.dtype, torch.float32)  # as in `instance_norm`
    return _normalised(x, weight.to(wide), bias.to(wide), None, None, True, 0.0, epsilon)


def inverse_deviation(variance: Tensor, epsilon: float) -> Tensor:
    """1 / sqrt(variance + epsilon)."""
    return torch.rsqrt(variance + epsilon)


def batch_norm(
    x: Tensor,
    mean: Tensor,
    var: Tensor,
    weight: Tensor,
    bias: Tensor,
    by_batch: bool,
    momentum: float,
    epsilon: float,
) -> Tensor:
    """Normalise N,C,... by channel: by `mean` and `var`, or by the batch's own statistics.

    The latter update `mean` and `var` as ONNX defines it:
    running = momentum * running + (1 - momentum) * batch (ONNX operator BatchNormalization), so
    `momentum` is the share that stays, where PyTorch's `momentum` is the share that is replaced.
    The variance of the batch is the population's, where PyTorch divides by n - 1. A single value
    per channel (a bottleneck of 1x1 at a batch of one) has no variance: the stored statistics
    serve it in training too.
    """
    count = x.numel() // x.shape[1]
    if not by_batch or count == 1:
        return _normalised(x, weight, bias, mean, var, False, 0.0, epsilon)
    kept = momentum * var
    y = _normalised(x, weight, bias, mean, var, True, 1 - momentum, epsilon)
    # Through .data: autograd has saved `var`, yet the gradient in training does not read it.
    var.data.sub_((var.data - kept) / count)
    return y


def _normalised(
    x: Tensor,
    weight: Tensor,
    bias: Tensor,
    mean: Tensor | None,
    var: Tensor | None,
    training: bool,
    replaced: float,
    epsilon: float,
) -> Tensor:
    """Call PyTorch's kernel, which takes a single value per channel; F.batch_norm refuses it."""
    fast = torch.backends.cudnn.enabled
    return torch.batch_norm(x, weight, bias, mean, var, training, replaced, epsilon, fast)
