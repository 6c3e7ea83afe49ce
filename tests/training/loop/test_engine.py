import copy
import signal
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from decig.errors import DecigError
from decig.training.loop import engine as engine_module
from decig.training.loop.engine import Engine, News
from decig.training.loop.processes import Processes
from decig.training.loop.schedule import Budget
from tests.training.simple_task import SimpleTask, kill_at, weights


def engine(steps: int, state: Path | None = None, **options: Any) -> Engine:
    task = options.pop("task", None) or SimpleTask()
    return Engine(task, Budget(steps=steps), Processes(), seed=1, state_file=state, **options)


def test_what_is_minimised_becomes_less() -> None:
    told: list[News] = []
    engine(60, report=told.append).run()
    assert [news.step for news in told] == list(range(1, 61))
    assert [news.progress for news in told] == pytest.approx([step / 60 for step in range(60)])
    for name in ("student", "coach"):
        losses = [news.losses[name] for news in told]
        assert np.mean(losses[-10:]) < 0.9 * np.mean(losses[:10])


def test_losses_are_told_with_their_terms() -> None:
    told: list[News] = []
    engine(1, report=told.append).run()
    losses = told[0].losses
    assert list(losses) == ["coach", "coach/input", "student", "student/squares", "student/edges"]
    assert losses["student"] == pytest.approx(losses["student/squares"] + losses["student/edges"])


def test_groups_are_updated_in_turn_each_by_its_own_schedule() -> None:
    running = engine(20)
    coach = copy.deepcopy(running.task.coach)
    seen = []
    losses = running.task.losses

    def watched(group: str, batch: Any, shared: Any) -> Any:
        seen.append((group, torch.equal(weights(running.task.coach), weights(coach))))
        coach.load_state_dict(running.task.coach.state_dict())
        return losses(group, batch, shared)

    running.task.losses = watched
    running.run()
    # When the student's turn comes, the coach has moved since its own.
    assert seen == [("coach", True), ("student", False)] * 20
    rates = {name: o.param_groups[0]["lr"] for name, o in running.optimisers.items()}
    assert rates["coach"] == 0.02
    assert rates["student"] == pytest.approx(0.03 * running.task.groups["student"].schedule(0.95))


def test_the_mean_follows_the_trained_weights() -> None:
    running = engine(1)
    before = weights(running.task.student).clone()
    running.run()
    after, mean = weights(running.task.student), weights(running.means["student"])
    assert not torch.equal(after, before)
    assert torch.allclose(mean, before + 0.9 * (after - before), atol=1e-6)
    assert not running.means["student"].training
    assert running.means.keys() == {"student"}


def test_gradients_of_several_batches_make_one_update() -> None:
    class Whole(SimpleTask):
        """Joins the batches of two numbers; without dropout, whose draws would differ."""

        def batch(self, number: int) -> "torch.Tensor":
            return torch.cat([SimpleTask.batch(self, 2 * number + k) for k in (0, 1)])

    ends = []
    for task, accumulate in ((SimpleTask(), 2), (Whole(), 1)):
        task.student[2].p = 0.0
        told: list[News] = []
        running = engine(5, task=task, accumulate=accumulate, report=told.append)
        taken: list[torch.Tensor] = []  # Adam's steps would be the same for any multiple of them
        optimiser, parameters = running.optimisers["student"], list(task.student.parameters())

        def take(*_: Any, into: Any = taken, of: Any = parameters) -> None:
            into.append(torch.cat([parameter.grad.ravel() for parameter in of]))

        optimiser.register_step_pre_hook(take)
        running.run()
        assert task.asked == list(range(10))
        ends.append(
            (taken[0], weights(task.student), weights(task.coach), told[-1].losses["student"])
        )
    for one, other in zip(*ends, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-5)


def test_parts_take_their_turn_after_the_updates() -> None:
    class Part:
        seen: list[tuple[int, float, bool]] = []  # noqa: RUF012
        done = False

        def after_update(self, step: int, progress: float) -> None:
            self.seen.append((step, progress, torch.equal(weights(running.task.student), begun)))

        def state_dict(self) -> dict[str, Any]:
            return {}

        def load_state_dict(self, state: dict[str, Any]) -> None:
            pass

    running = engine(2, parts=[Part()])
    begun = weights(running.task.student).clone()
    running.run()
    assert Part.seen == [(0, 0.0, False), (1, 0.5, False)]


