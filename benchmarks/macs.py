"""Multiply-accumulates as the cost of widths: what planning without a device goes by."""

from collections.abc import Callable, Iterator, Mapping
from functools import partial

import numpy as np
import onnx

from decig.device.cost.macs import MacsPredictor
from decig.device.cost.table import CostTable
from decig.device.cost.terms import LatencyTerm
from decig.graph.channels import analyse


class MacsCost(MacsPredictor):
    """Multiply-accumulates in the time that they were measured to take.

    Attributes:
        baseline_ms: of the whole model, as the table has it.
    """

    def __init__(self, proto: onnx.ModelProto, table: CostTable) -> None:
        self._factor = 1.0
        super().__init__(proto, analyse(proto))
        self.baseline_ms = table.latency_us.median_ms
        self.calibrate(self.groups, self.baseline_ms)

    def calibrate(self, widths: Mapping[str, int], measured_ms: float) -> None:
        """Say how long a plan took, so that the next one is looked for from there."""
        self._factor *= measured_ms / self.predict_ms(widths)

    def terms(self) -> Iterator[LatencyTerm]:
        """Yield `predict_many` as a sum over nodes."""
        for term in super().terms():
            yield LatencyTerm(term.groups, partial(self._scaled, term.us))

    def _scaled(self, us: Callable[[np.ndarray], np.ndarray], widths: np.ndarray) -> np.ndarray:
        return us(widths) * self._factor

    def predict_many(self, widths: np.ndarray) -> np.ndarray:
        """Predicted microseconds of many plans [plans, groups]: [plans]."""
        return super().predict_many(widths) * self._factor
