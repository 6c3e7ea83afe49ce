import contextlib
import copy
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from accelerate import PartialState
from torch import distributed

from decig.errors import BadInputError, DecigError
from decig.training.loop import processes
from decig.training.loop.engine import Engine
from decig.training.loop.processes import Processes
from decig.training.loop.schedule import Budget
from tests.training.launch import launched, together
from tests.training.simple_task import SimpleTask, weights

STEPS = 6


def test_alone_there_is_nobody_to_agree_with() -> None:
    processes, module = Processes(), torch.nn.Linear(2, 2)
    assert (processes.rank, processes.count, processes.main) == (0, 1, True)
    assert processes.from_main(7) == 7 and processes.on_main(lambda: 8) == 8
    assert processes.mean([1.0, 2.0]) == [1.0, 2.0] and processes.gather("x") == ["x"]
    assert processes.to_main("x") == ["x"] and processes.after_main(lambda: 1, lambda: 2) == 1
    before = module.weight.clone()
    module(torch.ones(2)).sum().backward()
    gradient = module.weight.grad.clone()
    processes.average_gradients(module.parameters())
    processes.take_from_main(module)
    processes.wait()
    assert torch.equal(module.weight, before) and torch.equal(module.weight.grad, gradient)
    with pytest.raises(BadInputError, match="mine"):
        processes.on_main(_fail)


def _fail() -> None:
    raise BadInputError("mine")


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory) -> list[dict[str, Any]]:
    """What each of two processes found."""
    folder = tmp_path_factory.mktemp("two")
    together(__name__, "in_two_processes", folder)
    return [torch.load(folder / f"{rank}.pt", weights_only=True) for rank in (0, 1)]


def in_two_processes(folder: Path) -> None:
    """What the tests below look at; runs in each process."""
    processes = Processes()
    ours: dict[str, Any] = {"rank": processes.rank, "count": processes.count}
    ours["decided"] = processes.from_main(f"by {processes.rank}")
    ours["done"] = processes.on_main(lambda: (folder / "main").write_text("x"))
    ours["gathered"] = processes.gather({"of": processes.rank})
    ours["to_main"] = processes.to_main({"of": processes.rank})
    ours["after_main"] = processes.after_main(lambda: "first", lambda: "second")
    ours["mean"] = processes.mean([float(processes.rank), 4.0])
    ours["poisoned"] = processes.mean([float("nan") if processes.rank else 1.0])
    ours |= _gradients(processes) | _training(processes) | _clock(processes)
    ours["failure"] = _failure(lambda: processes.on_main(_fail))
    ours["after"] = _failure(lambda: processes.after_main(_fail, lambda: None))
    ours["report"] = _failure(_engine(processes, report=lambda _: _fail()).run)
    nowhere = folder / "missing" / "state.pt"
    ours["save"] = _failure(_engine(processes, state_file=nowhere).run)
    ours["resume"] = _failure(_of_two_steps(processes, folder / f"state-{processes.rank}.pt"))
    torch.save(ours, folder / f"{processes.rank}.pt")


def _failure(work: Callable[[], object]) -> str:
    try:
        work()
    except (DecigError, SystemExit) as error:
        return f"{type(error).__name__} {error}"
    return ""


def _engine(processes: Processes, steps: int = 2, **more: Any) -> Engine:
    return Engine(SimpleTask(), Budget(steps=steps), processes, **more)


def _of_two_steps(processes: Processes, file: Path) -> Callable[[], object]:
    """Resume from a file of this process alone, which the other one wrote one step later."""
    alone = copy.copy(processes)
    alone.count, alone.rank = 1, 0
    _engine(alone, 2 + processes.rank, state_file=file).run()
    return _engine(processes, state_file=file).resume


def _gradients(processes: Processes) -> dict[str, Any]:
    """Four parameters: used by both processes, by the second one, by none; channels last."""
    torch.manual_seed(processes.rank)
    both, second, none = (torch.nn.Parameter(torch.ones(3)) for _ in range(3))
    last = torch.nn.Parameter(torch.ones(2, 2, 3, 3).to(memory_format=torch.channels_last))
    scale = torch.arange(36.0).view(2, 2, 3, 3)
    loss = (1 + processes.rank) * ((both * 2).sum() + (last * scale).sum())
    (loss + (5 * second.sum() if processes.rank else 0)).backward()
    processes.average_gradients([both, second, none, last])
    net = torch.nn.BatchNorm1d(4)
    torch.nn.init.normal_(net.weight)
    net.running_mean.add_(processes.rank + 1)
    processes.take_from_main(net)
    taken = {"weight": net.weight.detach(), "running_mean": net.running_mean}
    return {"gradients": [p.grad for p in (both, second, none, last)], "taken": taken}


def _training(processes: Processes) -> dict[str, Any]:
    task = _undisturbed(SimpleTask(rank=processes.rank))
    if processes.rank:
        torch.nn.init.ones_(task.student[0].weight)  # the main process's weights count
    losses: list[float] = []
    report = lambda news: losses.append(news.losses["student"])  # noqa: E731
    engine = Engine(task, Budget(steps=STEPS), processes, report=report)
    engine.run()
    return {"student": weights(task.student), "coach": weights(task.coach), "losses": losses}


def _clock(processes: Processes) -> dict[str, Any]:
    """Train for two seconds, with one process whose clock is far ahead."""
    engine = Engine(SimpleTask(), Budget(seconds=2.0), processes)
    engine.elapsed_s = 1.5 + 100 * processes.rank
    engine.run()
    return {"steps": engine.step}


def _undisturbed(task: SimpleTask) -> SimpleTask:
    task.student[2].p = 0.0  # dropout draws for each process by itself
    return task


