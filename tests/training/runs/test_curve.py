from pathlib import Path

import pytest

from decig import records
from decig.training.runs import curve
from decig.training.runs.run import RunFolder


class Clock:
    """A clock that a test sets."""

    now = 100.0

    def monotonic(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    found = Clock()
    monkeypatch.setattr(curve, "time", found)
    return found


def made(folder: Path) -> tuple[curve.Curve, list[tuple[str, float, dict[str, float]]]]:
    told: list[tuple[str, float, dict[str, float]]] = []
    return curve.Curve(RunFolder(folder), lambda *each: told.append(each)), told


def test_everything_is_shown_and_a_point_per_second_is_kept(tmp_path: Path, clock: Clock) -> None:
    found, told = made(tmp_path)
    for step in range(100):
        found("distil", step / 100, {"loss": 1 / (step + 1), "ssim": 0.5})
        clock.now += 0.25
    assert len(told) == 100 and told[-1][1] == 0.99
    assert [point.at for point in records.load_curve(tmp_path)] == [n / 25 for n in range(25)]
    found("measure the result", 0.0, {})
    *_, last = records.load_curve(tmp_path)
    assert last.at == 0.99 and last.figures == {"loss": 0.01, "ssim": 0.5}
    assert last.seconds == pytest.approx(24.8, abs=0.1)


def test_what_tells_nothing_of_training_is_not_kept(tmp_path: Path) -> None:
    found, told = made(tmp_path)
    found("score channels", 0.0, {})
    found("plan", 1.0, {"predicted_ms": 3.0, "measured_ms": 3.1})
    assert len(told) == 2 and not list(tmp_path.iterdir())


def test_the_last_of_every_step_is_kept(tmp_path: Path, clock: Clock) -> None:
    found, _ = made(tmp_path)
    for step in ("supernet", "distil", "distil", "fold norms"):
        found(step, 0.5, {"loss": 1.0})
    found("measure the result", 0.0, {})
    points = [(point.step, point.at) for point in records.load_curve(tmp_path)]
    assert dict.fromkeys(step for step, _ in points).keys() == {"supernet", "distil", "fold norms"}


def test_a_long_training_keeps_fewer(tmp_path: Path, clock: Clock) -> None:
    found, _ = made(tmp_path)
    for hour in range(200):
        found("distil", hour / 200, {"loss": 1.0})
        clock.now += 36.0
        found("distil", hour / 200, {"loss": 1.0})
        clock.now += 0.9 * 36e-3 * hour  # less than a thousandth of the time so far
    assert len(records.load_curve(tmp_path)) <= 400


def test_a_loss_that_is_no_number_is_kept_as_none(tmp_path: Path) -> None:
    found, _ = made(tmp_path)
    found("distil", 1.5, {"loss": float("nan"), "ssim": 0.25})
    (point,) = records.load_curve(tmp_path)
    assert point.figures == {"loss": None, "ssim": 0.25} and point.at == 1.0
