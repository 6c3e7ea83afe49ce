"""Figures of pairs of pictures that come one pair at a time."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from decig.quality.metrics import psnr, ssim
from decig.quality.multiscale import SMALLEST_SIDE, ms_ssim


@dataclass(frozen=True)
class PairFigures:
    """Means over pairs of a picture and the one that it should be.

    Attributes:
        ssim: see `decig.quality.metrics.ssim`.
        ms_ssim: see `decig.quality.multiscale.ms_ssim`; None for pictures that are too small.
        psnr_db: see `decig.quality.metrics.psnr`.
        lpips: distance by the network that the user gave for it; None where none was given.
    """

    ssim: float
    ms_ssim: float | None
    psnr_db: float
    lpips: float | None = None


PairDistance = Callable[[np.ndarray, np.ndarray], float]
"""Distance of two pictures float H,W,3 RGB between 0 and 1."""


class PairMeans:
    """Takes in one pair after the other and keeps figures only."""

    def __init__(self, lpips: PairDistance | None = None) -> None:
        """Start without any pair; `lpips` is a further distance to take of each."""
        self._figures: list[tuple[float, float, float]] = []
        self._lpips = lpips
        self._distances: list[float] = []

    def __len__(self) -> int:
        """Return the number of pairs."""
        return len(self._figures)

    def add(self, wanted: np.ndarray, found: np.ndarray) -> None:
        """Compare a picture with the one that it should be: float N,H,W,3 between 0 and 1.

        Raises:
            BadInputError: they differ in shape, or are too small for SSIM.
        """
        large = min(wanted.shape[1:3]) >= SMALLEST_SIDE
        multiscale = ms_ssim(wanted, found) if large else float("nan")
        self._figures.append((ssim(wanted, found), multiscale, psnr(wanted, found)))
        self._large = large
        if self._lpips is not None:
            pairs = zip(wanted, found, strict=True)
            self._distances.append(float(np.mean([self._lpips(a, b) for a, b in pairs])))

    def result(self) -> PairFigures:
        """Return the means over the pairs, of which there must be one at least."""
        alike, multiscale, decibels = np.mean(self._figures, axis=0).tolist()
        distance = None if self._lpips is None else float(np.mean(self._distances))
        return PairFigures(alike, multiscale if self._large else None, decibels, distance)
