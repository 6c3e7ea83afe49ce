"""Prediction that learns from the plans that were tried.

A planner picks widths whose predicted cost is low, so it finds those whose prediction is too low.
Once such a plan is measured node by node, its widths are in the cost table, and the next plan
avoids them where they do not pay.
"""

from collections.abc import Callable, Mapping
from dataclasses import replace

import numpy as np

from decig.device.cost.predict import Predictor
from decig.device.cost.table import CostTable, SweepPoint, Widths
from decig.device.run.timing import Latency


class Learner:
    """A cost table that takes in measured plans; the table it was made from stays as it is."""

    def __init__(
        self,
        table: CostTable,
        profile: Callable[[Widths], Mapping[str, float]],
        predictor: Predictor,
    ) -> None:
        """Prepare.

        Args:
            table: table of the model, with a sweep.
            profile: gives the microseconds of each original node at widths, at any pace of the
                machine; none where only whole graphs can be timed, from which prediction learns
                too.
            predictor: made from the table.
        """
        self._table, self._profile = table, profile
        latency = np.array([point.latency_us.median for point in table.sweep])
        nodes = np.array([sum(point.nodes.values()) for point in table.sweep])
        self._share = float(np.median(nodes / latency))
        self._scale = predictor.scale

    def __call__(self, widths: Widths, measured_ms: float) -> Predictor:
        """Learn from a plan and return the predictor that knows it.

        The profile says how the time is shared out between the nodes. How much time it is says the
        measurement, which ran in turns with the whole model. Predictions are the sweep's times
        multiplied by a scale, so the plan joins the sweep divided by that scale. The surface is
        smooth: where a plan was far slower than predicted, its new prediction lies between.
        """
        nodes, us = self._profile(widths), measured_ms * 1000.0 / self._scale
        factor = self._share * us / max(sum(nodes.values()), 1e-9)
        point = SweepPoint(
            {name: widths[name] for name in self._table.groups},
            Latency(us, 0.0, us, 1),
            {name: spent * factor for name, spent in nodes.items()},
        )
        self._table = replace(self._table, sweep=(*self._table.sweep, point))
        return Predictor(self._table)
