"""Originals and students in two processes that train together, against one with both batches.

What depends on the size of the batch (BatchNorm) or draws for each process by itself (dropout) is
left out of the nets that are compared. Biases before an InstanceNorm have no gradient but
rounding, and Adam makes steps of that: students are compared by what they paint.
"""

import atexit
import contextlib
import copy
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import torch

from decig.source.recipe import load_recipe
from decig.training.compression.student import student_task
from decig.training.data.pool import Batch, TeacherPool
from decig.training.loop.engine import Engine, News
from decig.training.loop.processes import Processes
from decig.training.loop.schedule import Budget
from decig.training.originals import original
from decig.training.runs.run import hold
from decig.training.tasks import paired
from decig.training.tasks.distil import Distil
from tests.samples import PIXELS, write_photos
from tests.training.launch import launched, together
from tests.training.small import small, write_table

STEPS = 5
NET = """
from torch import nn
class Net(nn.Sequential):
    def __init__(self):
        super().__init__(nn.Conv2d(3, 4, 3, padding=1), nn.Tanh(), nn.Conv2d(4, 3, 1))
"""
RECIPE = f"""
[model]
onnx = "generator.onnx"
input_shape = [1, 3, 32, 32]
[pixels]
input_range = [0, 1]
output_range = [0, 1]
[source]
python = "net.py:Net"
[train]
learning_rate = 1e-3
discriminator_width = 4
stages = [{{ crop = 32, batch = 1, steps = {STEPS} }}]
"""


def place(folder: Path) -> Path:
    """Write a recipe and its pairs."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "net.py").write_text(NET)
    (folder / "recipe.toml").write_text(RECIPE)
    for split in ("train", "val"):
        for half in ("input", "target"):
            write_photos(folder / "data" / split / half, 3, 40, 44)
    return folder


def in_two_processes(folder: Path) -> None:
    """What both of two processes do; each leaves what it found."""
    atexit.register(note_threads, folder)  # first of all, so it is called last of all
    processes = Processes()
    found: dict[str, Any] = {}
    recipe = load_recipe(folder)
    written = original.train(recipe, folder / "run", data=folder / "data")
    found["written"] = None if written is None else written.name
    task = paired.open_task(recipe, folder / "data", processes)
    found["original"] = losses(task, processes)
    found["generator"] = {k: v.detach() for k, v in task.generator.state_dict().items()}
    job = small(folder / f"small-{processes.rank}").job()
    student = student_task(job, job.teacher.model.proto, rate=1.0, with_extras=True)
    found["student"] = losses(student, processes)
    found["picture"] = painted(student)
    torch.save(found, folder / f"{processes.rank}.pt")


def note_threads(folder: Path) -> None:
    """Write the names of this process's threads, one per line."""
    names = []
    for task in Path("/proc/self/task").iterdir():
        with contextlib.suppress(OSError):  # it has ended since it was listed
            names.append((task / "comm").read_text())
    (folder / f"{os.environ['RANK']}.threads").write_text("".join(names))


def losses(task: Any, processes: Processes) -> list[dict[str, float]]:
    told: list[News] = []
    Engine(task, Budget(steps=STEPS), processes, seed=task_seed(task), report=told.append).run()
    return [dict(news.losses) for news in told]


def task_seed(task: Any) -> int:
    return getattr(task, "seed", 0)


