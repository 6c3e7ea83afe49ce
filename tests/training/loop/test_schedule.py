import numpy as np
import pytest

from decig.training.loop.schedule import Budget, HoldThenFall, WarmUpThenCosine, constant


@pytest.mark.parametrize(
    ("budget", "progress"),
    [(Budget(steps=10), 0.3), (Budget(seconds=60.0), 0.5), (Budget(steps=0), 1.0)],
)
def test_budgets_count_steps_or_seconds(budget: Budget, progress: float) -> None:
    assert budget.progress(3, 30.0) == progress
    half, _ = budget.parts([0.5, 0.5])
    assert half.progress(3, 30.0) == pytest.approx(min(1.0, 2 * progress))


@pytest.mark.parametrize("steps", [1, 7, 9, 30])
@pytest.mark.parametrize("shares", [(0.5, 0.1, 0.4), (0.0, 1.0), (1 / 20,) * 20])
def test_parts_of_steps_are_whole_and_none_gets_lost(steps: int, shares: tuple[float, ...]) -> None:
    parts = [budget.steps or 0 for budget in Budget(steps=steps).parts(shares)]
    assert sum(parts) == steps
    assert np.allclose(parts, np.multiply(steps, shares), atol=1)


def test_the_rate_warms_up_and_falls_to_nothing() -> None:
    schedule = WarmUpThenCosine(0.1)
    found = [schedule(progress) for progress in np.linspace(0, 1, 101)]
    assert 0 < found[0] < 0.01
    assert max(found) == found[10] == pytest.approx(1.0)
    assert (np.diff(found[:11]) > 0).all() and (np.diff(found[10:]) < 0).all()
    assert found[55] == pytest.approx(0.5) and found[100] == pytest.approx(0)


@pytest.mark.parametrize("warm_up", [0.0, 1.0])
def test_either_half_of_the_schedule_may_be_missing(warm_up: float) -> None:
    found = [WarmUpThenCosine(warm_up)(progress) for progress in np.linspace(0, 0.99, 50)]
    assert all(0 < factor <= 1 for factor in found)


def test_the_rate_holds_for_half_the_steps_and_falls_to_nothing() -> None:
    found = [HoldThenFall()(step / 10) for step in range(11)]
    assert found == pytest.approx([1] * 6 + [0.8, 0.6, 0.4, 0.2, 0.0])
    assert [HoldThenFall(1.0)(progress) for progress in (0.0, 0.5, 1.0)] == [1, 1, 1]
    assert [constant(step / 10) for step in range(11)] == [1.0] * 11
