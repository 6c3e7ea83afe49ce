"""The predicted latency of a model as a sum of terms, each over a few channel groups."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

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


class WidthCost(Protocol):
    """What widths cost: latency on a device, or multiply-accumulates, which stand in its place."""

    @property
    def groups(self) -> Mapping[str, int]:
        """Channels of every group; the order of the columns of `predict_many`."""
        ...

    @property
    def candidates(self) -> Mapping[str, Sequence[int]]:
        """Widths of each group worth planning with, ascending; the last is the whole group."""
        ...

    def predict_ms(self, widths: Mapping[str, int]) -> float:
        """Milliseconds; groups that `widths` leaves out keep all their channels."""
        ...

    def predict_many(self, widths: np.ndarray) -> np.ndarray:
        """Microseconds, [plans], of widths [plans, groups]."""
        ...

    def terms(self) -> Iterator[LatencyTerm]:
        """Yield `predict_many` as a sum of terms."""
        ...
