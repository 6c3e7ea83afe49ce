"""The target of a compression: a model on the device of its cost table.

`Target` answers whatever planning, slicing and training ask about that device: how long given
widths take by prediction, how long a sliced graph takes as measured, and which widths meet a
latency.
"""

import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import onnx

from decig.device.cost.predict import Predictor
from decig.device.cost.table import CostTable, Widths
from decig.device.plan.bench import Bench, DeployedBench
from decig.device.plan.elimination import ROUNDING
from decig.device.plan.learn import Learner
from decig.device.plan.planner import fastest_widths
from decig.device.plan.tighten import Met, meet_target
from decig.device.run.cores import available_cores
from decig.device.run.device import Device
from decig.device.run.fingerprint import Fingerprint
from decig.device.run.timing import Latency, missed
from decig.errors import BadInputError, TargetMissedError
from decig.graph.channels import ChannelMap
from decig.graph.model import Model

log = logging.getLogger(__name__)

TABLE_FILE = "profile.json"
"""The cost table in a run folder."""
_MEASUREMENTS = 3
"""Most measurements of a graph that misses its target."""
_FAR = 1.5
"""Times slower than asked that the fastest widths may be predicted to be where they can be
measured: predictions err by a fifth at most (benchmarks/results/prediction.md)."""


