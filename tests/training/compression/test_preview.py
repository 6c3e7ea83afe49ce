from pathlib import Path

from decig.graph.cost import count
from decig.training.loop.schedule import Budget
from tests.training.small import small


def test_a_plan_and_what_it_would_take(tmp_path: Path) -> None:
    asked = small(tmp_path)
    found = asked.preview()
    whole = count(asked.teacher.model.proto)
    assert found["macs"]["before"] == whole.macs and found["params"]["before"] == whole.params
    assert found["macs"]["after"] < whole.macs and found["params"]["after"] < whole.params
    assert found["predicted_latency_ms"] <= found["target_latency_ms"] * 1.001
    assert found["steps"] == 4 and found["expected_seconds"] > 0
    assert not asked.output_dir.exists()


def test_how_long_is_told_where_it_can_be(tmp_path: Path) -> None:
    asked = small(tmp_path)
    assert asked.but(budget=Budget(seconds=90.0)).preview()["expected_seconds"] == 90.0
    twice = asked.but(budget=Budget(steps=8)).preview()
    assert twice["steps"] == 8 and twice["expected_seconds"] > 0


def test_where_other_graphs_are_trained_too_no_time_is_told(tmp_path: Path) -> None:
    folding = small(tmp_path).but(fold_norms=True).preview()
    assert folding["steps"] == 4 and folding["expected_seconds"] is None
