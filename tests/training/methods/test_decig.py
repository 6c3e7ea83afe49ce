import json
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import torch

from decig.device.plan.target import Target
from decig.graph.model import initializers, shapes
from decig.graph.plan import Plan
from decig.training.compression.job import Job
from decig.training.compression.student import student_task, teacher_pool
from decig.training.data.pool import Batch
from decig.training.loop.schedule import Budget
from decig.training.methods.decig import steps
from decig.training.narrowing.condense import Condenser
from decig.training.tasks.distil import Distil
from tests.device.bench import FakeBench
from tests.training.small import node_us, small, total_ms
from tests.training.tiny import tiny_generator, with_batch_norms

Told = list[tuple[str, float, dict[str, float]]]


def begin(folder: Path, told: Told | None = None, **changes: Any) -> Job:
    asked = small(folder, **changes)
    return asked.job(None if told is None else lambda *news: told.append(news))


def do(job: Job, *names: str) -> None:
    """Run steps by their names, each with its part of the budget."""
    found = {step.name: step for step in steps(job)}
    for name in names:
        found[name].run(*job.goal.budget.parts([found[name].share]))
        assert job.run.done(*found[name].makes)


def widths(proto: onnx.ModelProto) -> dict[str, int]:
    return {name: shapes(proto)[f"{name}.weight"][0] for name in ("c1", "c2")}


def same(one: onnx.ModelProto, other: onnx.ModelProto) -> bool:
    ours, theirs = initializers(one), initializers(other)
    return ours.keys() == theirs.keys() and all(
        np.array_equal(array, theirs[name]) for name, array in ours.items()
    )


@pytest.mark.parametrize(
    ("condense", "folds", "shares"),
    [
        (0.0, False, {"slice": 0, "distil": 1}),
        (0.0, True, {"slice": 0, "distil": 0.75, "fold norms": 0.25}),
        (0.4, False, {"slice to begin with": 0, "condense": 0.4, "slice": 0, "distil": 0.6}),
        (
            0.4,
            True,
            {
                "slice to begin with": 0,
                "condense": 0.4,
                "slice": 0,
                "distil": 0.45,
                "fold norms": 0.15,
            },
        ),
    ],
)
def test_the_steps_share_the_budget(
    tmp_path: Path, condense: float, folds: bool, shares: dict[str, float]
) -> None:
    settings = {"condense": condense, "fold": 0.25}
    found = steps(small(tmp_path, fold_norms=folds, settings=settings).job())
    assert {step.name: step.share for step in found} == pytest.approx(shares)
    assert sum(step.share for step in found) == pytest.approx(1)
    assert found[-1].makes == ("student.onnx",)
    assert [step.alone for step in found] == [step.name.startswith("slice") for step in found]


def test_without_norms_to_fold_distilling_gets_all(tmp_path: Path) -> None:
    proto = with_batch_norms(tiny_generator(size=48, width=16), 0.1, 1.2)
    found = steps(small(tmp_path, proto, fold_norms=True, settings={"fold": 0.25}).job())
    assert {step.name: step.share for step in found} == {"slice": 0, "distil": 1, "fold norms": 0}


def test_what_stage_one_left_is_cut_in_the_teachers_channels(tmp_path: Path) -> None:
    job = begin(tmp_path, settings={"condense": 0.5, "condense_from": 1.5})
    do(job, "slice to begin with", "condense")
    first = Plan.load(job.run.file("condense-plan.json"))
    condensed = job.run.load_graph("condensed.onnx").proto
    assert widths(condensed) == {name: len(kept) for name, kept in first.keep.items()}
    do(job, "slice")
    plan, start = Plan.load(job.run.file("plan.json")), job.run.load_graph("start.onnx").proto
    assert widths(start) == {name: len(kept) for name, kept in plan.keep.items()}
    for name, kept in plan.keep.items():
        assert set(kept) <= set(first.keep[name])
    assert sum(map(len, plan.keep.values())) < sum(map(len, first.keep.values()))
    assert job.planner.predict_ms(widths(start)) <= job.goal.target_ms


def test_with_stage_one_the_measured_graph_is_the_one_that_is_trained(tmp_path: Path) -> None:
    seen: list[dict[str, int]] = []

    def ms(proto: onnx.ModelProto) -> float:
        seen.append(widths(proto))
        return total_ms(proto)

    asked = small(tmp_path, settings={"condense": 0.5, "condense_from": 1.5})
    job = asked.but(target=Target(asked.goal.target.table, FakeBench(ms, node_us))).job()
    do(job, "slice to begin with", "condense", "slice")
    start = job.run.load_graph("start.onnx").proto
    plan = Plan.load(job.run.file("plan.json"))
    assert widths(start) == {name: len(kept) for name, kept in plan.keep.items()}
    assert widths(start) in seen
    assert total_ms(start) <= 1.01 * job.goal.target_ms
    do(job, "distil")
    assert seen[-1] == widths(start) == widths(job.run.load_graph("student.onnx").proto)


