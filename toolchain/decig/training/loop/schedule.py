"""How long training takes, and how its learning rate changes on the way."""

import itertools
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

Schedule = Callable[[float], float]
"""Gives the factor on the learning rate for a progress from 0 (the first step) to 1 (the end)."""


@dataclass(frozen=True)
class Budget:
    """How long to train: seconds of wall clock, or steps, which make runs reproducible.

    Attributes:
        seconds: of training; None where steps are counted.
        steps: of training; None where time is taken.
    """

    seconds: float | None = None
    steps: int | None = None

    def progress(self, step: int, elapsed_s: float) -> float:
        """Progress from 0 to 1 after a number of steps and of seconds."""
        if self.steps is not None:
            return min(1.0, step / self.steps) if self.steps else 1.0
        return min(1.0, elapsed_s / self.seconds) if self.seconds else 1.0

    def parts(self, shares: Sequence[float]) -> list["Budget"]:
        """Part the budget by shares, from 0 to 1 and 1 in all at most.

        Steps are rounded so that all parts together have as many as the shares together have.
        """
        if self.steps is None:
            return [Budget(seconds=(self.seconds or 0.0) * share) for share in shares]
        ends = [round(self.steps * share) for share in itertools.accumulate(shares, initial=0.0)]
        return [Budget(steps=end - begin) for begin, end in itertools.pairwise(ends)]


def constant(progress: float) -> float:
    """Keep the learning rate as it is."""
    return 1.0


@dataclass(frozen=True)
class HoldThenFall:
    """Keep the learning rate for a while, then let it fall to zero in a straight line.

    Zhu et al., "Unpaired Image-to-Image Translation using Cycle-Consistent Adversarial Networks"
    (ICCV 2017), section 4, where it falls from the middle on; the public code trains pix2pix by
    the same schedule.

    Attributes:
        hold: progress at which the learning rate begins to fall; at 1 it never does.
    """

    hold: float = 0.5

    def __call__(self, progress: float) -> float:
        """Return the factor on the learning rate."""
        return 1.0 if self.hold >= 1 else min(1.0, (1.0 - progress) / (1.0 - self.hold))


@dataclass(frozen=True)
class WarmUpThenCosine:
    """Let the learning rate rise in a straight line, then fall to zero along half a cosine.

    Loshchilov and Hutter, "SGDR: Stochastic Gradient Descent with Warm Restarts" (ICLR 2017),
    equation 5, without restarts.

    Attributes:
        warm_up: progress at which the learning rate is reached.
    """

    warm_up: float

    def __call__(self, progress: float) -> float:
        """Return the factor on the learning rate."""
        if progress < self.warm_up:
            return (progress + 1e-3) / (self.warm_up + 1e-3)
        return 0.5 * (1 + math.cos(math.pi * (progress - self.warm_up) / (1 - self.warm_up)))
