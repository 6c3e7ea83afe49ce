import numpy as np
import pytest

from decig.device.cost.predict import Predictor
from decig.device.plan.learn import Learner
from decig.device.plan.planner import fastest_widths
from decig.device.plan.tighten import Trial, _learnt_aim, _next_aim, meet_target
from decig.device.run.timing import Latency
from decig.errors import TargetMissedError
from tests.device.plan.test_planner import losses, total
from tests.device.tables import make_table, true_nodes


@pytest.fixture(scope="module")
def predictor():
    return Predictor(make_table())


class Device:
    """Takes what is predicted times a factor that may depend on the prediction; counts."""

    def __init__(self, predictor, factor):
        self.predictor, self.factor, self.seen = predictor, factor, []

    def __call__(self, widths):
        self.seen.append(widths)
        return exactly(self.ms(widths))

    def ms(self, widths):
        predicted = self.predictor.predict_ms(widths)
        return predicted * self.factor(predicted / self.predictor.baseline_ms)


def exactly(ms):
    return Latency(1000 * ms, 0.0, 1000 * ms, 20)


def test_without_a_device_the_prediction_must_do(predictor):
    met = meet_target(predictor, losses(0), predictor.baseline_ms / 3, None)
    assert met.measured_ms is None
    assert predictor.predict_ms(met.widths) <= predictor.baseline_ms / 3
    assert met.trials == (met.best,) and met.best.measured == ()
    assert met.best.predicted_ms == predictor.predict_ms(met.widths)
    assert met.best.loss == pytest.approx(total(losses(0), met.widths))


def test_every_plan_that_was_tried_is_told(predictor):
    device = Device(predictor, lambda x: 1.2)
    met = meet_target(predictor, losses(0), predictor.baseline_ms / 3, device)
    seen = [trial.widths for trial in met.trials for _ in trial.measured]
    assert seen == device.seen and met.best in met.trials and len(met.trials) > 1


@pytest.mark.parametrize("speedup", [1.5, 2, 4])
@pytest.mark.parametrize(
    "factor",
    [lambda x: 1.0, lambda x: 1.2, lambda x: 0.75, lambda x: 1.3 - 0.3 * x, lambda x: 0.7 + x / 2],
    ids=["right", "slower", "faster", "slower when narrow", "faster when narrow"],
)
def test_the_device_comes_close_below_the_target(predictor, factor, speedup):
    device, target = Device(predictor, factor), predictor.baseline_ms / speedup
    met = meet_target(predictor, losses(0), target, device)
    assert 0.85 * target <= met.measured_ms <= 1.01 * target
    assert met.measured_ms == pytest.approx(device.ms(met.widths))
    assert len(device.seen) <= 8


def test_what_a_fast_device_leaves_is_not_given_away(predictor):
    loss, target = losses(1), predictor.baseline_ms / 3
    fast = meet_target(predictor, loss, target, Device(predictor, lambda x: 0.7)).widths
    assert total(loss, fast) < total(loss, meet_target(predictor, loss, target, None).widths)


def test_the_whole_model_is_enough_where_it_is_fast(predictor):
    device = Device(predictor, lambda x: 0.5)
    met = meet_target(predictor, losses(0), predictor.baseline_ms, device)
    assert met.widths == predictor.groups
    assert device.seen == [predictor.groups] * 2  # twice, as it is far from what is predicted


def test_out_of_reach_is_what_was_measured(predictor):
    fastest = fastest_widths(predictor, predictor.groups)
    device = Device(predictor, lambda x: 1.5)
    least = 1.5 * predictor.predict_ms(fastest)
    with pytest.raises(TargetMissedError, match=f"measured to take {least:.4g} ms"):
        meet_target(predictor, losses(0), 0.9 * least, device)
    assert device.seen.count(fastest) == 1


def test_a_prediction_that_is_too_slow_does_not_rule_out_a_target(predictor):
    fastest = predictor.predict_ms(fastest_widths(predictor, predictor.groups))
    met = meet_target(predictor, losses(0), 0.8 * fastest, Device(predictor, lambda x: 0.75))
    assert met.measured_ms <= 0.8 * fastest


def test_where_only_the_fastest_meets_the_target_it_is_taken(predictor):
    fastest, target = fastest_widths(predictor, predictor.groups), predictor.baseline_ms / 2

    def measure(widths):
        return exactly(target / 2 if widths == fastest else 1.02 * target)

    met = meet_target(predictor, losses(0), target, measure)
    assert (met.widths, met.measured_ms) == (fastest, target / 2)


def test_an_aim_whose_plan_comes_again_is_lowered(predictor):
    """Narrow plans are slower than predicted by a step that the next aim does not get across."""
    target = predictor.baseline_ms / 4

    def measure(widths):
        predicted = predictor.predict_ms(widths)
        return exactly(predicted * (1.1 if predicted > 0.8 * target else 1.0))

    met = meet_target(predictor, losses(2), target, measure)
    assert met.widths != fastest_widths(predictor, predictor.groups)
    assert 0.7 * target <= met.measured_ms <= 1.01 * target


