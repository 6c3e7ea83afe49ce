"""When training ends early, and that it never does while a student gains."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from decig.quality.metrics import Likeness
from decig.training.loop import patience as module
from decig.training.loop.patience import LOOKING_SHARE, LOOKS, Patience

STEPS = 200


def train(seen: list[Likeness], patience: float = 0.25, before: Likeness | None = None) -> Patience:
    """Take the steps of a budget until patience ends; `seen` says what each look finds, in turn."""
    looks = iter(seen)
    watch = Patience(lambda: next(looks), before or Likeness(0.5, 20.0), patience)
    for step in range(STEPS):
        if watch.done:
            break
        watch.after_update(step, step / STEPS)
    return watch


def curve(*ssim: float, psnr_db: float = 20.0) -> list[Likeness]:
    return [Likeness(value, psnr_db) for value in ssim]


def test_looks_are_few_and_evenly_spread() -> None:
    watch = train([Likeness(0.5 + 0.01 * k, 20.0) for k in range(LOOKS)])
    at = [share for share, _ in watch.looks]
    assert len(at) == LOOKS and at[0] == 0
    assert np.diff(at) == pytest.approx(1 / LOOKS)
    assert not watch.done


def test_what_stands_still_ends_after_a_stretch_in_the_second_half() -> None:
    watch = train(curve(*[0.5] * LOOKS))
    assert watch.looks[-1][0] == pytest.approx(0.75)
    assert watch.reason == "nothing improved over 25% of the budget"


def test_patience_is_a_share_of_the_budget() -> None:
    assert train(curve(*[0.5] * LOOKS), patience=0.1).looks[-1][0] == pytest.approx(0.6)
    for never in (0.0, 0.6):
        assert not train(curve(*[0.5] * LOOKS), patience=never).done


def test_what_stood_still_in_the_first_half_alone_is_not_ended() -> None:
    assert not train(curve(*[0.5] * 12, *(0.5 + 0.01 * np.arange(LOOKS)))).done


def test_what_gets_worse_and_comes_back_is_not_ended() -> None:
    fall_and_rise = [0.9 - 0.3 * math.sin(math.pi * k / LOOKS) for k in range(1, LOOKS)]
    assert not train(curve(*fall_and_rise), before=Likeness(0.9, 30.0)).done


def test_either_figure_counts() -> None:
    rising = [Likeness(0.5, 20.0 + 0.01 * k) for k in range(1, LOOKS)]
    assert not train(rising).done
    rising = [Likeness(0.5 + 1e-4 * k, 20.0) for k in range(1, LOOKS)]
    assert not train(rising).done


@given(st.lists(st.integers(1, 200), min_size=LOOKS, max_size=LOOKS))
def test_what_gains_at_every_look_never_ends(gains: list[int]) -> None:
    assert not train(curve(*(0.5 + 1.01e-4 * np.cumsum(gains)))).done


@given(st.lists(st.integers(0, 9), min_size=LOOKS, max_size=LOOKS))
def test_nothing_ends_before_such_a_stretch(tenths: list[int]) -> None:
    watch = train(curve(*(ssim / 10 for ssim in tenths)))
    assert not watch.done or watch.looks[-1][0] >= 0.75 - 1e-9


def test_pictures_that_cannot_be_told_apart_end_at_once() -> None:
    alike = Likeness(0.99998, 55.0)
    assert train([], before=alike).looks == [(0.0, alike)]
    assert not train(curve(*[0.6] * 3, 0.999, *[0.9] * LOOKS)).reason.startswith("the pictures")
    watch = train([Likeness(0.99, 40.0), alike])
    assert watch.reason == "the pictures cannot be told from the original's"
    assert len(watch.looks) == 3
    assert not Patience(None, alike, 0.0).done


def test_a_resumed_run_knows_what_was_seen() -> None:
    whole = train(curve(*[0.5] * LOOKS))
    other = Patience(None, Likeness(0.0, 0.0), 0.25)
    other.load_state_dict(whole.state_dict())
    assert other.looks == whole.looks and other.reason == whole.reason


def test_a_process_that_does_not_look_decides_nothing() -> None:
    watch = Patience(None, Likeness(0.5, 20.0), 0.25)
    for step in range(STEPS):
        watch.after_update(step, step / STEPS)
    assert len(watch.looks) == 1 and not watch.done


@pytest.mark.parametrize(("look_s", "timed"), [(1.0, True), (30.0, True), (30.0, False)])
def test_looks_take_a_share_of_a_budget_in_seconds_at_most(
    look_s: float, timed: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of 500 seconds, in steps of one second; steps and looks alone take time."""
    clock = [0.0]
    monkeypatch.setattr(module.time, "monotonic", lambda: clock[0])

    def look() -> Likeness:
        clock[0] += look_s
        return Likeness(0.5, 20.0)

    watch, step = Patience(look, Likeness(0.5, 20.0), 0.0, timed=timed), 0
    while clock[0] < 500:
        watch.after_update(step, clock[0] / 500)
        clock[0] += 1.0
        step += 1
    looked = len(watch.looks) - 1
    if look_s == 1.0:
        assert looked == LOOKS - 1
    else:
        assert looked >= 2
        assert (looked * look_s <= 500 * LOOKING_SHARE + look_s) is timed
