import itertools
from typing import ClassVar

import numpy as np
import pytest

from decig.device.cost.predict import Predictor
from decig.device.cost.terms import LatencyTerm
from decig.device.plan import planner
from decig.device.plan.elimination import Elimination
from decig.device.plan.planner import fastest_widths, plan_widths
from decig.errors import TargetMissedError
from tests.device.tables import GROUPS, make_table

pytestmark = pytest.mark.numeric


@pytest.fixture(scope="module")
def predictor():
    return Predictor(make_table())


def losses(seed: int) -> dict[str, np.ndarray]:
    """What is lost with k channels kept, most important first."""
    rng = np.random.default_rng(seed)
    curves = {}
    for name, count in GROUPS.items():
        importance = np.sort(rng.exponential(rng.uniform(0.2, 3.0), count))[::-1]
        curves[name] = importance.sum() - np.concatenate([[0.0], np.cumsum(importance)])
    return curves


def total(loss, widths):
    return sum(loss[name][width] for name, width in widths.items())


def best_by_trying_all(predictor, loss, target_ms):
    names = list(predictor.groups)
    grid = np.array(list(itertools.product(*(predictor.candidates[name] for name in names))))
    fits = predictor.predict_many(grid) <= target_ms * 1000
    lost = sum(loss[name][grid[:, i]] for i, name in enumerate(names))
    return lost[fits].min()


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("speedup", [1.5, 3, 6])
@pytest.mark.parametrize("affordable", [True, False])
def test_close_to_the_best_there_is(predictor, seed, speedup, affordable, monkeypatch):
    monkeypatch.setattr(Elimination, "affordable", affordable)
    loss, target = losses(seed), predictor.baseline_ms / speedup
    widths = plan_widths(predictor, loss, target)
    assert predictor.predict_ms(widths) <= target
    assert all(width in predictor.candidates[name] for name, width in widths.items())
    nothing_left = total(loss, dict.fromkeys(GROUPS, 0))
    worse = total(loss, widths) - best_by_trying_all(predictor, loss, target)
    assert worse <= 0.02 * nothing_left


def test_exchanges_are_the_same_however_many_are_looked_up_together(predictor, monkeypatch):
    loss, target = losses(0), predictor.baseline_ms / 3
    expected = plan_widths(predictor, loss, target)
    monkeypatch.setattr(planner, "AT_ONCE", 2)
    assert plan_widths(predictor, loss, target) == expected


def test_a_target_that_is_met_already(predictor):
    assert plan_widths(predictor, losses(0), predictor.baseline_ms * 2) == GROUPS


def test_the_latency_of_the_whole_model_is_met_by_the_whole_model(predictor):
    assert plan_widths(predictor, losses(0), predictor.predict_ms({})) == GROUPS


def test_a_plan_meets_its_own_latency(predictor):
    loss = losses(1)
    widths = plan_widths(predictor, loss, predictor.baseline_ms / 2)
    again = plan_widths(predictor, loss, predictor.predict_ms(widths))
    assert total(loss, again) <= total(loss, widths) * (1 + 1e-9)


@pytest.mark.parametrize("affordable", [True, False])
def test_alike_groups_are_planned_alike_however_times_are_rounded(affordable, monkeypatch):
    monkeypatch.setattr(Elimination, "affordable", affordable)
    loss = {name: np.linspace(1, 0, 17) for name in Twins.groups}
    plans = [plan_widths(Twins(seed), loss, target) for seed in range(20) for target in (1.1, 1.6)]
    assert plans == plans[:2] * 20


class Twins:
    """A device on which two groups cost the same, but for rounding."""

    groups: ClassVar = {"a": 16, "b": 16}
    candidates: ClassVar = {"a": [4, 8, 12, 16], "b": [4, 8, 12, 16]}

    def __init__(self, seed):
        self._noise = np.random.default_rng(seed).uniform(-1e-13, 1e-13, (17, 17))

    def predict_many(self, widths):
        a, b = widths.T
        return (300.0 + 50.0 * (a + b)) * (1 + self._noise[a, b])

    def terms(self):
        yield LatencyTerm((0, 1), self.predict_many)


def test_groups_without_a_loss_stay_whole(predictor):
    loss = {name: curve for name, curve in losses(0).items() if name != "b"}
    widths = plan_widths(predictor, loss, predictor.baseline_ms / 1.5)
    assert widths["b"] == GROUPS["b"]


def test_an_unreachable_target_says_what_is(predictor):
    fastest = predictor.predict_ms(dict.fromkeys(GROUPS, 4))
    with pytest.raises(TargetMissedError, match=f"the model takes {fastest:.4g} ms"):
        plan_widths(predictor, losses(0), fastest / 2)


def test_the_fastest_widths_are_the_narrowest_where_width_costs(predictor):
    assert fastest_widths(predictor, GROUPS) == dict.fromkeys(GROUPS, 4)
    assert fastest_widths(predictor, {"a": 64, "c": 64}) == {"a": 4, "b": GROUPS["b"], "c": 4}


@pytest.mark.parametrize("most", [16, 17, 20, 30])
def test_a_shorter_curve_is_of_a_graph_with_fewer_channels(predictor, most):
    curves = {**losses(0), "a": losses(0)["a"][: most + 1]}
    whole = predictor.predict_ms({"a": most})
    assert plan_widths(predictor, curves, whole) == {**GROUPS, "a": most}
    for share in (0.9, 0.6, 0.3):
        widths = plan_widths(predictor, curves, share * whole)
        assert widths["a"] <= most
        assert predictor.predict_ms(widths) <= share * whole * (1 + 1e-6)
    assert fastest_widths(predictor, {"a": most})["a"] <= most


class Uneven:
    """A device on which 8 channels are quicker than 4."""

    groups: ClassVar = {"a": 16}
    candidates: ClassVar = {"a": [4, 8, 16]}

    def predict_many(self, widths):
        return np.vectorize({4: 900.0, 8: 500.0, 16: 1000.0}.get)(widths[:, 0])

    def terms(self):
        yield LatencyTerm((0,), self.predict_many)


def test_the_narrowest_is_not_always_the_fastest():
    assert fastest_widths(Uneven(), {"a": 16}) == {"a": 8}
    loss = {"a": np.linspace(1, 0, 17)}
    assert plan_widths(Uneven(), loss, 0.6) == {"a": 8}
    with pytest.raises(TargetMissedError, match=r"takes 0\.5 ms"):
        plan_widths(Uneven(), loss, 0.4)
