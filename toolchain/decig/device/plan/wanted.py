"""Targets as people ask for them: a latency, a speed-up, or multiply-accumulates."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from decig.errors import BadInputError

UNITS = {"T": 1e12, "G": 1e9, "M": 1e6, "k": 1e3}
"""Multiply-accumulates that a letter behind a number stands for, the largest first."""
Kind = Literal["latency", "speedup", "macs"]


@dataclass(frozen=True)
class Wanted:
    """One target.

    Attributes:
        kind: what the number counts: milliseconds, times faster than the whole model, or
            multiply-accumulates (below 1: a share of the whole model's).
        number: what is asked for.
    """

    kind: Kind
    number: float

    @property
    def name(self) -> str:
        """Name of the target and of its folder: 20ms, 4x, 2Gmacs."""
        if self.kind == "latency":
            return f"{self.number:g}ms"
        if self.kind == "speedup":
            return f"{self.number:g}x"
        unit = next((unit for unit, size in UNITS.items() if self.number >= size), "")
        return f"{self.number / UNITS.get(unit, 1):g}{unit}macs"

    def counted(self, as_it_is: float) -> float:
        """Turn it into what a goal counts: milliseconds, or millions of multiply-accumulates.

        Args:
            as_it_is: the whole model's, in the same unit.
        """
        if self.kind == "latency":
            return self.number
        if self.kind == "speedup":
            return as_it_is / self.number
        return as_it_is * self.number if self.number < 1 else self.number / 1e6


def in_order(kind: Kind, numbers: Sequence[float]) -> list[Wanted]:
    """Sort targets of one kind, the slowest first.

    Raises:
        BadInputError: one is not above 0 (a speed-up: below 1) or named twice, or shares and
            numbers of multiply-accumulates are mixed.
    """
    least = 1.0 if kind == "speedup" else 0.0
    for number in numbers:
        if not (math.isfinite(number) and number > 0 and number >= least):
            raise BadInputError(f"target {kind}: {number:g} cannot be reached; see the help")
    if kind == "macs" and len({number < 1 for number in numbers}) > 1:
        raise BadInputError(
            "target macs: give shares of the model's (0.5,0.25), or numbers, not both"
        )
    found = [Wanted(kind, number) for number in sorted(numbers, reverse=kind != "speedup")]
    names = [target.name for target in found]
    if twice := next((name for name in names if names.count(name) > 1), None):
        raise BadInputError(f"target {kind}: {twice} is named twice")
    return found
