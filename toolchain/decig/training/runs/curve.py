"""How training went, written down while it goes on: the curve of a run (`decig.records.Point`)."""

import math
import time
from dataclasses import dataclass

from decig import records
from decig.progress import Progress
from decig.records import Point
from decig.training.runs.run import RunFolder

_EVERY_S, _EVERY_SHARE = 1.0, 1e-3
"""Least time between two points: seconds, and a share of the time so far, so that the curve of a
training of days stays small."""


@dataclass
class Curve:
    """Progress that is shown as before, and whose figures are added to the curve of a run.

    The last point of each step is written when the next step begins.

    Attributes:
        run: the run folder.
        shown: told what this one is told.
    """

    run: RunFolder
    shown: Progress

    def __post_init__(self) -> None:
        """Start the clock."""
        self._began, self._next = time.monotonic(), 0.0
        self._pending: Point | None = None

    def __call__(self, step: str, share: float, figures: dict[str, float]) -> None:
        """Show how far a step is, and remember its figures where they tell of training."""
        if self._pending is not None and self._pending.step != step:
            self._write()
        if "loss" in figures or "ssim" in figures:
            seconds = time.monotonic() - self._began
            self._pending = Point(
                step=step,
                at=min(max(share, 0.0), 1.0),
                seconds=round(seconds, 1),
                figures={name: _rounded(value) for name, value in figures.items()},
            )
            if seconds >= self._next:
                self._next = seconds + max(_EVERY_S, _EVERY_SHARE * seconds)
                self._write()
        self.shown(step, share, figures)

    def _write(self) -> None:
        if self._pending is not None:
            records.add_point(self.run.path, self._pending)
            self._pending = None


def _rounded(value: float) -> float | None:
    return float(f"{value:.6g}") if math.isfinite(value) else None
