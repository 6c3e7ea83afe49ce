"""The least loss and the least time there can be, by a cost table: what no planner gets past.

For every price p of time, plans of at most T microseconds lose at least, and plans that lose at
most L take at least (Lagrange duality, as loss + p * us is not below its least for any of them)

    max over p of [least(p) - p T],        max over p of [(least(p) - L) / p]

with least(p) the least loss + p * microseconds of all plans, found exactly
(`decig.device.plan.elimination`). The bounds hold for the predicted time, with its error.
"""

from collections.abc import Mapping

import numpy as np

from decig.device.cost.predict import Predictor
from decig.device.plan.elimination import Elimination

_PRICES = np.geomspace(1e-4, 1e4, 161)
"""Around the loss of everything per microsecond of the whole; each step is 12 %."""


class Bound:
    """Bounds over the candidate widths of one model."""

    def __init__(self, predictor: Predictor, loss: Mapping[str, np.ndarray]) -> None:
        """Find the least loss + price * microseconds at all prices."""
        widths = [
            np.array(predictor.candidates[name] if name in loss else [full])
            for name, full in predictor.groups.items()
        ]
        losses = [
            loss[name][row] if name in loss else np.zeros(1)
            for name, row in zip(predictor.groups, widths, strict=True)
        ]
        elimination = Elimination(predictor.terms(), widths, losses)
        most = sum(float(each[0]) for each in losses)
        self._prices = _PRICES * most / (predictor.baseline_ms * 1000.0)
        self._least = np.array([elimination.least(price)[1] for price in self._prices])

    def loss(self, ms: float) -> float:
        """Loss below which no plan of so many milliseconds stays."""
        return float(np.max(self._least - self._prices * ms * 1000.0))

    def ms(self, loss: float) -> float:
        """Milliseconds below which no plan of so much loss stays."""
        return float(np.max((self._least - loss) / self._prices)) / 1000.0
