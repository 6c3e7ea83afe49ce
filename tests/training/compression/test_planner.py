from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest

from decig.device.plan.edges import to_stair_edges
from decig.device.plan.target import Target
from decig.errors import BadInputError, TargetMissedError
from decig.graph.channels import analyse
from decig.graph.model import initializers, replace_initializers
from decig.graph.plan import FLOOR, Plan
from decig.graph.slicing import slice_graph
from decig.training.loop.schedule import Budget
from tests.device.bench import FakeBench
from tests.training.small import Asked, node_us, small, total_ms
from tests.training.tiny import tiny_generator


def measured(asked: Asked, *rules: Any) -> Asked:
    """The same where the device is here and takes what the rules say."""
    return asked.but(target=Target(asked.goal.target.table, FakeBench(*rules)))


def test_the_plan_keeps_the_best_channels_that_the_latency_allows(tmp_path: Path) -> None:
    job = small(tmp_path).job()
    planner, teacher = job.planner, job.teacher
    widths = {name: len(kept) for name, kept in planner.plan.keep.items()}
    assert planner.predict_ms(widths) <= job.goal.target_ms
    assert sum(widths.values()) < 32
    for name, kept in planner.plan.keep.items():
        assert kept == sorted(planner.importance.order[name][: len(kept)].tolist())
    sliced = slice_graph(teacher.model.proto, teacher.channels, planner.plan)
    assert total_ms(sliced) == pytest.approx(planner.predict_ms(widths), rel=0.1)


def condensed(proto: onnx.ModelProto, live: dict[str, int]) -> dict[str, set[int]]:
    """Condense a graph by hand, as stage I does: dead channels are hardly read, wherever they lie.

    Returns:
        The live channels of each group.
    """
    channels, weights = analyse(proto), initializers(proto)
    kept = {}
    for group in channels.prunable:
        order = np.random.default_rng(1).permutation(group.channels)
        kept[group.name] = set(order[: live[group.name]].tolist())
        dead = group.classes[order[live[group.name] :]]
        for binding in channels.bindings:
            gone = np.isin(channels.classes_of(binding.ids), dead)
            if binding.role == "read" and gone.any():
                array = np.where(gone, 1e-4, 1.0) * weights[binding.initializer]
                replace_initializers(proto, {binding.initializer: array.astype(np.float32)})
                weights = initializers(proto)
    return kept


@pytest.mark.parametrize("live", [{"c1": 9, "c2": 6}, {"c1": 5, "c2": 13}])
def test_a_condensed_graph_is_cut_where_its_live_channels_end(
    tmp_path: Path, live: dict[str, int]
) -> None:
    proto = tiny_generator(size=48, width=16)
    kept = condensed(proto, live)
    asked = small(tmp_path, proto, target_ms=None, settings={"condense": 0.5})
    asked.goal.target.predictor.candidates = {name: list(range(4, 17)) for name in live}
    assert {name: set(found) for name, found in asked.job().planner.plan.keep.items()} == kept


def test_a_plan_is_measured_where_the_device_is_here(tmp_path: Path) -> None:
    told: list[tuple[str, dict[str, float]]] = []
    asked = measured(small(tmp_path), total_ms)
    job = asked.job(lambda step, _, figures: told.append((step, figures)))
    sliced = slice_graph(job.teacher.model.proto, job.teacher.channels, job.planner.plan)
    assert total_ms(sliced) <= job.goal.target_ms
    found = [figures["measured_ms"] for step, figures in told if step == "plan"]
    assert min(found) == pytest.approx(total_ms(sliced))


def test_without_a_latency_the_hinge_decides(tmp_path: Path) -> None:
    asked = small(tmp_path, target_ms=None, settings={"condense": 0.5})
    asked.goal.target.predictor.candidates = {"c1": [6, 12, 16], "c2": [6, 12, 16]}
    job = asked.job()
    planner, teacher = job.planner, job.teacher
    again = planner.plan_for(teacher.model.proto, teacher.channels, planner.importance, None)
    assert planner.plan == again
    assert all(FLOOR <= len(kept) <= 16 for kept in again.keep.values())
    kept = {name: len(kept) for name, kept in again.keep.items()}
    assert to_stair_edges(asked.goal.target.predictor, kept) == kept


def test_an_unreachable_latency_is_missed(tmp_path: Path) -> None:
    with pytest.raises(TargetMissedError, match="out of reach"):
        _ = small(tmp_path, target_ms=1e-6).job().planner.plan


def _condensed(asked: Asked) -> tuple[Any, ...]:
    """Planner, a graph with 12 channels in every group, its groups and their scores."""
    job = asked.job()
    keep = {name: list(range(12)) for name in job.teacher.channels.widths}
    graph = slice_graph(job.teacher.model.proto, job.teacher.channels, Plan("", keep))
    channels = analyse(graph)
    return job.planner, graph, channels, job.planner.score(graph, channels)