def painted(task: Distil) -> torch.Tensor:
    image = torch.rand(1, 3, 48, 48, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        picture: torch.Tensor = task.student.eval()(image)[0]
    return picture


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = place(tmp_path_factory.mktemp("two"))
    for rank in (0, 1):
        (folder / f"small-{rank}").mkdir()
    together(__name__, "in_two_processes", folder)
    return folder


@pytest.fixture(scope="module")
def found(folder: Path) -> list[dict[str, Any]]:
    return [torch.load(folder / f"{rank}.pt", weights_only=True) for rank in (0, 1)]


@pytest.mark.skipif(sys.platform != "linux", reason="threads are listed under /proc")
@pytest.mark.parametrize("rank", [0, 1])
def test_no_thread_of_the_group_outlives_it(folder: Path, found: Any, rank: int) -> None:
    """One that does can end the process by SIGABRT when the interpreter is torn down."""
    threads = (folder / f"{rank}.threads").read_text().split()
    assert threads and not [name for name in threads if "gloo" in name]


def close(ours: list[dict[str, float]], theirs: list[dict[str, float]]) -> None:
    assert len(ours) == len(theirs) == STEPS
    for one, other in zip(ours, theirs, strict=True):
        assert one == pytest.approx(other, rel=1e-3)


def test_an_original_trains_as_in_one_process_with_both_batches(
    folder: Path, found: list[dict[str, Any]]
) -> None:
    both = [paired.open_task(load_recipe(folder), folder / "data", Processes()) for _ in range(2)]
    task, second = both
    course = second._examples.course
    course._processes = copy.copy(course._processes)
    course._processes.rank = 1
    own = task.batch

    def joined(number: int) -> paired.Batch:
        batches = own(number), second.batch(number)
        assert not torch.equal(batches[0].source, batches[1].source)
        return paired.Batch(
            *(torch.cat([getattr(b, n) for b in batches]) for n in ("source", "real")),
            batches[0].seed,
        )

    task.batch = joined
    close(found[0]["original"], losses(task, Processes()))
    assert found[1]["original"] == []  # the main process alone reports
    for name, value in task.generator.state_dict().items():
        assert torch.equal(found[0]["generator"][name], found[1]["generator"][name])
        torch.testing.assert_close(found[0]["generator"][name], value, rtol=1e-3, atol=1e-4)


def test_a_student_trains_as_in_one_process_with_both_batches(
    tmp_path: Path, found: list[dict[str, Any]]
) -> None:
    job = small(tmp_path).job()
    task = student_task(job, job.teacher.model.proto, rate=1.0, with_extras=True)
    other = copy.copy(task._pool)
    other._rank, other._made, other._stored = 1, 0, copy.copy(other._stored)
    other._stored.clear()  # one batch was made to look at
    task._pool = _Both(task._pool, other)
    close(found[0]["student"], losses(task, Processes()))
    assert torch.equal(found[0]["picture"], found[1]["picture"])
    torch.testing.assert_close(found[0]["picture"], painted(task), rtol=0, atol=2e-3)


class _Both:
    """The pools of two processes, whose batches are joined."""

    def __init__(self, *pools: TeacherPool) -> None:
        self._pools = pools

    def prepare(self, step: int) -> None:
        for pool in self._pools:
            pool.prepare(step)

    def batch(self, step: int) -> Batch:
        first, second = (pool.batch(step) for pool in self._pools)
        assert not torch.equal(first.teacher, second.teacher)
        inputs = tuple(map(torch.cat, zip(first.inputs, second.inputs, strict=True)))
        return Batch(inputs, inputs[0], torch.cat([first.teacher, second.teacher]), None)


def test_one_run_is_written_by_the_main_process(folder: Path, found: list[dict[str, Any]]) -> None:
    assert [each["written"] for each in found] == ["generator.onnx", None]
    run = sorted(path.name for path in (folder / "run").iterdir())
    assert run == [
        ".lock",
        "discriminator.safetensors",
        "generator.onnx",
        "samples",
        "state.pt",
        "training.json",
    ]
    assert [path.name for path in (folder / "run/samples").iterdir()] == [f"step-00000{STEPS}.png"]


def compress_in_two(
    folder: Path, settings: str, *options: Any
) -> tuple[subprocess.CompletedProcess[str], Path]:
    """Run `decig compress` on a small model, in two processes; also returns the run folder."""
    asked = small(folder)
    table = write_table(folder / "table.json", asked.teacher.model.path)
    (folder / "settings.toml").write_text(settings)
    given = ("--profile", table, "--force", "--data", asked.folders.images)
    target = ("--target-speedup", 1.5, "--output-dir", folder / "run")
    config = ("--config", folder / "settings.toml", "--json")
    command = ("compress", asked.teacher.model.path, *PIXELS, *given, *target, *config, *options)
    return launched("decig", *command), folder / "run"


@pytest.mark.slow
def test_compress_ends_with_one_run_and_one_report(tmp_path: Path) -> None:
    settings = (
        "[distil]\ncrop = 32\nbatch = 2\nheld_out = 2\nrepair_crops = 4\nfeatures = 0.1\n"
        "[decig]\ncondense = 0.3\nfold = 0.3\nfold_tolerance = 1\n"
    )
    every = ("--targets", tmp_path / "photos", "--fold-norms", "--steps", 12)
    done, run = compress_in_two(tmp_path, settings, *every)
    assert done.returncode == 0, done.stderr[-4000:]
    report = json.loads(done.stdout)  # one object: the other process says nothing
    assert report == json.loads((run / "report.json").read_text())
    assert report["norms_folded"].keys() == {"n1", "n2", "n3"}
    assert not (run / "state").exists()
    student = onnx.load(run / "student.onnx")
    assert all(np.isfinite(onnx.numpy_helper.to_array(t)).all() for t in student.graph.initializer)
    again, _ = compress_in_two(tmp_path, settings, *every)
    assert again.returncode != 0
    assert again.stderr.count("holds a run already") == 1
    resumed = launched("decig", "compress", "--resume", "--output-dir", run, "--json")
    assert resumed.returncode == 0, resumed.stderr[-4000:]
    assert json.loads(resumed.stdout) == report
    with hold(run) as take:
        take()
        resumed = launched("decig", "compress", "--resume", "--output-dir", run)
    assert resumed.returncode != 0
    assert resumed.stderr.count("another process is at work in this run") == 1


@pytest.mark.slow
def test_a_budget_in_seconds_ends_both_processes_alike(tmp_path: Path) -> None:
    settings = "[distil]\ncrop = 32\nheld_out = 2\n"
    done, _ = compress_in_two(tmp_path, settings, "--budget", "2s")
    assert done.returncode == 0, done.stderr[-4000:]
    report = json.loads(done.stdout)
    assert report["steps"] >= 1 and report["training_seconds"] >= 2