class Enough:
    """A part that is done after some updates, counted over all resumes."""

    def __init__(self, updates: int) -> None:
        self.left = updates

    @property
    def done(self) -> bool:
        return self.left <= 0

    def after_update(self, step: int, progress: float) -> None:
        self.left -= 1

    def state_dict(self) -> dict[str, Any]:
        return {"left": self.left}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.left = state["left"]


def test_a_part_that_is_done_ends_training(tmp_path: Path) -> None:
    running = engine(12, tmp_path / "state.pt", parts=[Enough(5)])
    running.run()
    assert running.step == 5
    again = engine(12, tmp_path / "state.pt", parts=[Enough(99)])
    assert again.resume()
    again.run()
    assert again.step == 5 and again.task.asked == []
    assert engine(12, parts=[Enough(0)]).run() is None  # without a single step


def test_a_killed_run_ends_where_an_unbroken_one_does(tmp_path: Path, saving_always: None) -> None:
    whole = engine(12)
    whole.run()
    broken = engine(12, tmp_path / "state.pt", report=kill_at(6))
    with pytest.raises(RuntimeError, match="killed"):
        broken.run()
    again = engine(12, tmp_path / "state.pt")
    assert again.resume() and again.step == 5
    again.run()
    assert again.task.asked == list(range(5, 12))
    for one, other in ((again.task.student, whole.task.student), (again.means, whole.means)):
        nets = (n["student"] if isinstance(n, dict) else n for n in (one, other))
        assert torch.equal(*map(weights, nets))
    assert torch.equal(weights(again.task.coach), weights(whole.task.coach))


def test_what_a_task_remembers_is_saved_with_its_nets(tmp_path: Path, saving_always: None) -> None:
    class Remembering(SimpleTask):
        """Remembers how many batches it has seen."""

        def __post_init__(self) -> None:
            super().__post_init__()
            self.seen = 0
            self.memories = {"seen": self}

        def batch(self, number: int) -> torch.Tensor:
            self.seen += 1
            return super().batch(number)

        def state_dict(self) -> dict[str, Any]:
            return {"seen": self.seen}

        def load_state_dict(self, state: dict[str, Any]) -> None:
            self.seen = state["seen"]

    with pytest.raises(RuntimeError, match="killed"):
        engine(12, tmp_path / "state.pt", task=Remembering(), report=kill_at(6)).run()
    again = engine(12, tmp_path / "state.pt", task=Remembering())
    assert again.resume() and again.task.seen == again.step == 5
    again.run()
    assert again.task.seen == 12


def test_what_is_drawn_follows_from_the_seed() -> None:
    ends = []
    for seed in (1, 1, 2):
        running = Engine(SimpleTask(), Budget(steps=3), Processes(), seed=seed)
        torch.rand(seed + len(ends))  # whatever was drawn before
        running.run()
        ends.append(weights(running.task.student))
    assert torch.equal(ends[0], ends[1]) and not torch.equal(ends[0], ends[2])


