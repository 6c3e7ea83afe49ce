import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest

from decig.device.plan.target import Target
from decig.device.run.device import Device
from decig.graph.model import load_model
from decig.training.distilling import (
    distil,
    rate_share,
    save_student,
    student_task,
    teacher_pool,
)
from decig.training.job import Job
from decig.training.schedule import Budget
from decig.training.slicing import Origin, slice_and_repair
from tests.device.bench import FakeBench
from tests.samples import write_photos
from tests.training.graphs import code_generator
from tests.training.methods.test_decig import Told, same, widths
from tests.training.small import small
from tests.training.tiny import tiny_generator


def begin(folder: Path, told: Told | None = None, **changes: Any) -> tuple[Job, onnx.ModelProto]:
    """A job whose teacher was cut, and the graph that was left."""
    asked = small(folder, **changes)
    job = asked.job(None if told is None else lambda *news: told.append(news))
    slice_and_repair(job, Origin.teacher(job), job.goal.target_ms, "plan.json", "start.onnx")
    return job, job.run.load_graph("start.onnx").proto


def test_it_leaves_what_is_better_and_its_figures(tmp_path: Path) -> None:
    told: Told = []
    job, start = begin(tmp_path, told)
    distil(job, start, Budget(steps=40), "stage2.pt", "student.onnx")
    student = job.run.load_graph("student.onnx").proto
    figures = json.loads(job.run.file("report.json").read_text())
    assert figures["ssim"] == pytest.approx(job.judge.ssim(student))
    assert figures["ssim_before_distilling"] == pytest.approx(job.judge.ssim(start))
    assert figures["ssim"] > figures["ssim_before_distilling"]
    assert figures["steps"] == 40 and figures["held_out_images"] == len(job.examples.held_out)
    assert figures["widths"] == widths(student) == widths(start)
    assert not same(student, start)
    seen = [news["ssim"] for step, _, news in told if step == "distil"]
    assert len(seen) == 40 and len(set(seen)) > 3  # a look at every twentieth of the budget


@pytest.mark.parametrize(("factor", "misses"), [(1.0, False), (1.2, True)])
def test_the_start_is_measured_once_more_and_a_miss_is_said(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, factor: float, misses: bool
) -> None:
    job, start = begin(tmp_path)
    assert job.goal.target_ms is not None
    bench = FakeBench(lambda _: factor * job.goal.target_ms)
    target = replace(job.goal.target, bench=bench, warnings=("the machine was busy",))
    job = replace(job, goal=replace(job.goal, target=target))
    distil(job, start, Budget(steps=1), "stage2.pt", "student.onnx")
    figures = json.loads(job.run.file("report.json").read_text())
    assert figures["start_latency_ms"] == pytest.approx(factor * job.goal.target_ms)
    assert ("this run will miss its target of" in caplog.text) is misses
    assert len(figures.get("warnings", [])) == misses
    again = job.run.add_warnings([*target.warnings, *figures.get("warnings", [])])
    assert len(again["warnings"]) == 1 + misses  # each once, and none is lost


def test_elsewhere_the_start_is_not_measured(tmp_path: Path) -> None:
    job, start = begin(tmp_path)
    distil(job, start, Budget(steps=1), "stage2.pt", "student.onnx")
    assert "start_latency_ms" not in json.loads(job.run.file("report.json").read_text())


def test_training_that_makes_it_worse_is_not_kept(tmp_path: Path) -> None:
    job, start = begin(tmp_path, settings={"learning_rate": 5.0})
    distil(job, start, Budget(steps=4), "stage2.pt", "student.onnx")
    assert same(job.run.load_graph("student.onnx").proto, start)
    figures = json.loads(job.run.file("report.json").read_text())
    assert figures["ssim"] == figures["ssim_before_distilling"]


@pytest.mark.parametrize(
    ("ssim", "share"), [(0.2, 1.0), (0.75, 1.0), (0.95, 0.2), (0.99, 0.04), (1.0, 0.02)]
)
def test_the_nearer_the_start_the_lower_the_learning_rate(ssim: float, share: float) -> None:
    assert rate_share(ssim) == pytest.approx(share)


def test_the_task_has_the_losses_that_the_settings_ask_for(tmp_path: Path) -> None:
    targets = write_photos(tmp_path / "targets", 6, 60, 64)
    job, start = begin(tmp_path, targets=targets, settings={"features": 0.1})
    task = student_task(job, start, rate=0.5, with_extras=True)
    batch = task.batch(0)
    terms = task.losses("student", batch, task.forward(batch))
    assert list(terms) == ["output", "features", "targets", "adversarial"]
    assert list(task.groups) == ["discriminator", "student"]
    assert task.groups["student"].learning_rate == 0.5 * job.config.train.learning_rate
    bare = student_task(job, start, rate=1.0, with_extras=False)
    assert list(bare.losses("student", batch, bare.forward(batch))) == ["output"]
    assert list(bare.groups) == ["student"]


def test_gradients_may_be_accumulated(tmp_path: Path) -> None:
    job, start = begin(tmp_path, settings={"accumulate": 3})
    distil(job, start, Budget(steps=2), "stage2.pt", "student.onnx")
    assert json.loads(job.run.file("report.json").read_text())["steps"] == 2


@pytest.mark.parametrize("whole", [False, True])
def test_the_pool_holds_what_the_teacher_paints(tmp_path: Path, whole: bool) -> None:
    job = small(tmp_path, settings={"batch": 5, "crop": 24}).job()
    batch = teacher_pool(job, seed=3, whole=whole).batch(0)
    side, count = (48, 1) if whole else (24, 5)  # as few whole ones as cost the same
    assert batch.inputs[0].shape == (count, 3, side, side)
    if whole:
        proto = job.teacher.model.proto
        wanted = Device.of().run_over(proto, [{"input": batch.inputs[0].numpy()}])[0]
        np.testing.assert_allclose(batch.teacher.numpy(), wanted, atol=2e-3)


def test_a_model_that_paints_from_a_code_has_no_crops(tmp_path: Path) -> None:
    job = small(tmp_path, code_generator(), images=None, feeds={"code": "normal"}).job()
    batch = teacher_pool(job, seed=0).batch(0)
    assert batch.source is None and batch.teacher.shape[2:] == (48, 48)


def test_the_student_has_the_axes_of_the_file(tmp_path: Path) -> None:
    proto = tiny_generator(size=48, width=16)
    for value in (*proto.graph.input, *proto.graph.output):
        value.type.tensor_type.shape.dim[2].dim_param = "height"
        value.type.tensor_type.shape.dim[3].dim_param = "width"
    del proto.graph.value_info[:]
    path = tmp_path / "open.onnx"
    onnx.save(proto, path)
    model = load_model(path, {"input": [1, 3, 48, 48]})
    asked = small(tmp_path)
    taken = asked.goal.target.table
    table = replace(taken, model=replace(taken.model, sha256=model.sha256))
    job = asked.but(model=model, target=Target(table)).job()
    save_student(job, model.proto, "student.onnx")
    save_student(job, model.proto, "distilled.onnx")
    for name, axes in (("student.onnx", ["height", "width"]), ("distilled.onnx", ["", ""])):
        dims = onnx.load(job.run.file(name)).graph.input[0].type.tensor_type.shape.dim
        assert [dim.dim_param for dim in dims[2:]] == axes
