from collections.abc import Callable, Iterator
from dataclasses import replace

import numpy as np
import pytest

from decig.device.measure import pace
from decig.device.measure.pace import ROUNDS, latency_at_pace


class Timed:
    """A call that takes the given microseconds, one after the other."""

    def __init__(self, times: Iterator[float]) -> None:
        self.times = times

    def __call__(self) -> None:
        pass

    def time_us(self) -> float:
        return next(self.times)


class Machine:
    """Both graphs on a machine that shares a core for spells of eight rounds.

    The whole graph then takes 1.6 times as long, the slim one twice.
    """

    def __init__(self, spells: list[bool], noise: float = 0.01) -> None:
        self.rng, self.noise, self.clock = np.random.default_rng(0), noise, 0
        self.spells = spells
        self.whole = Timed(iter(lambda: self._time(1000.0, 1.6), None))
        self.slim = Timed(iter(lambda: self._time(100.0, 2.0), None))

    def _time(self, us: float, slower: float) -> float:
        shared = self.spells[(self.clock // 16) % len(self.spells)]
        self.clock += 1
        return us * (slower if shared else 1.0) * self.rng.normal(1.0, self.noise)


def measure(
    machine: Machine,
    whole_us: float = 1000.0,
    patience: float = 20.0,
    off_pace: Callable[[float], None] = lambda times: None,
    **timing: float,
) -> float:
    found = latency_at_pace(
        machine.slim,
        machine.whole,
        whole_us,
        replace(ROUNDS, **timing),
        patience_seconds=patience,
        off_pace=off_pace,
    )
    return found.median


@pytest.mark.parametrize("spells", [[False], [False, True], [True, False, False]])
def test_rounds_at_the_tables_pace_count(spells: list[bool]) -> None:
    found = measure(Machine(spells), min_runs=48)
    assert found == pytest.approx(100.0, rel=0.02)


def test_a_table_of_the_slow_pace_is_met_at_the_slow_pace() -> None:
    found = measure(Machine([False, True]), whole_us=1600.0, min_runs=48)
    assert found == pytest.approx(200.0, rel=0.02)


def test_a_machine_that_is_slower_throughout_carries_over() -> None:
    assert measure(Machine([False]), whole_us=900.0) == pytest.approx(90.0, rel=0.02)


def test_the_tables_pace_is_waited_for() -> None:
    spells = [True] * 4 + [False] * 100
    told: list[float] = []
    found = measure(Machine(spells), firm=1.0, off_pace=told.append)
    assert found == pytest.approx(100.0, rel=0.03) and told == []


def test_patience_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    seconds = iter(range(10_000))
    monkeypatch.setattr(pace.time, "perf_counter", lambda: float(next(seconds)))
    told: list[float] = []
    found = measure(Machine([True]), patience=30.0, off_pace=told.append)
    assert found == pytest.approx(125.0, rel=0.02)  # 200 by 1.6
    assert told == pytest.approx([1.6], rel=0.02)  # so it is no more than an estimate


def test_an_unsteady_machine_ends_after_its_seconds(monkeypatch: pytest.MonkeyPatch) -> None:
    seconds = iter(range(10_000))
    monkeypatch.setattr(pace.time, "perf_counter", lambda: float(next(seconds)))
    machine = Machine([False], noise=0.1)
    long = replace(ROUNDS, firm=0.0, max_seconds=40.0)
    found = latency_at_pace(machine.slim, machine.whole, 1000.0, long)
    assert 15 <= found.runs <= 30


def test_no_more_rounds_than_asked() -> None:
    machine = Machine([False], noise=0.1)
    long = replace(ROUNDS, firm=0.0, max_runs=12)
    found = latency_at_pace(machine.slim, machine.whole, 1000.0, long)
    assert found.runs == 6  # half of the rounds count


def test_a_round_is_judged_by_the_runs_on_both_sides_of_it() -> None:
    """The machine changes its pace within the first rounds; the last ones are at the table's."""
    paces, slim = [1.0, 1.5, 1.0, 1.0, 1.1], [300.0, 300.0, 100.0, 100.0 * 1.1**0.5]
    whole = Timed(iter(1000.0 * pace for pace in paces))
    rounds = replace(ROUNDS, min_runs=4, max_runs=4)
    found = latency_at_pace(Timed(iter(slim)), whole, 1000.0, rounds)
    assert found.runs == 2  # half of them
    assert found.median == pytest.approx(100.0)
    assert found.mad == pytest.approx(0.0, abs=1e-9)
