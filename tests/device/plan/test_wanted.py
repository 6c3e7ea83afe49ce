"""Targets are named, sorted, and counted in what a goal counts."""

import pytest

from decig.device.plan.wanted import Wanted, in_order
from decig.errors import BadInputError


def names(kind, *numbers):
    return [target.name for target in in_order(kind, numbers)]


def test_targets_are_named_and_sorted_the_slowest_first():
    assert names("speedup", 8.0, 2.0, 4.5) == ["2x", "4.5x", "8x"]
    assert names("latency", 5.0, 20.0) == ["20ms", "5ms"]
    assert names("macs", 5e8, 2e9) == ["2Gmacs", "500Mmacs"]
    assert names("macs", 0.25, 0.5) == ["0.5macs", "0.25macs"]
    assert names("speedup") == []


def test_a_target_that_is_named_twice_is_refused():
    with pytest.raises(BadInputError, match="target speedup: 2x is named twice"):
        names("speedup", 2.0, 4.0, 2.0)


@pytest.mark.parametrize(
    ("kind", "number"),
    [
        ("speedup", 0.0),
        ("speedup", -2.0),
        ("speedup", 0.5),
        ("latency", 0.0),
        ("macs", -1.0),
        ("latency", float("nan")),
        ("latency", float("inf")),
    ],
)
def test_what_cannot_be_a_target_is_refused(kind, number):
    with pytest.raises(BadInputError, match=f"target {kind}: .* cannot be reached"):
        names(kind, number)


def test_shares_and_numbers_do_not_mix():
    with pytest.raises(BadInputError, match="give shares"):
        names("macs", 0.5, 2e9)


@pytest.mark.parametrize(
    ("kind", "number", "counted"),
    [("latency", 20.0, 20.0), ("speedup", 4.0, 20.0), ("macs", 0.25, 20.0), ("macs", 2e9, 2000.0)],
)
def test_it_is_counted_in_milliseconds_or_millions_of_multiply_accumulates(kind, number, counted):
    assert Wanted(kind, number).counted(80.0) == counted
