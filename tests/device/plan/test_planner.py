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
def test_close_to_the_best_there_is(predictor, seed, speedup):
    loss, target = losses(seed), predictor.baseline_ms / speedup
    widths = plan_widths(predictor, loss, target)
    assert predictor.predict_ms(widths) <= target
    assert all(width in predictor.candidates[name] for name, width in widths.items())
    best = best_by_trying_all(predictor, loss, target)
    assert total(loss, widths) <= 1.01 * best  # the greedy search alone loses 1.1 times that


class Pair:
    """A device of four groups, on which a and b save time only where both are narrow."""

    groups: ClassVar = dict.fromkeys("abcd", 16)
    candidates: ClassVar = {name: [8, 16] for name in "abcd"}

    def predict_many(self, widths):
        return sum((term.us(widths[:, term.groups]) for term in self.terms()), np.zeros(()))

    def predict_ms(self, widths):
        return float(self.predict_many(np.array([list(widths.values())]))[0]) / 1000

    def terms(self):
        yield LatencyTerm((0, 1), lambda widths: 60.0 - 20.0 * (widths == 8).all(axis=1))
        for group in (2, 3):
            yield LatencyTerm((group,), lambda widths: 20.0 - 10.0 * (widths[:, 0] == 8))


@pytest.mark.parametrize(
    ("us", "exact", "narrow"),
    [
        # At a price of 0.04 per microsecond a and b are worth their loss, and save too much.
        (90, True, "c"),
        (90, False, "c"),
        # Down from the whole model, neither a nor b saves alone, so it takes c and d.
        (80, True, "ab"),
        (80, False, "cd"),
        (70, True, "abc"),
    ],
)
def test_either_start_may_be_the_better_one(us, exact, narrow, monkeypatch):
    monkeypatch.setattr(Elimination, "affordable", exact)
    lost = {"a": 0.4, "b": 0.4, "c": 0.5, "d": 0.6}
    loss = {name: np.r_[np.full(16, most), 0.0] for name, most in lost.items()}
    widths = plan_widths(Pair(), loss, us / 1000)
    assert widths == {name: 8 if name in narrow else 16 for name in "abcd"}


class Chain(Pair):
    """A device of four groups in a chain, whose layers take as long as they have weights."""

    candidates: ClassVar = {name: [4, 8, 12, 16] for name in "abcd"}

    def terms(self):
        for end in (0, 3):
            yield LatencyTerm((end,), lambda widths: 8.0 * widths[:, 0])
        for one in range(3):
            yield LatencyTerm((one, one + 1), lambda widths: widths.prod(axis=1).astype(float))


@pytest.mark.parametrize("exact", [True, False])
@pytest.mark.parametrize("seed", [502, 549, 1068])
def test_a_price_finds_what_going_down_does_not(seed, exact, monkeypatch):
    monkeypatch.setattr(Elimination, "affordable", exact)
    rng, chain = np.random.default_rng(seed), Chain()
    loss = {
        name: rng.integers(1, 5) * np.r_[np.cumsum(np.sort(rng.integers(1, 10, 16)))[::-1], 0.0]
        for name in chain.groups
    }
    target = chain.predict_ms(chain.groups) / 2
    best = best_by_trying_all(chain, loss, target)
    assert total(loss, plan_widths(chain, loss, target)) == best


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
