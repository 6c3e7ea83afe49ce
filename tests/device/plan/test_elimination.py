import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from decig.device.cost.terms import LatencyTerm
from decig.device.plan import elimination
from decig.device.plan.elimination import Elimination, first_least

pytestmark = pytest.mark.numeric

WIDTHS = [np.array(row) for row in ([4, 9], [4, 8, 16], [1, 2, 3], [5], [4, 7, 8])]
SCOPES = {
    "chain": [(0, 1), (1, 2), (2, 3), (3, 4)],
    "trunk": [(0, 1), (0, 2), (0, 3), (0, 4), (0,)],
    "skips": [(0, 1), (1, 2), (2, 3), (1, 3), (1, 3, 4), (0, 4), (0, 1)],
    "apart": [(0,), (1, 2), ()],
}


def random_terms(scopes, seed):
    """Terms whose microseconds come from tables, which are returned too."""
    rng = np.random.default_rng(seed)
    terms, tables = [], []
    for scope in scopes:
        table = {
            plan: rng.exponential(100.0)
            for plan in itertools.product(*(map(int, WIDTHS[group]) for group in scope))
        }
        terms.append(
            LatencyTerm(
                scope, lambda plans, t=table: np.array([t[tuple(map(int, p))] for p in plans])
            )
        )
        tables.append(table)
    return terms, tables


@given(
    st.sampled_from(sorted(SCOPES)), st.integers(0, 999), st.floats(0.0, 0.1, allow_subnormal=False)
)
@settings(max_examples=40, deadline=None)
def test_nothing_is_less_than_the_least(shape, seed, price):
    scopes = SCOPES[shape]
    terms, tables = random_terms(scopes, seed)
    rng = np.random.default_rng(seed + 1)
    losses = [rng.exponential(5.0, len(row)) for row in WIDTHS]

    def value(level):
        plan = [int(row[index]) for row, index in zip(WIDTHS, level, strict=True)]
        us = sum(t[tuple(plan[g] for g in s)] for s, t in zip(scopes, tables, strict=True))
        lost = sum(loss[index] for loss, index in zip(losses, level, strict=True))
        return lost + price * us

    level, least = Elimination(terms, WIDTHS, losses).least(price)
    assert least == pytest.approx(value(level))
    every = itertools.product(*(range(len(row)) for row in WIDTHS))
    assert least == pytest.approx(min(map(value, every)))


def test_of_equals_the_first_is_the_least():
    rounded = np.array([[3.0, 1.0 + 4e-16, 1.0], [-2.0, -2.0 - 4e-16, 0.0]])
    assert first_least(rounded).tolist() == [1, 0]
    assert first_least(rounded.T, 0).tolist() == [1, 0]
    assert first_least(np.array([np.inf, 2.0, 1.0])) == 2
    assert first_least(np.array([0.0, 0.0])) == 0


@given(st.integers(0, 999), st.floats(1e-3, 0.1))
@settings(max_examples=30, deadline=None)
def test_alike_groups_are_chosen_alike_however_times_are_rounded(seed, price):
    """Two groups between the same trunk: whichever is narrowed, it is so on every processor."""
    rng = np.random.default_rng(seed)
    losses = [np.array([1.0, 0.0])] * 3
    widths = [np.array([4, 8])] * 3

    def levels(rounding):
        def us(plans):
            exact = 10.0 * plans.prod(axis=1) ** 0.5
            return exact * (1 + rounding * rng.uniform(-1, 1, len(plans)))

        return Elimination(
            [LatencyTerm((0, 1), us), LatencyTerm((0, 2), us)], widths, losses
        ).least(price)[0]

    assert levels(1e-13).tolist() == levels(0.0).tolist()


def test_closely_tied_groups_are_not_affordable(monkeypatch):
    terms, _ = random_terms(SCOPES["skips"], 0)
    chain, _ = random_terms(SCOPES["chain"], 0)
    losses = [np.zeros(len(row)) for row in WIDTHS]
    monkeypatch.setattr(elimination, "MOST_ENTRIES", 2 * 3 + 3 * 3 + 3 * 1 + 1 * 3)
    assert Elimination(chain, WIDTHS, losses).affordable
    assert not Elimination(terms, WIDTHS, losses).affordable


def test_large_tables_are_never_made():
    def never(plans):
        raise AssertionError("tabulated")

    widths = [np.arange(4, 132)] * 4
    tied = Elimination([LatencyTerm((0, 1, 2, 3), never)], widths, [np.zeros(128)] * 4)
    assert not tied.affordable
    # Pairs are small, but all groups have to be looked at together.
    pairs = [LatencyTerm(pair, never) for pair in itertools.combinations(range(4), 2)]
    assert not Elimination(pairs, widths, [np.zeros(128)] * 4).affordable
