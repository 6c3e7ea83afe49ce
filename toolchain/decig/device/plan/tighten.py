"""Widths whose measured latency meets a target: plan, measure, aim again.

Predictions are a few percent off, more for narrow nets. So a plan that was too slow is made again
for a shorter time, and one that was faster than asked for a longer one: time that is left over is
importance given away. Where the plan can be profiled too, the prediction learns from it.

Measurements may be off too: whatever else the machine does slows a slim graph and the whole model,
between whose runs it is timed, by different factors. So a plan that seems to fit, but was measured
to be faster than predicted by more than both are in doubt, is measured again some time later,
before it is accepted and before the prediction learns from it. One that was slower than predicted
and fits all the same fits whichever of the two is right, and is not measured again; if it was the
machine that was slow, some importance is given away.
"""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

import numpy as np

from decig.device.cost.predict import Predictor
from decig.device.cost.table import Widths
from decig.device.plan.planner import fastest_widths, plan_widths
from decig.device.run.timing import OVER, Latency
from decig.errors import TargetMissedError

_TRIALS = 8
"""Plans that are tried at most before a search that found none that fits descends."""
_DESCENT = (0.1, 0.25, 0.5, 0.75, 1.0)
"""How far plans of a descent lie on the way to the fastest one, in logarithms of latency."""
_NEAR = 0.96
"""Measured latency, as a share of the target, from which on a plan that fits ends the search."""
_WISH = 0.985
"""Share of the target that is aimed at."""
_INSIDE = 0.1
"""Least distance of an aim from the trials on either side of it, as a share of their distance."""
_LOWER = 0.96
"""Share of an aim that is aimed at next where the same plan, which was too slow, comes again."""
_GAIN = 0.005
"""How much less loss, as a share of it, makes another plan worth measuring."""
_DEVIATIONS = 2.0
"""How many standard deviations apart two figures disagree."""
_REPEATS_WITHIN = 0.01
"""Standard deviation between two measurements that nothing disturbed, as a share."""
_MEASUREMENTS = 3
"""Measurements of one plan of which the median is taken, whatever they say."""


@dataclass(frozen=True)
class Trial:
    """A plan that was tried.

    Attributes:
        widths: channels kept of each group.
        loss: what the plan loses.
        predicted_ms: predicted latency, by what was known before it was measured.
        doubt: standard deviation of the prediction, as a share of it.
        measured: its latency each time that it was measured; empty where it was only predicted.
    """

    widths: Widths
    loss: float
    predicted_ms: float
    doubt: float
    measured: tuple[Latency, ...]

    @property
    def measured_ms(self) -> float:
        """Measured latency; the median where there are several."""
        return float(np.median([each.median_ms for each in self.measured]))

    @property
    def believed(self) -> bool:
        """Whether it is no faster than predicted, or else was measured alike twice.

        If neither is so, it is believed after several measurements.
        """
        if len(self.measured) >= _MEASUREMENTS:
            return True
        last, errors = self.measured[-1], [each.uncertainty for each in self.measured]
        if len(self.measured) == 1:
            slower = last.median_ms >= self.predicted_ms
            return slower or _agree(last.median_ms, self.predicted_ms, errors[0], self.doubt)
        return _agree(last.median_ms, self.measured[0].median_ms, *errors, _REPEATS_WITHIN)


@dataclass(frozen=True)
class Met:
    """How a search ended.

    Attributes:
        best: the plan that was found.
        trials: all plans that were tried, that one included, in their order.
    """

    best: Trial
    trials: tuple[Trial, ...]

    @property
    def widths(self) -> Widths:
        """Channels that the plan keeps of each group."""
        return self.best.widths

    @property
    def measured_ms(self) -> float | None:
        """The latency that was measured with it; None if nothing was measured."""
        return self.best.measured_ms if self.best.measured else None


def _agree(one: float, other: float, *doubts: float) -> bool:
    """Whether two figures differ by no more than doubts about them, given as shares."""
    return abs(math.log(one / other)) <= _DEVIATIONS * math.hypot(*doubts)


def meet_target(
    predictor: Predictor,
    loss: Mapping[str, np.ndarray],
    target_ms: float,
    measure: Callable[[Widths], Latency] | None,
    learn: Callable[[Widths, float], Predictor] | None = None,
    pause: Callable[[], None] = lambda: None,
) -> Met:
    """Plan widths that meet a latency at the least loss.

    Args:
        predictor: predicts the model's latency on the device.
        loss: loss by group, as for `decig.device.plan.planner.plan_widths`.
        target_ms: the latency in milliseconds.
        measure: latency of a plan on the device; None where the device is not here, and only the
            prediction is known.
        learn: takes a plan and its milliseconds and gives the predictor that knows them, as
            `decig.device.plan.learn.Learner` does; None where only the aim is to be corrected.
        pause: waits until whatever disturbed a measurement may have passed.

    Returns:
        Of the widths that were measured to take at most 1.01 of the target, those that lose least.

    Raises:
        TargetMissedError: out of reach; says how fast the fastest plan is, as measured.
    """
    if measure is None:
        planned = _plan(predictor, loss, plan_widths(predictor, loss, target_ms))
        return Met(planned, (planned,))
    search = _Search(predictor, loss, target_ms, measure, learn, pause)
    aim = target_ms
    for _ in range(_TRIALS):
        further = search.step(aim)
        if further is None:
            break
        aim = further
    return search.best()