def test_the_main_process_decides_and_works(found: list[dict[str, Any]]) -> None:
    assert [(each["rank"], each["count"]) for each in found] == [(0, 2), (1, 2)]
    assert [each["decided"] for each in found] == ["by 0"] * 2
    assert [each["done"] for each in found] == [1, 1]


def test_values_of_all_processes_are_gathered_in_order(found: list[dict[str, Any]]) -> None:
    assert [each["gathered"] for each in found] == [[{"of": 0}, {"of": 1}]] * 2
    assert [each["to_main"] for each in found] == [[{"of": 0}, {"of": 1}], []]


def test_the_others_work_after_the_main_process(found: list[dict[str, Any]]) -> None:
    assert [each["after_main"] for each in found] == ["first", "second"]


@pytest.mark.parametrize("asked", ["true", "false"])
def test_accelerate_can_keep_training_off_the_gpu(
    asked: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    known = PartialState()
    given: list[bool] = []
    state = lambda cpu, timeout: given.append(cpu) or known  # noqa: E731
    monkeypatch.setattr(processes, "PartialState", state)
    monkeypatch.setenv("ACCELERATE_USE_CPU", asked)
    Processes()
    assert given == [asked == "true"]


def test_training_stays_on_the_gpu_that_was_the_current_one(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    device = torch.device("cuda")
    state = SimpleNamespace(process_index=0, num_processes=1, device=device)
    monkeypatch.setattr(processes, "PartialState", lambda **_: state)
    monkeypatch.setattr(torch.cuda, "current_device", lambda: 2)
    assert Processes().device == torch.device("cuda", 2)


def test_numbers_are_averaged_and_one_that_is_none_spoils_the_mean(
    found: list[dict[str, Any]],
) -> None:
    assert [each["mean"] for each in found] == [[0.5, 4.0]] * 2
    assert np.isnan([each["poisoned"][0] for each in found]).all()


def test_gradients_are_averaged(found: list[dict[str, Any]]) -> None:
    for each in found:
        both, second, none, last = each["gradients"]
        assert both.tolist() == [3.0] * 3 and second.tolist() == [2.5] * 3 and none is None
        assert torch.equal(last, 1.5 * torch.arange(36.0).view(2, 2, 3, 3))
        assert last.is_contiguous(memory_format=torch.channels_last)


def test_weights_and_statistics_are_taken_from_the_main_process(
    found: list[dict[str, Any]],
) -> None:
    first, second = (each["taken"] for each in found)
    assert torch.equal(first["weight"], second["weight"])
    assert second["running_mean"].tolist() == [1.0] * 4


def test_two_processes_train_as_one_with_both_their_batches(found: list[dict[str, Any]]) -> None:
    task, losses = _undisturbed(SimpleTask(ranks=(0, 1))), []
    report = lambda news: losses.append(news.losses["student"])  # noqa: E731
    Engine(task, Budget(steps=STEPS), Processes(), report=report).run()
    assert torch.equal(found[0]["student"], found[1]["student"])
    torch.testing.assert_close(found[0]["student"], weights(task.student), rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(found[0]["coach"], weights(task.coach), rtol=1e-4, atol=1e-5)
    assert found[0]["losses"] == pytest.approx(losses, rel=1e-4)
    assert found[1]["losses"] == []  # the main process alone reports
    lone = _undisturbed(SimpleTask())
    Engine(lone, Budget(steps=STEPS), Processes()).run()
    assert (weights(lone.student) - weights(task.student)).abs().max() > 1e-3


def test_the_main_process_watches_the_clock(found: list[dict[str, Any]]) -> None:
    assert found[0]["steps"] == found[1]["steps"] > 0


@pytest.mark.parametrize("where", ["failure", "after", "report"])
def test_a_failure_of_the_main_process_ends_all(found: list[dict[str, Any]], where: str) -> None:
    assert [each[where] for each in found] == ["BadInputError mine", "SystemExit 2"]


def test_a_state_that_cannot_be_written_ends_all(found: list[dict[str, Any]]) -> None:
    first, second = (each["save"] for each in found)
    assert "state.pt" in first and second.startswith("SystemExit")


def test_a_resume_from_states_of_different_steps_is_refused_by_all(
    found: list[dict[str, Any]],
) -> None:
    for rank, each in enumerate(found):
        assert f"state-{rank}.pt: the processes find states of different" in each["resume"]
        assert "steps there, [2, 3]" in each["resume"]


@pytest.mark.parametrize("fails", [False, True])
def test_one_that_failed_does_not_wait_for_the_others(
    fails: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    ended = []
    monkeypatch.setattr(processes, "_at_work", False)
    monkeypatch.setattr(distributed, "is_initialized", lambda: True)
    monkeypatch.setattr(distributed, "destroy_process_group", lambda: ended.append("with all"))
    inner = distributed.distributed_c10d
    monkeypatch.setattr(inner, "_abort_process_group", lambda: ended.append("alone"))

    @processes.together()
    def work() -> None:
        if fails:
            _fail()

    with pytest.raises(BadInputError) if fails else contextlib.nullcontext():
        work()
    processes._part()
    assert ended == ["alone" if fails else "with all"]


@processes.together()
def second_fails(folder: Path) -> None:
    """One process fails where the other one waits for it."""
    if not Processes().main:
        _fail()
    Processes().wait()
    (folder / "met").touch()


def test_where_one_fails_the_other_one_ends_too(tmp_path: Path) -> None:
    done = launched("tests.training.launch", __name__, "second_fails", tmp_path)
    assert done.returncode != 0 and "BadInputError: mine" in done.stderr
    assert not (tmp_path / "met").exists()
