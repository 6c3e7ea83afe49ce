"""Widths for a latency, tried on the device where that is at hand."""

from collections.abc import Callable, Mapping

import numpy as np
import onnx

from decig.device.cost.predict import Predictor
from decig.device.cost.table import CostTable
from decig.device.plan.learn import Learner
from decig.device.plan.tighten import Met, meet_target

Measure = Callable[[onnx.ModelProto], float]
"""Latency in ms of a sliced graph on the device, as it would be deployed."""
Profile = Callable[[onnx.ModelProto], Mapping[str, float]]
"""Microseconds of each original node in a sliced graph, likewise; none where the provider hides
its kernels."""
Widths = dict[str, int]


def reach(
    predictor: Predictor,
    table: CostTable,
    loss: Mapping[str, np.ndarray],
    target_ms: float,
    sliced: Callable[[Widths], onnx.ModelProto],
    *,
    measure: Measure | None,
    profile: Profile | None,
    tell: Callable[[dict[str, float]], None],
    most: Mapping[str, int] | None = None,
) -> Met:
    """Find the widths that meet a latency at the least loss.

    Args:
        predictor: from `table`.
        table: of the model on the device.
        loss: as in `decig.device.plan.planner.plan_widths`.
        target_ms: the latency.
        sliced: the graph at widths.
        measure: on the device; None where that is not at hand, and the table must do.
        profile: there too; with it, prediction learns from what is tried.
        tell: told the milliseconds of every plan, as measured, and as predicted by what was known.
        most: channels of the groups of `sliced`, where those are fewer than the table's.

    Raises:
        TargetMissedError: out of reach; says how fast the fastest plan is.
    """

    def say(widths: Widths, **more: float) -> None:
        tell({"predicted_ms": predictor.predict_ms(widths)} | more)

    if measure is None:
        met = meet_target(predictor, loss, target_ms, None)
        say(met.widths)
        return met

    def time(widths: Widths) -> float:
        measured = measure(sliced(widths))
        say(widths, measured_ms=measured)
        return measured

    if profile is None:
        return meet_target(predictor, loss, target_ms, time)
    learner = Learner(table, lambda widths: profile(sliced(widths)), predictor)

    def learn(widths: Widths, measured_ms: float) -> Predictor:
        nonlocal predictor
        there = {name: min(width, (most or widths)[name]) for name, width in widths.items()}
        predictor = learner(there, measured_ms)
        return predictor

    return meet_target(predictor, loss, target_ms, time, learn)
