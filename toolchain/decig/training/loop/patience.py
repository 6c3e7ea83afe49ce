"""Ending training where nothing improves any more.

A student is looked at now and then while it trains: what it paints of the held-out images is
compared with its teacher's pictures. By these looks alone training ends before its budget does

- at once, where the pictures cannot be told from the teacher's, so that nothing is left to gain;
- where no look in a stretch of the budget (`patience`) was better than the look at the beginning of
  that stretch, which must lie in the second half of the budget. In the first half the learning rate
  is still high: a student that stands still there, or gets worse, may gain when the rate falls.

What counts as better is as small as the figures that people are shown: a student that still gains
anything they could read off goes on. Looks come at fixed shares of the budget and are part of the
saved state, so that with a budget in steps the end follows from the seed, after a resume too. With
a budget in seconds every look takes time from training, so there are fewer where they take long.
"""

import time
from collections.abc import Callable
from typing import Any

from decig.quality.metrics import Likeness

LOOKS = 20
"""Looks at a student, spread evenly over the budget."""
LOOKING_SHARE = 0.2
"""Share of a budget in seconds that looks may take: on a GPU, training between two is short."""
_ROUNDING = 1e-9
"""Of shares of the budget."""
_HALF = 0.5
"""Share of the budget before which standing still does not count."""
_GAIN = Likeness(ssim=1e-4, psnr_db=0.01)
"""What a later look must be better by in one of its figures."""
_ALIKE = Likeness(ssim=1 - 1e-4, psnr_db=50.0)
"""From here on pictures cannot be told apart: their difference is below one of 255 grey levels."""


class Patience:
    """Looks at a student while it trains, as a part of the engine, and says when to stop.

    Attributes:
        looks: progress from 0 to 1 and what was seen, in the order of the looks. Complete in the
            process that looks alone.
        reason: why training should end; empty while it should not.
    """

    def __init__(
        self,
        look: Callable[[], Likeness] | None,
        before: Likeness,
        patience: float,
        *,
        timed: bool = False,
    ) -> None:
        """Begin with what is known before training.

        Args:
            look: compares the student with its teacher; None in processes that leave that to the
                main one.
            before: what it would find now.
            patience: share of the budget in which something must improve; 0 never ends training.
            timed: whether the budget is one of seconds, of which looks take `LOOKING_SHARE` at
                most.
        """
        self._look, self._patience, self._timed = look, patience, timed
        self._rests_until = 0.0
        self.looks: list[tuple[float, Likeness]] = [(0.0, before)]

    @property
    def latest(self) -> Likeness:
        """What the last look found."""
        return self.looks[-1][1]

    @property
    def done(self) -> bool:
        """Whether training should end."""
        return bool(self.reason)

    @property
    def reason(self) -> str:
        """Why training should end; empty while it should not."""
        if not self._patience:
            return ""
        now, seen = self.looks[-1]
        if seen.ssim >= _ALIKE.ssim and seen.psnr_db >= _ALIKE.psnr_db:
            return "the pictures cannot be told from the original's"
        begun = [
            k for k, (at, _) in enumerate(self.looks) if at <= now - self._patience + _ROUNDING
        ]
        if not begun or self.looks[begun[-1]][0] < _HALF - _ROUNDING:
            return ""
        (_, first), *stretch = self.looks[begun[-1] :]
        if any(_better(each, first) for _, each in stretch):
            return ""
        return f"nothing improved over {self._patience:.0%} of the budget"

    def after_update(self, step: int, progress: float) -> None:
        """Look at the student if a look is due."""
        due = self.looks[-1][0] + 1 / LOOKS - _ROUNDING
        began = time.monotonic()
        if self._look is None or progress < due or began < self._rests_until:
            return
        self.looks.append((progress, self._look()))
        if self._timed:
            now = time.monotonic()
            self._rests_until = now + (now - began) / LOOKING_SHARE

    def state_dict(self) -> dict[str, Any]:
        """Return the looks so far."""
        return {"looks": [[at, each.ssim, each.psnr_db] for at, each in self.looks]}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from the looks of a run that was stopped."""
        self.looks = [(at, Likeness(ssim, psnr_db)) for at, ssim, psnr_db in state["looks"]]


def _better(later: Likeness, earlier: Likeness) -> bool:
    return (
        later.ssim >= earlier.ssim + _GAIN.ssim or later.psnr_db >= earlier.psnr_db + _GAIN.psnr_db
    )
