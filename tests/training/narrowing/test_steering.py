from typing import Any

import pytest

from decig.training.loop.processes import Processes
from decig.training.narrowing.steering import Steered


class Thinning:
    """Takes nothing away, and remembers what it was told."""

    def __init__(self) -> None:
        self.shares: list[float] = []
        self.asked: list[tuple[float, float]] = []

    def step(self, share: float = 1.0) -> None:
        self.shares.append(share)

    def live(self) -> dict[str, int]:
        return {"c1": 4}

    def steer(self, predicted: float, wanted: float) -> None:
        self.asked.append((predicted, wanted))

    def state_dict(self) -> dict[str, Any]:
        return {"asked": list(self.asked)}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.asked = list(state["asked"])


def steered(narrowing: Thinning, processes: Processes | None = None) -> Steered:
    schedule = lambda progress: 1 - progress  # noqa: E731
    predict = lambda widths: 5.0 * widths["c1"] / 4  # noqa: E731
    return Steered(narrowing, schedule, predict, 8.0, 2.0, processes or Processes())


def test_the_rate_is_steered_now_and_then_towards_the_schedule() -> None:
    narrowing = Thinning()
    part = steered(narrowing)
    for step in range(30):
        part.after_update(step, step / 30)
    assert part.looked_at == 30 and part.predicted_ms == 5.0
    wanted = [8 * 0.25 ** (step / 30) for step in (9, 19, 29)]  # the same share each time
    assert narrowing.asked == [(5.0, pytest.approx(ms)) for ms in wanted]


def test_steps_follow_the_schedule() -> None:
    narrowing = Thinning()
    part = steered(narrowing)
    for step in range(4):
        part.after_update(step, step / 4)
    assert narrowing.shares == [1.0, 0.75, 0.5, 0.25]
    assert not part.done


def test_steering_goes_on_where_it_stood() -> None:
    one, other = Thinning(), Thinning()
    part = steered(one)
    for step in range(10):
        part.after_update(step, 0.9)
    steered(other).load_state_dict(part.state_dict())
    assert other.asked == one.asked != []


class Second(Processes):
    """A process whose main process has steered otherwise."""

    def from_main(self, value: Any) -> Any:
        return {"asked": [(6.0, 1.0)]}


def test_all_processes_are_steered_as_the_main_one() -> None:
    narrowing = Thinning()
    part = steered(narrowing, Second())
    for step in range(10):
        part.after_update(step, 0.9)
    assert narrowing.asked == [(6.0, 1.0)]
