"""The running mean of a net's weights while the net is trained; the mean is what is kept."""

from dataclasses import dataclass

import torch
from torch import Tensor, nn


@dataclass(frozen=True)
class Averaging:
    """How the running mean of a net's weights follows them (exponential moving average).

    After `n` steps the mean keeps the share min(decay, (1 + n) / (10 + n)) of itself: it follows
    faster while there is little history.

    Attributes:
        decay: share of the mean that stays at each step, once there is history.
        head_start: steps that count as taken before the first one.
    """

    decay: float
    head_start: int = 0

    @torch.no_grad()
    def follow(self, mean: nn.Module, trained: nn.Module, step: int) -> None:
        """Move mean weights towards the trained ones.

        Running statistics are means already, and counters are no weights: both are copied.

        Args:
            mean: changed in place.
            trained: a net of the same shape.
            step: steps that were taken before this one.
        """
        means: list[Tensor] = list(mean.parameters())
        values: list[Tensor] = list(trained.parameters())
        history = step + self.head_start
        torch._foreach_lerp_(means, values, 1 - min(self.decay, (1 + history) / (10 + history)))
        for kept, value in zip(mean.buffers(), trained.buffers(), strict=True):
            kept.copy_(value)