class _Search:
    """Plans that were tried for one target."""

    def __init__(
        self,
        predictor: Predictor,
        loss: Mapping[str, np.ndarray],
        target_ms: float,
        measure: Callable[[Widths], Latency],
        learn: Callable[[Widths, float], Predictor] | None,
        pause: Callable[[], None],
    ) -> None:
        self._predictor, self._loss, self._target_ms = predictor, loss, target_ms
        self._measure, self._learn, self._pause = measure, learn, pause
        most = {name: len(curve) - 1 for name, curve in loss.items()}
        self._fastest = fastest_widths(predictor, most)
        self._trials: list[Trial] = []

    def step(self, aim: float) -> float | None:
        """Plan for a latency and try that; return the next one to plan for, None at the end."""
        widths = self._planned(aim)
        fits = self._fitting()
        if self._tried(widths):
            return None if fits or widths == self._fastest else aim * _LOWER
        worth = (1 - _GAIN) * min((trial.loss for trial in fits), default=math.inf)
        if self._learn and lost(self._loss, widths) > worth:
            return None
        measured = self._try(widths)
        if self._learn is not None:
            self._predictor = self._learn(widths, measured)
            return _learnt_aim(self._trials, self._target_ms)
        if _NEAR <= measured / self._target_ms <= OVER:
            return None
        return _next_aim(self._trials, self._target_ms)

    def best(self) -> Met:
        """The plan that loses least of those that fit; if none does, faster ones are tried."""
        self._descend()
        if fits := self._fitting():
            best = min(fits, key=lambda trial: trial.loss)
            return Met(best, tuple(self._trials))
        least = min(trial.measured_ms for trial in self._trials)
        raise TargetMissedError(
            f"a target of {self._target_ms:.4g} ms is out of reach: the fastest there is was "
            f"measured to take {least:.4g} ms on this device"
        )

    def _descend(self) -> None:
        """While nothing fits, try plans ever closer to the fastest one, and that one at last."""
        top_ms = min(self._predictor.predict_ms(trial.widths) for trial in self._trials)
        floor_ms = min(top_ms, self._predictor.predict_ms(self._fastest))
        for share in _DESCENT:
            if self._fitting():
                return
            aim = top_ms * (floor_ms / top_ms) ** share
            widths = self._fastest if share == 1 else self._planned(aim)
            if not self._tried(widths):
                self._try(widths)

    def _planned(self, aim: float) -> Widths:
        """Widths that lose least at a predicted latency; the fastest ones if it is out of reach."""
        try:
            return plan_widths(self._predictor, self._loss, aim)
        except TargetMissedError:
            return self._fastest

    def _try(self, widths: Widths) -> float:
        """Measure a plan and return its milliseconds.

        As long as it fits and that is not believed, it is measured again after a pause.
        """
        trial = _plan(self._predictor, self._loss, widths)
        trial = replace(trial, measured=(self._measure(widths),))
        while self._fits(trial) and not trial.believed:
            self._pause()
            trial = replace(trial, measured=(*trial.measured, self._measure(widths)))
        self._trials.append(trial)
        return trial.measured_ms

    def _fits(self, trial: Trial) -> bool:
        return trial.measured_ms <= self._target_ms * OVER

    def _fitting(self) -> list[Trial]:
        return [each for each in self._trials if self._fits(each)]

    def _tried(self, widths: Widths) -> bool:
        return any(trial.widths == widths for trial in self._trials)


def _plan(predictor: Predictor, loss: Mapping[str, np.ndarray], widths: Widths) -> Trial:
    """A plan that was not measured yet."""
    row = np.array([[widths[name] for name in predictor.groups]])
    predicted_ms, doubt = predictor.predict_ms(widths), float(predictor.doubt(row)[0])
    return Trial(widths, lost(loss, widths), predicted_ms, doubt, ())


def lost(loss: Mapping[str, np.ndarray], widths: Widths) -> float:
    """What is lost with these widths, by the loss of every group."""
    return float(sum(curve[widths[name]] for name, curve in loss.items()))


def _next_aim(trials: list[Trial], target_ms: float) -> float:
    """Aim from the trials on either side of the target, or in proportion from one of them."""
    wish = target_ms * _WISH
    fits = [trial for trial in trials if trial.measured_ms <= target_ms * OVER]
    misses = [trial for trial in trials if trial.measured_ms > target_ms * OVER]
    if not fits:
        return wish / max(map(_slower, misses))
    below = max(fits, key=lambda trial: trial.predicted_ms)
    if not misses:
        return wish / _slower(below)
    above = min(misses, key=lambda trial: trial.predicted_ms)
    span = math.log(above.measured_ms / below.measured_ms)
    share = np.clip(math.log(wish / below.measured_ms) / span, _INSIDE, 1 - _INSIDE)
    return float(below.predicted_ms * (above.predicted_ms / below.predicted_ms) ** share)


def _learnt_aim(trials: list[Trial], target_ms: float) -> float:
    """Aim at the target, the lower the more plans were too slow, and the slower they were.

    Plans that were tried are predicted nearly as they were measured now, but the next plan has
    other widths: it is expected to be as much slower than predicted as the plans before it were.
    """
    wish = target_ms * _WISH
    misses = sum(trial.measured_ms > target_ms * OVER for trial in trials)
    slower = list(map(_slower, trials))
    expected = max(slower) if misses == len(trials) else float(np.median(slower))
    return min(wish * _WISH**misses, wish / expected)


def _slower(trial: Trial) -> float:
    """How many times slower than predicted a plan was."""
    return trial.measured_ms / trial.predicted_ms