def test_a_condensed_graph_is_planned_in_its_own_channels(tmp_path: Path) -> None:
    asked = small(tmp_path)
    planner, *condensed = _condensed(asked)
    plan = planner.plan_for(*condensed, asked.goal.target_ms)
    assert all(max(kept) < 12 for kept in plan.keep.values())
    widths = {name: len(kept) for name, kept in plan.keep.items()}
    assert planner.predict_ms(widths) <= asked.goal.target_ms


@pytest.mark.parametrize("learns", [True, False])
def test_what_is_planned_of_a_condensed_graph_is_what_is_cut_and_measured(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, learns: bool
) -> None:
    """Stairs of 8 channels, and a condensed graph of 12: no plan of 16 is predicted for it."""
    seen: list[dict[str, int]] = []
    told: list[dict[str, float]] = []

    def ms(proto: onnx.ModelProto) -> float:
        seen.append({group.name: group.channels for group in analyse(proto).prunable})
        return total_ms(proto)

    asked = measured(small(tmp_path), ms, *([node_us] if learns else []))
    planner, *condensed = _condensed(asked)
    target = asked.goal.target
    target.predictor.candidates = {"c1": [4, 8, 16], "c2": [4, 8, 16]}
    monkeypatch.setattr(planner, "_progress", lambda step, share, figures: told.append(figures))
    whole_ms = target.predictor.predict_ms({"c1": 12, "c2": 12})
    plan = planner.plan_for(*condensed, 1.2 * whole_ms)
    assert {name: len(kept) for name, kept in plan.keep.items()} == {"c1": 12, "c2": 12}
    assert seen == [{"c1": 12, "c2": 12}]
    assert told[0]["predicted_ms"] == pytest.approx(whole_ms)
    assert told[0]["measured_ms"] == pytest.approx(total_ms(condensed[0]))
    plan = planner.plan_for(*condensed, 0.8 * whole_ms)
    sliced = slice_graph(condensed[0], condensed[1], plan)
    assert {group.name: group.channels for group in analyse(sliced).prunable} in seen
    assert total_ms(sliced) <= 1.01 * 0.8 * whole_ms
    if not learns:
        for widths, figures in zip(seen, told, strict=True):
            assert figures["predicted_ms"] == pytest.approx(target.predictor.predict_ms(widths))


def test_a_groups_run_time_is_that_of_the_nodes_it_runs_through(tmp_path: Path) -> None:
    job = small(tmp_path).job()
    spent = {node.name: node.latency_us for node in job.goal.target.table.nodes}
    found = job.planner.run_time()
    assert found["c2"] == pytest.approx(sum(spent[n] for n in ("c2", "n2", "c3")))
    assert found.keys() == {"c1", "c2"}


def test_another_graphs_table_is_refused(tmp_path: Path) -> None:
    asked = small(tmp_path)
    taken = asked.goal.target.table
    table = replace(taken, model=replace(taken.model, sha256="0" * 64))
    with pytest.raises(BadInputError, match="made for another model"):
        asked.but(target=Target(table)).job()


def test_goals_are_recorded(tmp_path: Path) -> None:
    goal = small(tmp_path, fold_norms=True, budget=Budget(seconds=3.0)).goal
    assert goal.record() == {
        "device": goal.target.table.device.to_dict(),
        "target_ms": goal.target_ms,
        "fold_norms": True,
        "budget": {"seconds": 3.0, "steps": None},
    }


def test_one_threshold_for_all_groups_is_as_fast_as_the_hinges(tmp_path: Path) -> None:
    job = small(tmp_path, target_ms=None, settings={"condense": 0.5}).job()
    planner, channels = job.planner, job.teacher.channels
    hinges = {name: len(kept) for name, kept in planner.plan.keep.items()}
    found = planner.threshold_widths(job.teacher.model.proto, channels)
    assert found.keys() == hinges.keys()
    assert planner.predict_ms(found) <= planner.predict_ms(hinges)


def test_one_threshold_gives_more_to_where_fewer_channels_carry_the_weights(tmp_path: Path) -> None:
    """Of 6 live channels each has a greater share of their group's weights than of 13."""
    proto = tiny_generator(size=48, width=16)
    condensed(proto, {"c1": 6, "c2": 13})
    job = small(tmp_path, proto, target_ms=None, settings={"condense": 0.5}).job()
    planner, teacher = job.planner, job.teacher
    hinges = {name: len(kept) for name, kept in planner.plan.keep.items()}
    widths = planner.threshold_widths(teacher.model.proto, teacher.channels)
    assert widths["c1"] == hinges["c1"] and widths["c2"] <= hinges["c2"]
    assert planner.predict_ms(widths) <= planner.predict_ms(hinges)
