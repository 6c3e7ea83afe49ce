import click
import pytest

from decig.cli.targets import OPTIONS, asked_targets, wanted_ms


def named(**asked):
    return asked_targets(dict.fromkeys(OPTIONS) | asked)


def test_targets_are_named_and_sorted_the_slowest_first():
    assert list(named(target_speedup=(8.0, 2.0, 4.5))) == ["2x", "4.5x", "8x"]
    assert list(named(target_latency=(5.0, 20.0))) == ["20ms", "5ms"]
    assert list(named(target_macs=(5e8, 2e9))) == ["2Gmacs", "500Mmacs"]
    assert list(named(target_macs=(0.25, 0.5))) == ["0.5macs", "0.25macs"]
    assert named() == {}


def test_a_target_that_is_named_twice_is_refused():
    with pytest.raises(click.UsageError, match="2x is named twice"):
        named(target_speedup=(2.0, 4.0, 2.0))


def test_shares_and_numbers_do_not_mix():
    with pytest.raises(click.UsageError, match="give shares"):
        named(target_macs=(0.5, 2e9))


def test_what_is_wanted_is_in_milliseconds_or_millions_of_multiply_accumulates():
    assert wanted_ms("target_latency", 20.0, 80.0) == 20.0
    assert wanted_ms("target_speedup", 4.0, 80.0) == 20.0
    assert wanted_ms("target_macs", 0.25, 80.0) == 20.0
    assert wanted_ms("target_macs", 2e9, 80.0) == 2000.0
