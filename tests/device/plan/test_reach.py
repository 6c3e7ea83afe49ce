"""Widths for a latency, with a device and without."""

import pytest

from decig.device.cost.predict import Predictor
from decig.device.plan.learn import Learner
from decig.device.plan.reach import reach
from tests.device.plan.test_planner import losses
from tests.device.tables import GROUPS, make_table, true_nodes


@pytest.fixture(scope="module")
def table():
    return make_table()


class Device:
    """Takes `factor` times what is predicted; a graph is its widths here."""

    def __init__(self, predictor: Predictor, factor: float) -> None:
        self.predictor, self.factor = predictor, factor
        self.measured, self.profiled, self.told = [], [], []

    def measure(self, widths):
        self.measured.append(widths)
        return self.factor * self.predictor.predict_ms(widths)

    def profile(self, widths):
        self.profiled.append(widths)
        return true_nodes(widths)


def reached(table, device, target_ms, **given):
    given = {"measure": device.measure, "profile": device.profile} | given
    return reach(
        device.predictor,
        table,
        losses(0),
        target_ms,
        given.pop("sliced", lambda widths: widths),
        tell=device.told.append,
        **given,
    )


def test_without_a_device_the_table_must_do(table):
    device = Device(Predictor(table), 1.2)
    target = device.predictor.baseline_ms / 2
    met = reached(table, device, target, measure=None, profile=None)
    assert met.measured_ms is None
    assert device.told == [{"predicted_ms": device.predictor.predict_ms(met.widths)}]
    assert device.told[0]["predicted_ms"] <= target


@pytest.mark.parametrize("learns", [True, False])
def test_every_plan_that_is_tried_is_told(table, learns):
    device = Device(Predictor(table), 1.2)
    target = device.predictor.baseline_ms / 2
    met = reached(table, device, target, **({} if learns else {"profile": None}))
    assert met.measured_ms <= 1.01 * target
    assert [each["measured_ms"] for each in device.told] == [
        1.2 * device.predictor.predict_ms(widths) for widths in device.measured
    ]
    assert device.profiled == (device.measured if learns else [])


def test_what_a_narrower_graph_teaches_is_about_its_own_widths(table, monkeypatch):
    asked, learnt = [], []

    class Noted(Learner):
        def __call__(self, widths, measured_ms):
            learnt.append(widths)
            return super().__call__(widths, measured_ms)

    monkeypatch.setattr("decig.device.plan.reach.Learner", Noted)
    most = {name: full // 2 for name, full in GROUPS.items()}

    def sliced(widths):
        asked.append(widths)
        return {name: min(width, most[name]) for name, width in widths.items()}

    device = Device(Predictor(table), 1.0)
    reached(table, device, device.predictor.baseline_ms / 1.2, sliced=sliced, most=most)
    assert any(widths[name] > most[name] for widths in asked for name in most)
    assert all(widths[name] <= most[name] for widths in learnt for name in most)