def test_condensing_begins_near_the_target_and_steers_towards_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    told: Told = []
    asked: list[float] = []
    monkeypatch.setattr(Condenser, "steer", lambda _, predicted, wanted: asked.append(wanted))
    settings = {"condense": 0.5, "condense_from": 1.5}
    job = begin(tmp_path, told, settings=settings, budget=Budget(steps=44))
    do(job, "slice to begin with", "condense")
    start = job.run.load_graph("condense-start.onnx").proto
    predicted = job.planner.predict_ms(widths(start))
    assert job.goal.target_ms < predicted <= 1.5 * job.goal.target_ms
    looks = [share for step, share, _ in told if step == "condense"]
    assert looks == [pytest.approx(9 / 22), pytest.approx(19 / 22)]
    # Every step of the way takes the same share of what is left.
    target = job.goal.target_ms
    assert asked == [pytest.approx(1.5 * target * (1 / 1.5) ** share) for share in looks]
    assert not same(job.run.load_graph("condensed.onnx").proto, start)


def test_condensing_may_begin_with_the_whole_graph(tmp_path: Path) -> None:
    job = begin(tmp_path, settings={"condense": 0.5, "condense_from": 0.0})
    do(job, "slice to begin with")
    assert widths(job.run.load_graph("condense-start.onnx").proto) == {"c1": 16, "c2": 16}


def test_with_norms_to_fold_the_student_comes_later(tmp_path: Path) -> None:
    job = begin(tmp_path, fold_norms=True, settings={"fold": 0.5}, budget=Budget(steps=8))
    do(job, "slice", "distil")
    assert job.run.done("distilled.onnx") and not job.run.done("student.onnx")
    assert json.loads(job.run.file("report.json").read_text())["steps"] == 4


def test_stage_one_may_leave_the_device_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    given: list[dict[str, float]] = []
    made = Condenser.__init__

    def noted(self: Condenser, *args: Any) -> None:
        given.append(args[2])
        made(self, *args)

    monkeypatch.setattr(Condenser, "__init__", noted)
    for place, weighted in ((tmp_path / "a", True), (tmp_path / "b", False)):
        place.mkdir()
        job = begin(place, settings={"condense": 0.5, "device_weighted": weighted})
        do(job, "slice to begin with", "condense")
    weighted_times, equal = given
    assert weighted_times == job.planner.run_time() and len(set(weighted_times.values())) > 1
    assert equal == dict.fromkeys(weighted_times, 1.0)


@pytest.mark.parametrize("painter", ["original", "condensed"])
def test_the_condensed_graph_may_paint_for_stage_two(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, painter: str
) -> None:
    job = begin(tmp_path, settings={"condense": 0.5, "painter": painter})
    do(job, "slice to begin with", "condense", "slice")
    learnt: list[torch.Tensor] = []
    batch = Distil.batch

    def noted(task: Distil, number: int) -> Batch:
        learnt.append(batch(task, number).teacher)
        return batch(task, number)

    monkeypatch.setattr(Distil, "batch", noted)
    do(job, "distil")
    condensed = job.run.load_graph("condensed.onnx").proto
    pools = {"original": teacher_pool(job, seed=0)}
    pools["condensed"] = teacher_pool(job, seed=0, proto=condensed)
    painted = {name: pool.batch(0).teacher for name, pool in pools.items()}
    assert not torch.equal(painted["original"], painted["condensed"])
    assert torch.equal(learnt[0], painted[painter])


def test_the_penalty_binds_weights_where_the_student_is_trained(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its indices lie beside the weights, so these must have moved to the device before."""
    job = begin(tmp_path, settings={"condense": 0.5})
    do(job, "slice to begin with")

    def bind(weights: dict[str, torch.nn.Parameter], *_: Any) -> Condenser:
        raise RuntimeError({weight.device.type for weight in weights.values()})

    monkeypatch.setattr("decig.training.methods.decig.Condenser", bind)
    job.processes.device = torch.device("meta")
    monkeypatch.setattr("decig.training.methods.decig.student_task", partial(_on_cpu, job))
    with pytest.raises(RuntimeError, match=r"\{'meta'\}"):
        do(job, "condense")


def _on_cpu(job: Job, *arguments: Any, **options: Any) -> Distil:
    """Set a task up whose teacher stays where it can paint."""
    job.processes.device, device = torch.device("cpu"), job.processes.device
    made = student_task(*arguments, **options)
    job.processes.device = device
    return made
