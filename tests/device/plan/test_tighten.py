import pytest

from decig.device.cost.predict import Predictor
from decig.device.plan.planner import fastest_widths
from decig.device.plan.tighten import meet_target
from decig.errors import TargetMissedError
from tests.device.plan.test_planner import losses, total
from tests.device.tables import make_table


@pytest.fixture(scope="module")
def predictor():
    return Predictor(make_table())


class Device:
    """Takes what is predicted times a factor that may depend on the prediction; counts."""

    def __init__(self, predictor, factor):
        self.predictor, self.factor, self.seen = predictor, factor, []

    def __call__(self, widths):
        self.seen.append(widths)
        predicted = self.predictor.predict_ms(widths)
        return predicted * self.factor(predicted / self.predictor.baseline_ms)


def test_without_a_device_the_prediction_must_do(predictor):
    met = meet_target(predictor, losses(0), predictor.baseline_ms / 3, None)
    assert met.measured_ms is None
    assert predictor.predict_ms(met.widths) <= predictor.baseline_ms / 3


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
    assert met.measured_ms == device(met.widths)
    assert len(device.seen) <= 8


def test_what_a_fast_device_leaves_is_not_given_away(predictor):
    loss, target = losses(1), predictor.baseline_ms / 3
    fast = meet_target(predictor, loss, target, Device(predictor, lambda x: 0.7)).widths
    assert total(loss, fast) < total(loss, meet_target(predictor, loss, target, None).widths)


def test_the_whole_model_is_enough_where_it_is_fast(predictor):
    device = Device(predictor, lambda x: 0.5)
    met = meet_target(predictor, losses(0), predictor.baseline_ms, device)
    assert met.widths == predictor.groups
    assert len(device.seen) == 1


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
        return target / 2 if widths == fastest else 1.02 * target

    met = meet_target(predictor, losses(0), target, measure)
    assert (met.widths, met.measured_ms) == (fastest, target / 2)


def test_an_aim_whose_plan_comes_again_is_lowered(predictor):
    """Narrow plans are slower than predicted by a step that the next aim does not get across."""
    target = predictor.baseline_ms / 4

    def measure(widths):
        predicted = predictor.predict_ms(widths)
        return predicted * (1.1 if predicted > 0.8 * target else 1.0)

    met = meet_target(predictor, losses(2), target, measure)
    assert met.widths != fastest_widths(predictor, predictor.groups)
    assert 0.7 * target <= met.measured_ms <= 1.01 * target
