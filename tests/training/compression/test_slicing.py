import json
from pathlib import Path

import numpy as np
import pytest

from decig.errors import TargetMissedError
from decig.graph.model import initializers, save_model
from decig.graph.plan import Plan
from decig.graph.slicing import slice_graph
from decig.repair.repair import repair
from decig.training.compression.slicing import (
    Origin,
    cut_to_begin,
    order_left,
    slice_and_repair,
    start_with_the_better,
)
from tests.training.methods.test_decig import same, widths
from tests.training.small import small


def test_the_teacher_is_cut_by_the_plan_and_repaired(tmp_path: Path) -> None:
    job = small(tmp_path).job()
    slice_and_repair(job, Origin.teacher(job), job.goal.target_ms, "plan.json", "start.onnx")
    plan, start = Plan.load(job.run.file("plan.json")), job.run.load_graph("start.onnx").proto
    assert plan == job.planner.plan
    assert widths(start) == {name: len(kept) for name, kept in plan.keep.items()}
    teacher = job.teacher.model.proto
    assert same(start, repair(teacher, job.teacher.channels, plan, job.examples.for_repair))


def test_repair_may_be_left_out(tmp_path: Path) -> None:
    job = small(tmp_path, settings={"repair": False}).job()
    slice_and_repair(job, Origin.teacher(job), job.goal.target_ms, "plan.json", "start.onnx")
    plan, start = Plan.load(job.run.file("plan.json")), job.run.load_graph("start.onnx").proto
    assert same(start, slice_graph(job.teacher.model.proto, job.teacher.channels, plan))


def test_another_latency_makes_another_plan(tmp_path: Path) -> None:
    job = small(tmp_path).job()
    loose = 1.5 * job.goal.target_ms
    slice_and_repair(job, Origin.teacher(job), loose, "plan.json", "start.onnx")
    plan = Plan.load(job.run.file("plan.json"))
    kept = {name: len(channels) for name, channels in plan.keep.items()}
    assert job.goal.target_ms < job.planner.predict_ms(kept) <= loose
    with pytest.raises(TargetMissedError, match="out of reach"):
        slice_and_repair(job, Origin.teacher(job), 1e-6, "plan.json", "start.onnx")


def test_a_graph_of_the_run_is_cut_in_its_own_channels(tmp_path: Path) -> None:
    job = small(tmp_path).job()
    teacher, channels = job.teacher.model.proto, job.teacher.channels
    first = Plan(job.teacher.model.sha256, {name: list(range(2, 14)) for name in ("c1", "c2")})
    save_model(slice_graph(teacher, channels, first), job.run.file("first.onnx"))
    first.save(job.run.file("first.json"))
    origin = Origin.of_run(job, "first.onnx", "first.json")
    assert origin.plan == first
    assert {g.name: g.channels for g in origin.channels.prunable} == {"c1": 12, "c2": 12}
    slice_and_repair(job, origin, job.goal.target_ms, "plan.json", "start.onnx")
    plan, start = Plan.load(job.run.file("plan.json")), job.run.load_graph("start.onnx").proto
    for name, kept in plan.keep.items():
        assert set(kept) <= set(range(2, 14)) and len(kept) == widths(start)[name]
    # c1 reads the image alone, so repair leaves the rows that are kept as they are.
    wanted = initializers(teacher)["c1.weight"][plan.keep["c1"]]
    assert np.array_equal(initializers(start)["c1.weight"], wanted)


def test_distilling_begins_with_the_better_of_two_starts(tmp_path: Path) -> None:
    job = small(tmp_path).job()
    slice_and_repair(job, Origin.teacher(job), job.goal.target_ms, "plan.json", "start.onnx")
    repaired = job.run.load_graph("start.onnx").proto
    plan, teacher = job.planner.plan, job.teacher
    bare = slice_graph(teacher.model.proto, teacher.channels, plan)
    start_with_the_better(job, bare)
    assert same(job.run.load_graph("start.onnx").proto, repaired)
    found = json.loads(job.run.file("report.json").read_text())["ssim_of_starts"]
    assert found["repaired"] > found["inherited"]
    # The same graph wins where the inherited weights are the better ones.
    plan_of_all = Plan(plan.model_sha256, {name: list(range(16)) for name in plan.keep})
    plan_of_all.save(job.run.file("plan.json"))
    start_with_the_better(job, teacher.model.proto)
    assert same(job.run.load_graph("start.onnx").proto, teacher.model.proto)


def test_the_order_of_what_is_left_counts_from_zero() -> None:
    assert list(order_left(np.array([4, 0, 3, 1, 2]), [0, 2, 4])) == [2, 0, 1]


@pytest.mark.parametrize(("share", "whole"), [(0.8, False), (1.0, True), (3.0, True)])
def test_what_is_made_narrower_yet_begins_with_a_cut_or_the_whole(
    tmp_path: Path, share: float, whole: bool
) -> None:
    job = small(tmp_path).job()
    begin = share * job.planner.predict_ms(job.teacher.channels.widths)
    cut_to_begin(job, begin, "first.json", "first.onnx")
    first, plan = job.run.load_graph("first.onnx").proto, Plan.load(job.run.file("first.json"))
    assert widths(first) == {name: len(kept) for name, kept in plan.keep.items()}
    assert same(first, job.teacher.model.proto) == whole
    assert job.planner.predict_ms(widths(first)) <= begin