def test_states_are_saved_now_and_then(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    saved: list[int] = []
    now = 0.0

    def passing() -> float:
        nonlocal now
        now += 1.0  # a second for every look at the clock
        return now

    monkeypatch.setattr(engine_module.time, "monotonic", passing)
    monkeypatch.setattr(engine_module, "write_state", lambda _, state: saved.append(state["step"]))
    running = engine(90, tmp_path / "state.pt")
    running.run()
    assert saved[0] == 1 and saved[-1] == 90
    # Two looks per step: more than 30 seconds are 16 steps.
    assert np.diff(saved[:-1]).tolist() == [16] * (len(saved) - 2)


def test_large_states_are_saved_less_often(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    now = 0.0

    def write(*_: Any) -> None:
        nonlocal now
        now += 60.0

    monkeypatch.setattr(engine_module.time, "monotonic", lambda: now)
    monkeypatch.setattr(engine_module, "write_state", write)
    running = engine(1, tmp_path / "state.pt")
    running.save()
    assert running._next_save == pytest.approx(60 + 60 / 0.05)


def test_without_a_state_there_is_nothing_to_resume(tmp_path: Path) -> None:
    assert not engine(2, tmp_path / "none.pt").resume()
    assert not engine(2).resume()


def test_not_a_number_stops_the_run_and_keeps_the_last_good_state(
    tmp_path: Path, saving_always: None
) -> None:
    state = tmp_path / "state.pt"

    def poison(news: News) -> None:
        if news.step == 3:
            with torch.no_grad():
                next(running.task.student.parameters()).fill_(float("nan"))

    running = engine(10, state, report=poison)
    wanted = r"^the student's loss became nan at step 3; .* kept in \S+state\.pt; lower learning"
    with pytest.raises(DecigError, match=wanted):
        running.run()
    again = engine(10, state)
    assert again.resume() and again.step == 2
    assert torch.isfinite(weights(again.task.student)).all()


def test_ctrl_c_ends_the_step_and_saves_the_state(tmp_path: Path) -> None:
    def interrupt(news: News) -> None:
        if news.step == 4:
            signal.raise_signal(signal.SIGINT)

    before = signal.getsignal(signal.SIGINT)
    with pytest.raises(KeyboardInterrupt):
        engine(9, tmp_path / "state.pt", report=interrupt).run()
    assert signal.getsignal(signal.SIGINT) is before
    again = engine(9, tmp_path / "state.pt")
    assert again.resume() and again.step == 4


def test_what_a_task_makes_again_after_a_resume_is_no_training(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A signal ends it at once, and it takes nothing of a budget."""
    state, clock, made = tmp_path / "state.pt", [0.0], []
    monkeypatch.setattr(engine_module.time, "monotonic", lambda: clock[0])

    class Preparing(SimpleTask):
        """Takes long to make what its batches need."""

        stopped = False

        def prepare(self, number: int) -> None:
            clock[0] += 1000.0
            if self.stopped:
                signal.raise_signal(signal.SIGTERM)
            made.append(number)

    def stop(*_: object) -> None:
        raise KeyboardInterrupt

    engine(4, state, task=Preparing(), accumulate=2).run()
    assert made == [0]
    again = engine(9, state, task=Preparing(), accumulate=2)
    again.task.stopped = True
    assert again.resume()
    before = signal.signal(signal.SIGTERM, stop)
    with pytest.raises(KeyboardInterrupt):
        again.run()
    signal.signal(signal.SIGTERM, before)
    assert made == [0] and again.step == 4
    again = engine(9, state, task=Preparing(), accumulate=2)
    assert again.resume()
    again.run()
    assert made == [0, 8] and again.elapsed_s == 0.0
    finished = engine(9, state, task=Preparing(), accumulate=2)
    assert finished.resume()
    finished.run()
    assert made == [0, 8]


def test_another_nets_state_is_refused(tmp_path: Path) -> None:
    engine(2, tmp_path / "state.pt").run()
    task = SimpleTask()
    task.student[0] = torch.nn.Conv2d(3, 5, 1)
    with pytest.raises(DecigError, match=r"state\.pt: not the state of this run"):
        engine(2, tmp_path / "state.pt", task=task).resume()


@pytest.mark.parametrize("content", [b"", b"no state", b"\x80\x04]."])
def test_a_damaged_state_is_named(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "state.pt").write_bytes(content)
    with pytest.raises(DecigError, match=r"state\.pt: not the state of this run: \w"):
        engine(2, tmp_path / "state.pt").resume()


def test_a_group_goes_on_in_another_engine() -> None:
    first, second = engine(3), engine(3)
    first.run()
    second.load_group("coach", first.group_state("coach"))
    assert torch.equal(weights(second.task.coach), weights(first.task.coach))
    assert not torch.equal(weights(second.task.student), weights(first.task.student))
    moments = (
        each.optimisers["coach"].state_dict()["state"][0]["exp_avg"] for each in (first, second)
    )
    assert torch.equal(*moments)


def test_a_state_that_cannot_be_written_says_why_and_the_run_goes_on_later(
    tmp_path: Path, saving_always: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    state = tmp_path / "state.pt"
    save = torch.save

    def full(content: dict[str, Any], opened: Any) -> None:
        if content["step"] == 3:
            raise OSError(28, "No space left on device")
        save(content, opened)

    monkeypatch.setattr(torch, "save", full)
    with pytest.raises(DecigError, match=r"state\.pt: not written: No space left on device"):
        engine(6, state).run()
    monkeypatch.undo()
    again, whole = engine(6, state), engine(6)
    assert again.resume() and again.step == 2
    again.run()
    whole.run()
    assert torch.equal(weights(again.task.student), weights(whole.task.student))


def test_in_the_end_all_processes_have_the_main_ones_running_means(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Each process has running statistics of its own, and only the main one's are written."""
    running, taken = engine(3), list[tuple[int, torch.nn.Module]]()

    def take(_: Processes, net: torch.nn.Module) -> None:
        taken.append((running.step, net))

    monkeypatch.setattr(Processes, "take_from_main", take)
    running.run()
    assert taken == [(3, running.means["student"])]
