import dataclasses
import json
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest

from decig.device.plan.target import Target
from decig.graph.model import initializers, load_model, shapes
from decig.graph.plan import Plan
from decig.repair.repair import repair
from decig.train.condense import Condenser
from decig.train.job import Job
from decig.train.loop import Budget
from decig.train.run import RunFolder
from decig.train.stages import condense, distil, slice_and_repair
from tests.train.small_request import quiet, small_request
from tests.train.tiny import tiny_generator

Told = list[tuple[str, float, dict[str, float]]]


def begin(folder: Path, told: Told | None = None, **changes: Any) -> tuple[Job, RunFolder]:
    request = small_request(folder, **changes)
    run = RunFolder.open(request.output_dir, request.record(), resume=False)
    return Job(request, quiet if told is None else lambda *news: told.append(news)), run


def widths(proto: onnx.ModelProto) -> dict[str, int]:
    return {name: shapes(proto)[f"{name}.weight"][0] for name in ("c1", "c2")}


def same(one: onnx.ModelProto, other: onnx.ModelProto) -> bool:
    ours, theirs = initializers(one), initializers(other)
    return ours.keys() == theirs.keys() and all(
        np.array_equal(array, theirs[name]) for name, array in ours.items()
    )


def test_the_teacher_is_cut_by_the_plan_and_repaired(tmp_path: Path) -> None:
    job, run = begin(tmp_path)
    slice_and_repair(job, run)
    plan, start = Plan.load(run.file("plan.json")), run.load_graph("start.onnx").proto
    assert plan == job.plan
    assert widths(start) == {name: len(kept) for name, kept in plan.keep.items()}
    teacher = job.request.model.proto
    assert same(start, repair(teacher, job.channels, plan, job.repair_inputs))
    assert not run.done("student.onnx")


def test_what_stage_one_left_is_cut_in_the_teachers_channels(tmp_path: Path) -> None:
    job, run = begin(tmp_path, settings={"condense": 0.5, "condense_from": 1.5})
    condense(job, run)
    first = Plan.load(run.file("condense-plan.json"))
    condensed = run.load_graph("condensed.onnx").proto
    assert widths(condensed) == {name: len(kept) for name, kept in first.keep.items()}
    slice_and_repair(job, run)
    plan, start = Plan.load(run.file("plan.json")), run.load_graph("start.onnx").proto
    assert widths(start) == {name: len(kept) for name, kept in plan.keep.items()}
    for name, kept in plan.keep.items():
        assert set(kept) <= set(first.keep[name])
    assert sum(map(len, plan.keep.values())) < sum(map(len, first.keep.values()))
    predicted = job.predictor.predict_ms(widths(start))
    assert predicted <= job.request.target_ms


def test_condensing_begins_near_the_target_and_steers_towards_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    told: Told = []
    asked: list[float] = []
    monkeypatch.setattr(Condenser, "steer", lambda _, predicted, wanted: asked.append(wanted))
    settings = {"condense": 0.5, "condense_from": 1.5}
    job, run = begin(tmp_path, told, settings=settings, budget=Budget(steps=44))
    condense(job, run)
    start = run.load_graph("condense-start.onnx").proto
    predicted = job.predictor.predict_ms(widths(start))
    assert job.request.target_ms < predicted <= 1.5 * job.request.target_ms
    looks = [share for step, share, _ in told if step == "condense"]
    assert looks == [pytest.approx(9 / 22), pytest.approx(19 / 22)]
    # Every step of the way takes the same share of what is left.
    target = job.request.target_ms
    assert asked == [pytest.approx(1.5 * target * (1 / 1.5) ** share) for share in looks]
    assert not same(run.load_graph("condensed.onnx").proto, start)


def test_condensing_may_begin_with_the_whole_graph(tmp_path: Path) -> None:
    job, run = begin(tmp_path, settings={"condense": 0.5, "condense_from": 0.0})
    condense(job, run)
    assert widths(run.load_graph("condense-start.onnx").proto) == {"c1": 16, "c2": 16}


def test_distilling_leaves_what_is_better_and_its_figures(tmp_path: Path) -> None:
    told: Told = []
    job, run = begin(tmp_path, told, budget=Budget(steps=40))
    slice_and_repair(job, run)
    start = run.load_graph("start.onnx").proto
    distil(job, run)
    student = run.load_graph("student.onnx").proto
    figures = json.loads(run.file("report.json").read_text())
    assert figures["ssim"] == pytest.approx(job.held_out.ssim_of_graph(student))
    assert figures["ssim_before_distilling"] == pytest.approx(job.held_out.ssim_of_graph(start))
    assert figures["ssim"] > figures["ssim_before_distilling"]
    assert figures["steps"] == 40 and figures["held_out_images"] == len(job.validation)
    assert figures["widths"] == widths(student) == widths(start)
    assert not same(student, start)
    seen = [news["ssim"] for step, _, news in told if step == "distil"]
    assert len(seen) == 40 and len(set(seen)) > 3  # a look at every twentieth of the budget


def test_training_that_makes_it_worse_is_not_kept(tmp_path: Path) -> None:
    job, run = begin(tmp_path, settings={"learning_rate": 5.0})
    slice_and_repair(job, run)
    distil(job, run)
    assert same(run.load_graph("student.onnx").proto, run.load_graph("start.onnx").proto)
    figures = json.loads(run.file("report.json").read_text())
    assert figures["ssim"] == figures["ssim_before_distilling"]


def test_with_norms_to_fold_the_student_comes_later(tmp_path: Path) -> None:
    job, run = begin(tmp_path, fold_norms=True, settings={"fold": 0.5}, budget=Budget(steps=8))
    slice_and_repair(job, run)
    distil(job, run)
    assert run.done("distilled.onnx") and not run.done("student.onnx")
    assert json.loads(run.file("report.json").read_text())["steps"] == 4


def test_the_student_has_the_axes_of_the_file(tmp_path: Path) -> None:
    proto = tiny_generator(size=48, width=16)
    for value in (*proto.graph.input, *proto.graph.output):
        value.type.tensor_type.shape.dim[2].dim_param = "height"
        value.type.tensor_type.shape.dim[3].dim_param = "width"
    del proto.graph.value_info[:]
    path = tmp_path / "open.onnx"
    onnx.save(proto, path)
    model = load_model(path, {"input": [1, 3, 48, 48]})
    request = small_request(tmp_path)
    taken = request.device.table
    same = dataclasses.replace(taken.model, sha256=model.sha256)
    table = dataclasses.replace(taken, model=same)
    request = dataclasses.replace(request, model=model, device=Target(table))
    run = RunFolder.open(request.output_dir, request.record(), resume=False)
    job = Job(request, quiet)
    slice_and_repair(job, run)
    distil(job, run)
    dims = onnx.load(run.file("student.onnx")).graph.input[0].type.tensor_type.shape.dim
    assert [dim.dim_param for dim in dims[2:]] == ["height", "width"]
