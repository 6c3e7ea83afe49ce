"""Whether pictures look as if they had the range that is stated for them.

A wrong range of the input or of the output mostly shows in the pictures: nearly all of their values
lie past one end of the range, or in a sliver of it. What real models may paint must pass: dark
photos, night scenes, drawings on white, masks that are empty in most pictures, and values that
overshoot a little. Measured with the right ranges, at most 4 % of the values of eight style,
super-resolution and translation models lie outside, all of them less than a tenth of the range.
"""

import numpy as np

_MARGIN = 0.01
"""How far values may overshoot an end, as a share of the range."""
_HALF = 0.5
"""Share of the values beyond one end that no trained model has with its right range: the darker
half of pictures between -1 and 1 that are said to lie between 0 and 1."""
_MOST = 0.75
"""Share beyond one end that models with random weights do not have either."""
_FAR = 5.0
"""Distance to the range, in lengths of it, that only a wrong scale makes."""
_OFTEN = 0.25
"""Share of the values so far away that is no outlier."""
_SLIVER = 0.03
"""Share of the range that pictures must use together: bytes taken for 0..1 use 0.004. An untrained
generator used 0.05."""
_FLAT = 0.01
"""Share of the range that some picture must use: three grey levels of 255."""
_PINNED = 0.99
"""Share of the values of colour pictures at the very ends of the range that only saturation makes:
even drawings on white are grey there, or have softer edges."""
_END = 1e-6
_COLOURFUL = 0.01
"""Mean difference of the channels from which on pictures are not grey."""


class PictureValues:
    """The values of a model's pictures, counted picture by picture."""

    def __init__(self) -> None:
        """Start without any picture."""
        self._count = self._below = self._above = self._far = self._pinned = 0
        self._low, self._high = np.inf, -np.inf
        self._spreads: list[float] = []
        self._colour: list[float] = []
        self._empty = True

    def add(self, scaled: np.ndarray) -> None:
        """Count a batch of pictures.

        Args:
            scaled: N,H,W,C, black at 0 and white at 1, not clipped. Pictures with values that are
                no numbers are left out: they are another fault.
        """
        for picture in scaled:
            if np.isfinite(picture).all():
                self._add(picture.astype(np.float32, copy=False))

    def _add(self, picture: np.ndarray) -> None:
        self._count += picture.size
        self._below += int((picture < -_MARGIN).sum())
        self._above += int((picture > 1 + _MARGIN).sum())
        self._far += int((np.abs(picture - 0.5) > _FAR + 0.5).sum())
        clipped = np.clip(picture, 0, 1)
        self._pinned += int(((clipped <= _END) | (clipped >= 1 - _END)).sum())
        low, high = np.percentile(clipped, [1, 99])
        self._spreads.append(float(high - low))
        self._colour.append(float(np.ptp(clipped, axis=-1).mean()))
        self._low = min(self._low, float(clipped.min()))
        self._high = max(self._high, float(clipped.max()))
        # A mask may be empty nearly everywhere; a picture of one channel that is white is no mask.
        self._empty &= picture.shape[-1] == 1 and high <= _FLAT

    def fault(self) -> str | None:
        """Say what no right range leads to; None where nothing is wrong, or nothing was counted."""
        if not self._count:
            return None
        below, above, far = (n / self._count for n in (self._below, self._above, self._far))
        if max(below, above) > _MOST or (below + above > _HALF and far > _OFTEN):
            return self._outside()
        used = self._high - self._low
        if used < _SLIVER:
            return f"they use {used:.1%} of the range"
        if max(self._spreads) < _FLAT and not self._empty:
            return "every one of them is flat"
        return None

    def doubt(self) -> str | None:
        """Say what only models with random weights may have with a right range; None else."""
        if not self._count:
            return None
        if max(self._below, self._above) > _HALF * self._count:
            return self._outside()
        pinned = self._pinned / self._count
        if pinned > _PINNED and np.mean(self._colour) > _COLOURFUL:
            return f"{pinned:.1%} of their values are at the very ends of the range"
        return None

    def _outside(self) -> str:
        below, above = self._below / self._count, self._above / self._count
        return f"{below:.0%} of their values lie below the range and {above:.0%} above it"
