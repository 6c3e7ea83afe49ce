import signal
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from accelerate import Accelerator

from decig.data.feeds import Inputs
from decig.data.pixels import PixelFormat
from decig.errors import DecigError
from decig.graph.model import ValueInfo
from decig.train.loop import Budget, Loop
from decig.train.pool import Crops, Example, TeacherPool
from decig.train.settings import Settings

PIXELS = PixelFormat((0.0, 1.0), (0.0, 1.0))


def net() -> "torch.nn.Module":
    torch.manual_seed(0)
    layers = [torch.nn.Conv2d(3, 4, 3, padding=1), torch.nn.ReLU(), torch.nn.Conv2d(4, 3, 1)]
    return torch.nn.Sequential(*layers)


def loop(steps: int, state: Path | None = None, **changes: Any) -> Loop:
    rng = np.random.default_rng(0)
    inputs = Inputs(ValueInfo("x", [1, 3, 24, 24], np.dtype(np.float32)), order=("x",))
    examples = [Example("a", (rng.integers(0, 256, (24, 24, 3), np.uint8),)) for _ in range(4)]
    torch.manual_seed(1)
    teacher = torch.nn.Conv2d(3, 3, 3, padding=1).requires_grad_(False)
    torch.nn.init.constant_(teacher.weight, 0.02)
    pool = TeacherPool(
        examples,
        teacher,
        PIXELS,
        inputs,
        Crops(16, 16, 2, 1.2),
        refresh=2,
        capacity=3,
        seed=0,
        device=torch.device("cpu"),
    )
    settings = Settings(learning_rate=5e-3, ema=0.9)
    return Loop(
        net(),
        pool,
        PIXELS,
        settings,
        Budget(steps=steps),
        Accelerator(cpu=True),
        state_file=state,
        **changes,
    )


def weights(module: "torch.nn.Module") -> "torch.Tensor":
    return torch.cat([p.detach().ravel() for p in module.parameters()])


def test_the_student_comes_closer_to_its_teacher() -> None:
    losses: list[float] = []
    loop(40, report=lambda _, __, loss: losses.append(loss)).run()
    assert len(losses) == 40
    assert np.mean(losses[-5:]) < 0.7 * np.mean(losses[:5])


def test_a_killed_run_ends_where_an_unbroken_one_does(tmp_path: Path) -> None:
    whole = loop(12).run()

    def kill(running: Loop, *_: float) -> None:
        if running.step == 5:
            running.save()
        if running.step == 7:  # as after kill -9, the state on disk is that of step 5
            raise RuntimeError("killed")

    broken = loop(12, tmp_path / "state.pt", report=kill)
    with pytest.raises(RuntimeError):
        broken.run()
    again = loop(12, tmp_path / "state.pt")
    assert again.resume()
    assert torch.equal(weights(again.run()), weights(whole))


def test_batches_that_were_taken_before_do_not_come_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    running, asked = loop(3), []
    batch = running.pool.batch
    monkeypatch.setattr(running.pool, "batch", lambda step: asked.append(step) or batch(step))
    running.first = 5
    running.run()
    assert asked == [5, 6, 7]


def test_without_a_state_there_is_nothing_to_resume(tmp_path: Path) -> None:
    assert not loop(2, tmp_path / "none.pt").resume()


def test_not_a_number_stops_the_run_and_keeps_the_last_good_state(tmp_path: Path) -> None:
    state = tmp_path / "state.pt"
    running = loop(10, state)

    def poison(*_: float) -> None:
        if running.step == 3:
            with torch.no_grad():
                next(running.student.parameters()).fill_(float("nan"))

    running.after_step = poison
    with pytest.raises(DecigError, match="nan at step 4"):
        running.run()
    again = loop(10, state)
    assert again.resume()
    assert torch.isfinite(weights(again.student)).all()


def test_ctrl_c_saves_the_state(tmp_path: Path) -> None:
    def interrupt(running: Loop, *_: float) -> None:
        if running.step == 4:
            signal.raise_signal(signal.SIGINT)

    with pytest.raises(KeyboardInterrupt):
        loop(9, tmp_path / "state.pt", report=interrupt).run()
    again = loop(9, tmp_path / "state.pt")
    assert again.resume() and again.step == 4


def test_another_students_state_is_refused(tmp_path: Path) -> None:
    loop(2, tmp_path / "state.pt").run()
    other = loop(2, tmp_path / "state.pt")
    other.student[0] = torch.nn.Conv2d(3, 5, 1)
    with pytest.raises(DecigError, match=r"state\.pt"):
        other.resume()


@pytest.mark.parametrize("content", [b"", b"no state", b"\x80\x04]."])
def test_a_damaged_state_is_named(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "state.pt").write_bytes(content)
    with pytest.raises(DecigError, match=r"state\.pt: not the state of this run: \w"):
        loop(2, tmp_path / "state.pt").resume()


@pytest.mark.parametrize(
    ("budget", "share"),
    [(Budget(steps=10), 0.3), (Budget(seconds=60.0), 0.5), (Budget(steps=0), 1.0)],
)
def test_budgets_count_steps_or_seconds(budget: Budget, share: float) -> None:
    assert budget.share(3, 30.0) == share
    assert budget.part(0.5).share(3, 30.0) == pytest.approx(min(1.0, 2 * share))
