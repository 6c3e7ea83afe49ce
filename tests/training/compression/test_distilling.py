import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import onnx
import pytest

from decig.training.compression.distilling import distil, rate_share
from decig.training.compression.job import Job
from decig.training.compression.slicing import Origin, slice_and_repair
from decig.training.loop.schedule import Budget
from tests.device.bench import FakeBench
from tests.training.methods.test_decig import Told, same, widths
from tests.training.small import small


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


def test_gradients_may_be_accumulated(tmp_path: Path) -> None:
    job, start = begin(tmp_path, settings={"accumulate": 3})
    distil(job, start, Budget(steps=2), "stage2.pt", "student.onnx")
    assert json.loads(job.run.file("report.json").read_text())["steps"] == 2
