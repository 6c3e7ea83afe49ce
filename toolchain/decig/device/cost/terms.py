"""The predicted latency of a model as a sum of terms, each over a few channel groups."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class LatencyTerm:
    """A term of the latency that depends on some groups only; all terms add up to the latency.

    Attributes:
        groups: numbers of the groups, ascending.
        us: microseconds, [plans], of the widths of those groups, [plans, groups].
    """

    groups: tuple[int, ...]
    us: Callable[[np.ndarray], np.ndarray]
