"""The running mean of a net's weights while they are trained; it is what is kept of them."""

import torch
from torch import Tensor, nn


@torch.no_grad()
def follow(mean: nn.Module, trained: nn.Module, *, decay: float, step: int) -> None:
    """Move mean weights after the trained ones, faster while there is little history.

    Running statistics are means already, and counters no weights: both are copied.

    Args:
        mean: changed in place.
        trained: a net of the same shape.
        decay: share of the mean that stays, once there is history.
        step: steps that were taken before.
    """
    means: list[Tensor] = list(mean.parameters())
    values: list[Tensor] = list(trained.parameters())
    torch._foreach_lerp_(means, values, 1 - min(decay, (1 + step) / (10 + step)))
    for kept, value in zip(mean.buffers(), trained.buffers(), strict=True):
        kept.copy_(value)
