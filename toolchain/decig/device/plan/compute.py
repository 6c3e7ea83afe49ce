"""The target of a compression for which no device is named: multiply-accumulates.

Widths then follow from the graph and from how much channels matter; nothing is profiled and nothing
measured. `decig.device.plan.target.Target` is the other kind of target; both answer what training
asks.
"""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import onnx

from decig.device.cost.macs import MACS_PER_MS, MacsPredictor
from decig.device.cost.table import CostTable, Widths
from decig.device.plan.bench import Bench
from decig.device.plan.elimination import ROUNDING
from decig.device.plan.planner import fastest_widths, plan_widths
from decig.device.plan.tighten import Met, Trial, lost
from decig.device.run.fingerprint import Fingerprint
from decig.errors import TargetMissedError
from decig.graph.channels import ChannelMap
from decig.graph.model import Model


@dataclass(frozen=True)
class MacsTarget:
    """A model whose multiply-accumulates are to be fewer.

    A million of them stands where `Target` has a millisecond.

    Attributes:
        model: the model.
        channels: its channel groups.
        table: None: there is none.
        device: None: likewise.
        bench: None: nothing is measured.
        warnings: none.
        caveats: none.
        as_it_is_ms: millions of multiply-accumulates of the whole model.
    """

    model: Model
    channels: ChannelMap
    table: CostTable | None = None
    device: Fingerprint | None = None
    bench: Bench | None = None
    warnings: tuple[str, ...] = ()
    caveats: tuple[str, ...] = ()

    @cached_property
    def predictor(self) -> MacsPredictor:
        """Multiply-accumulates at any widths."""
        return MacsPredictor(self.model.proto, self.channels)

    def rewrites(self, proto: onnx.ModelProto) -> tuple[str, ...]:
        """None: nothing says which of them would pay."""
        return ()

    @property
    def as_it_is_ms(self) -> float:
        """Millions of multiply-accumulates of the whole model."""
        return self.predictor.baseline_ms

    def require_same_model(self, model: Model, channels: ChannelMap) -> None:
        """There is no cost table that could be of another model."""

    def require_reachable(
        self, target_ms: float, sliced: Callable[[Widths], onnx.ModelProto] | None = None
    ) -> None:
        """Refuse what the narrowest widths do not reach.

        Args:
            target_ms: millions of multiply-accumulates.
            sliced: as for `Target.require_reachable`; nothing is measured here.

        Raises:
            TargetMissedError: they have more multiply-accumulates.
        """
        predictor = self.predictor
        least = predictor.predict_ms(fastest_widths(predictor, predictor.groups))
        if least > target_ms * (1 + ROUNDING):
            whole = self.as_it_is_ms
            raise TargetMissedError(
                f"a target of {_millions(target_ms, whole)} is out of reach: with every group at "
                f"its narrowest the model has {_millions(least, whole)}"
            )

    def plan(
        self,
        loss: Mapping[str, np.ndarray],
        target_ms: float,
        sliced: Callable[[Widths], onnx.ModelProto],
        *,
        tell: Callable[[dict[str, float]], None],
    ) -> Met:
        """Find the widths that lose least; arguments and errors as for `Target.plan`."""
        self.require_reachable(target_ms)
        widths = plan_widths(self.predictor, loss, target_ms)
        counted = self.predictor.predict_ms(widths)
        tell(self.predicted(counted))
        trial = Trial(widths, lost(loss, widths), counted, 0.0, ())
        return Met(trial, (trial,))

    def measure_again(self, proto: onnx.ModelProto, target_ms: float | None) -> None:
        """Nothing is measured."""

    def spent(self) -> dict[str, float]:
        """Millions of multiply-accumulates of every node that has any."""
        return {name: macs / MACS_PER_MS for name, macs in self.predictor.by_node.items()}

    def predicted(self, predicted_ms: float) -> dict[str, float]:
        """What progress shows of a prediction."""
        return {"predicted_macs": predicted_ms * MACS_PER_MS}

    def prediction(self, predicted_ms: float) -> dict[str, Any]:
        """What a report says of a prediction."""
        return {"predicted_latency_ms": None, "predicted_macs": round(predicted_ms * MACS_PER_MS)}

    def asked(self, target_ms: float | None) -> dict[str, Any]:
        """What a report says of what was asked for."""
        macs = None if target_ms is None else round(target_ms * MACS_PER_MS)
        return {"target_latency_ms": None, "target_macs": macs, "original_latency_ms": None}

    def record(self, target_ms: float | None) -> dict[str, Any]:
        """What the file of a run says of it."""
        return {"target_macs": None if target_ms is None else round(target_ms * MACS_PER_MS)}

    def leave(self, folder: Path) -> None:
        """There is no cost table to leave in a run folder."""


def _millions(millions: float, whole: float) -> str:
    """Millions of multiply-accumulates in words, and their share of the whole model's."""
    digits = max(0, 2 - math.floor(math.log10(millions))) if millions > 0 else 0
    return f"{millions:,.{digits}f} MMACs ({100 * millions / whole:.3g} % of the model's)"