@dataclass(frozen=True)
class Target:
    """A model on the device of its cost table.

    Attributes:
        table: what the model costs on the device.
        bench: measures slimmer versions on the device; None where this machine is another one, so
            that there are only predictions.
        warnings: why the table's figures may be off, one line each, for reports.
    """

    table: CostTable
    bench: Bench | None = None
    warnings: tuple[str, ...] = ()

    @classmethod
    def of(cls, table: CostTable, model: Model, *, force: bool) -> "Target":
        """Check that a table holds for this machine, and prepare to measure on it.

        Args:
            table: the cost table of some device.
            model: the model that the table was taken of.
            force: whether to plan with a table of another device nevertheless: milliseconds are
                then predicted, and nothing is measured.

        Raises:
            BadInputError: the table belongs to another device and `force` is false.
        """
        warnings = list(table.doubts)
        reason = Device.elsewhere(table.device)
        if reason is not None:
            text = f"the cost table belongs to another device: {reason}"
            if not force:
                raise BadInputError(
                    f"{text}; profile MODEL here, or plan for that device with --force"
                )
            warnings.append(f"{text}; the latency is predicted and was not measured")
        elif table.device.threads > available_cores():
            warnings.append(
                f"the cost table was taken on {table.device.threads} cores, and this process "
                f"has {available_cores()} for itself: latencies measured here are estimates"
            )
        for warning in warnings:
            log.warning("%s", warning)
        bench = DeployedBench(table, model) if reason is None else None
        return cls(table, bench, tuple(warnings))

    @property
    def device(self) -> Fingerprint:
        """The device of the cost table."""
        return self.table.device

    @cached_property
    def predictor(self) -> Predictor:
        """Predicted latency at any widths; BadInputError if the table has no sweep."""
        return Predictor(self.table)

    def rewrites(self, proto: onnx.ModelProto) -> tuple[str, ...]:
        """Names of the exact rewrites with which a slimmer graph is deployed.

        Where nothing can be measured, these are all that the table's graph was measured with.
        """
        return self.table.rewrites if self.bench is None else self.bench.rewrites(proto)

    @property
    def caveats(self) -> tuple[str, ...]:
        """Why figures may be off: those of the table, and what was measured so far."""
        return (*self.warnings, *(() if self.bench is None else self.bench.doubts))

    @property
    def as_it_is_ms(self) -> float:
        """Latency of the model without any rewrite: what a speed-up is counted from."""
        return self.table.as_it_is_ms

    def require_same_model(self, model: Model, channels: ChannelMap) -> None:
        """Check that the cost table is one of this model; errors as `CostTable` has them."""
        self.table.require_same_model(model, channels)

    def require_reachable(
        self, target_ms: float, sliced: Callable[[Widths], onnx.ModelProto] | None = None
    ) -> None:
        """Refuse a latency that is out of reach, before anything is scored or trained.

        Where plans can be measured, prediction may be wrong: what is not far out of reach is
        measured, or else not refused here.

        Args:
            target_ms: the latency in milliseconds.
            sliced: makes the graph of given widths, to be measured; None measures nothing.

        Raises:
            BadInputError: the table has no sweep to predict by.
            TargetMissedError: the fastest widths take longer, by prediction or as measured.
        """
        predictor = self.predictor
        widths = fastest_widths(predictor, predictor.groups)
        least = predictor.predict_ms(widths)
        if least <= target_ms * (1 + ROUNDING):
            return
        known = "as its cost table says"
        if self.bench is not None and least <= target_ms * _FAR:
            measured = None if sliced is None else self.measure_again(sliced(widths), target_ms)
            if measured is None or not missed(measured, target_ms):
                return
            least, known = measured, "as measured"
        raise TargetMissedError(
            f"a target of {target_ms:.4g} ms is out of reach: with every group at its narrowest "
            f"the model takes {least:.4g} ms on this device, {known}"
        )

    def plan(
        self,
        loss: Mapping[str, np.ndarray],
        target_ms: float,
        sliced: Callable[[Widths], onnx.ModelProto],
        *,
        tell: Callable[[dict[str, float]], None],
    ) -> Met:
        """Find the widths that meet a latency at the least loss, and try them if there is a bench.

        Args:
            loss: loss by group, as for `decig.device.plan.planner.plan_widths`; curves are as long
                as the groups of the graph that `sliced` cuts.
            target_ms: the latency in milliseconds.
            sliced: makes the graph of given widths.
            tell: told the milliseconds of every plan, as measured and as predicted by what was
                known when it was tried.

        Raises:
            TargetMissedError: out of reach; says how fast the fastest plan is.
        """
        predictor = self.predictor

        def say(widths: Widths, **more: float) -> None:
            tell(self.predicted(predictor.predict_ms(widths)) | more)

        bench = self.bench
        if bench is None:
            met = meet_target(predictor, loss, target_ms, None)
            say(met.widths)
            return met

        def time(widths: Widths) -> Latency:
            measured = bench.latency(sliced(widths))
            say(widths, measured_ms=measured.median_ms)
            return measured

        if not bench.learns:
            return meet_target(predictor, loss, target_ms, time, pause=bench.pause)
        learner = Learner(self.table, lambda widths: bench.node_us(sliced(widths)), predictor)

        def learn(widths: Widths, measured_ms: float) -> Predictor:
            nonlocal predictor
            predictor = learner(widths, measured_ms)
            return predictor

        return meet_target(predictor, loss, target_ms, time, learn, bench.pause)

    def measure_again(self, proto: onnx.ModelProto, target_ms: float | None) -> float | None:
        """Measure a sliced graph once more, before anything expensive is made of it.

        Whatever else the machine does may disturb a measurement. So one that misses the target is
        repeated after pauses, and the median counts.

        Args:
            proto: the graph.
            target_ms: latency that it was planned for; None where none was asked for.

        Returns:
            Milliseconds; None where this machine is not the table's device.
        """
        if self.bench is None:
            return None
        found = [self.bench.latency(proto).median_ms]
        while missed(float(np.median(found)), target_ms) and len(found) < _MEASUREMENTS:
            self.bench.pause()
            found.append(self.bench.latency(proto).median_ms)
        return float(np.median(found))

    def spent(self) -> dict[str, float]:
        """Microseconds of every node, as measured."""
        return {node.name: node.latency_us for node in self.table.nodes}

    def predicted(self, predicted_ms: float) -> dict[str, float]:
        """What progress shows of a prediction."""
        return {"predicted_ms": predicted_ms}

    def prediction(self, predicted_ms: float) -> dict[str, Any]:
        """What a report says of a prediction."""
        return {"predicted_latency_ms": predicted_ms}

    def asked(self, target_ms: float | None) -> dict[str, Any]:
        """What a report says of what was asked for."""
        return {"target_latency_ms": target_ms, "original_latency_ms": self.as_it_is_ms}

    def record(self, target_ms: float | None) -> dict[str, Any]:
        """What the file of a run says of it."""
        return {"device": self.device.to_dict(), "target_ms": target_ms}

    def leave(self, folder: Path) -> None:
        """Leave the cost table in a run folder."""
        self.table.save(folder / TABLE_FILE)
