"""Answers from pairs of runs: right at the stated confidence, whatever slows the machine."""

from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from decig.device.measure import paired
from decig.device.measure.paired import Answer, Interval, Limits, Patience, measure_pairs
from decig.device.run.runs import UndisturbedRun

QUICK = Patience(max_seconds=float("inf"), firm=1.0, warm_up=0)


class Machine:
    """A clock for two models: runs take what they take, times what else goes on there.

    Attributes:
        runs: how many there were.
    """

    def __init__(self, seed: int, *, bursts: float = 0.0, noise: float = 0.03) -> None:
        self._rng = np.random.default_rng(seed)
        self._bursts, self._noise, self._slow = bursts, noise, 1.0
        self.runs = 0

    def model(self, ms: float) -> UndisturbedRun:
        """A model that takes so long on the machine when it is idle."""

        def observe(_: Callable[[], object]) -> tuple[float, float]:
            self.runs += 1
            if self._rng.random() < 0.1:  # other programs come and go
                self._slow = 1 + self._bursts * self._rng.random()
            return ms * 1e3 * self._slow * (1 + self._noise * self._rng.exponential()), 1.0

        return UndisturbedRun(lambda: None, observe)


def measure(machine: Machine, reference: float, candidate: float, limits: Limits) -> object:
    return measure_pairs(machine.model(reference), machine.model(candidate), limits, QUICK)


@pytest.mark.parametrize("bursts", [0.0, 3.0])
def test_no_false_alarm_and_no_slow_model_missed_on_a_busy_machine(bursts: float) -> None:
    limits = Limits(min_speedup=4.0)
    for seed in range(60):
        fast = measure(Machine(seed, bursts=bursts), 200, 48, limits)
        assert fast.answers(limits)["min_speedup"] is Answer.MET, seed
        slow = measure(Machine(seed, bursts=bursts), 200, 53, limits)
        assert slow.answers(limits)["min_speedup"] is Answer.MISSED, seed


def test_what_lies_at_the_limit_cannot_be_told() -> None:
    limits = Limits(min_speedup=4.0)
    found = [measure(Machine(seed), 200, 50, limits).answers(limits) for seed in range(20)]
    told = [answers["min_speedup"] for answers in found]
    assert told.count(Answer.UNSURE) >= 18


def test_it_ends_as_soon_as_it_is_sure_of_every_limit() -> None:
    easy, hard = Machine(0), Machine(0)
    measure(easy, 200, 20, Limits(min_speedup=4.0, max_latency_ms=30))
    measure(hard, 200, 20, Limits(min_speedup=4.0, max_latency_ms=20.6))
    assert easy.runs == 2 * QUICK.looks[0]
    assert hard.runs > easy.runs


def test_nothing_asked_is_answered_at_the_first_look() -> None:
    machine = Machine(0)
    found = measure(machine, 200, 20, Limits())
    assert found.answers(Limits()) == {}
    assert machine.runs == 2 * QUICK.looks[0]
    assert found.latency["reference"].median == pytest.approx(2e5, rel=0.1)
    assert found.latency["candidate"].runs == QUICK.looks[0]


def test_time_that_is_up_leaves_what_is_unsure_unsure(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = iter(range(10**6))
    monkeypatch.setattr(paired.time, "perf_counter", lambda: float(next(clock)))
    limits, machine = Limits(min_speedup=4.0), Machine(0)
    hurried = Patience(max_seconds=30, firm=1.0)
    found = measure_pairs(machine.model(200), machine.model(50), limits, hurried)
    assert found.answers(limits)["min_speedup"] is Answer.UNSURE
    assert 12 <= len(found.candidate_us) < 384


def test_firm_medians_take_more_runs_where_every_limit_is_answered() -> None:
    counts = {}
    for firm in (1.0, 0.005):
        patience, machine = Patience(max_seconds=1e9, firm=firm, firm_seconds=1e9), Machine(0)
        found = measure_pairs(machine.model(200), machine.model(20), Limits(), patience)
        counts[firm] = len(found.candidate_us)
        assert found.uncertainty <= firm
    assert counts[1.0] < counts[0.005]


def test_how_much_runs_were_disturbed_is_told() -> None:
    sides = [UndisturbedRun(lambda: None, lambda _, ms=ms: (ms, 0.75)) for ms in (200.0, 50.0)]
    found = measure_pairs(*sides, Limits(), QUICK)
    assert found.disturbed == pytest.approx(0.25)
    assert found.latency["reference"].median == pytest.approx(150)


@given(st.integers(0, 2**32 - 1), st.integers(8, 200))
def test_an_interval_lies_between_the_least_and_the_greatest(seed: int, count: int) -> None:
    values = np.random.default_rng(seed).normal(size=count)
    found = paired.median_interval(values, 0.95)
    assert values.min() <= found.low <= np.median(values) <= found.high <= values.max()


@pytest.mark.parametrize(("count", "place"), [(10, 2), (20, 6), (100, 40)])
def test_the_interval_is_that_of_published_tables(count: int, place: int) -> None:
    """David and Nagaraja's order statistics for a median at 95 %: place and place from the end."""
    values = np.random.default_rng(0).permutation(np.arange(1.0, count + 1))
    assert paired.median_interval(values, 0.95) == Interval(place, count + 1 - place)


def test_the_permitted_error_is_shared_among_the_looks() -> None:
    patience = Patience(confidence=0.99, looks=(12, 24, 48, 96, 192))
    assert patience.confidence_of_a_look == pytest.approx(0.998)


def test_too_few_values_tell_nothing() -> None:
    assert paired.median_interval(np.arange(3.0), 0.95) == Interval(-np.inf, np.inf)


@pytest.mark.parametrize("count", [8, 13, 50, 101])
def test_the_interval_holds_the_median_as_often_as_it_says(count: int) -> None:
    rng = np.random.default_rng(count)
    trials, confidence = 3000, 0.95
    inside = 0
    for _ in range(trials):
        found = paired.median_interval(rng.exponential(size=count), confidence)
        inside += found.low <= np.log(2) <= found.high
    assert confidence - 0.012 <= inside / trials <= 1


def test_ends_of_an_interval_decide() -> None:
    between = Interval(3.9, 4.1)
    rising = [Answer.MET, Answer.UNSURE, Answer.MISSED]
    assert [between.at_least(limit) for limit in (3.8, 4.0, 4.2)] == rising
    assert [between.at_most(limit) for limit in (3.8, 4.0, 4.2)] == rising[::-1]