@pytest.mark.parametrize("learns", [True, False])
@pytest.mark.parametrize("until", [0.9, 0.7, 0.5])
def test_plans_far_slower_than_predicted_do_not_end_in_the_fastest_one(predictor, learns, until):
    """The faster a plan is predicted to be, the more its prediction was chosen for its error."""
    target = predictor.baseline_ms / 2

    def measure(widths):
        share = predictor.predict_ms(widths) / target
        return exactly(target * (1.095 - 0.08 * share) if share > until else target * share)

    learn = (lambda widths, ms: predictor) if learns else None
    met = meet_target(predictor, losses(0), target, measure, learn)
    assert met.widths != fastest_widths(predictor, predictor.groups)
    assert 0.7 * until * target <= met.measured_ms <= 1.01 * target


class Busy(Device):
    """A device on which another program makes the first measurement of every plan look quick.

    Attributes:
        events: plans that were measured, and pauses, in order.
    """

    def __init__(self, predictor, factor, first=0.65):
        super().__init__(predictor, factor)
        self.first, self.events = first, []

    def __call__(self, widths):
        self.events.append(widths)
        fluke = self.first if self.events.count(widths) == 1 else 1.0
        return exactly(fluke * self.ms(widths))

    def pause(self):
        self.events.append("pause")


@pytest.mark.parametrize("speedup", [1.5, 2, 4])
@pytest.mark.parametrize("learns", [True, False])
def test_a_plan_that_only_seemed_to_fit_is_not_accepted(speedup, learns):
    table = make_table()
    predictor = Predictor(table)
    device, target = Busy(predictor, lambda x: 1.07), predictor.baseline_ms / speedup
    learn = Learner(table, true_nodes, predictor) if learns else None
    met = meet_target(predictor, losses(0), target, device, learn, device.pause)
    assert 0.85 * target <= device.ms(met.widths) <= 1.02 * target
    assert met.measured_ms == pytest.approx(device.ms(met.widths))
    last = len(device.events) - 1 - device.events[::-1].index(met.widths)
    assert device.events[last - 1] == "pause"


def test_a_measurement_that_agrees_with_the_prediction_is_believed(predictor):
    device = Busy(predictor, lambda x: 0.99, first=1.0)
    meet_target(predictor, losses(0), predictor.baseline_ms / 2, device, pause=device.pause)
    assert "pause" not in device.events


def test_a_plan_that_fits_though_slower_than_predicted_is_believed(predictor):
    """Whichever of the two is right, it fits."""
    device = Busy(predictor, lambda x: 0.99, first=1.3)
    met = meet_target(predictor, losses(0), predictor.baseline_ms / 2, device, pause=device.pause)
    assert "pause" not in device.events
    assert met.measured_ms <= 1.01 * predictor.baseline_ms / 2


def test_of_three_measurements_that_disagree_the_median_counts(predictor):
    ratios = iter([0.6, 0.98, 0.8])

    def measure(widths):
        return exactly(predictor.predict_ms(widths) * next(ratios))

    nothing = {name: np.zeros(width + 1) for name, width in predictor.groups.items()}
    met = meet_target(predictor, nothing, 2 * predictor.baseline_ms, measure)
    assert met.measured_ms == pytest.approx(0.8 * predictor.baseline_ms)


def test_an_unsteady_measurement_is_doubted_less(predictor):
    """What is known to 10 % only does not contradict a prediction that is 15 % off."""
    pauses = []

    def measure(widths):
        us = 1000 * 1.15 * predictor.predict_ms(widths)
        return Latency(us, 0.25 * us, us, 20)

    wide = {name: np.zeros(width + 1) for name, width in predictor.groups.items()}
    target = 2 * predictor.baseline_ms
    meet_target(predictor, wide, target, measure, pause=lambda: pauses.append(1))
    assert not pauses


def tried(*times: tuple[float, float]) -> list[Trial]:
    """Trials of these milliseconds, predicted and measured."""
    return [Trial({}, 0.0, ms, 0.0, (exactly(measured),)) for ms, measured in times]


def test_the_next_aim_lies_between_the_nearest_trials_on_either_side():
    trials = tried((20, 22), (10, 9), (12, 11.5), (16, 16))
    share = np.log(0.985 * 14 / 11.5) / np.log(16 / 11.5)  # of the way from 12 to 16
    assert _next_aim(trials, 14.0) == pytest.approx(12 * (16 / 12) ** share)
    # Close to one of them, it still moves away from it.
    assert _next_aim(trials, 11.7) == pytest.approx(12 * (16 / 12) ** 0.1)
    assert _next_aim(trials, 15.8) == pytest.approx(12 * (16 / 12) ** 0.9)


def test_the_next_aim_is_in_proportion_where_all_trials_lie_on_one_side():
    assert _next_aim(tried((10, 12), (9, 11.7)), 10.0) == pytest.approx(9.85 / 1.3)
    assert _next_aim(tried((10, 8), (11, 8.25)), 10.0) == pytest.approx(9.85 / 0.75)


def test_an_aim_is_the_lower_the_more_plans_were_too_slow_and_the_slower_they_were():
    assert _learnt_aim(tried((10, 9.5)), 10.0) == pytest.approx(9.85)
    assert _learnt_aim(tried((10, 10.15)), 10.0) == pytest.approx(9.85 * 0.985)
    assert _learnt_aim(tried((10.1, 10.15), (10.1, 10.15)), 10.0) == pytest.approx(9.85 * 0.985**2)
    assert _learnt_aim(tried((10, 11), (10, 13)), 10.0) == pytest.approx(9.85 / 1.3)
    # With one that fits, what is usual is expected of the next.
    assert _learnt_aim(tried((10, 13), (10, 12), (9, 9)), 10.0) == pytest.approx(9.85 / 1.2)
