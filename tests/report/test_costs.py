import pytest

from decig.records import Nodes
from decig.report.costs import by_group, by_node
from decig.report.inspection import REST
from tests.report.runs import AFTER, COSTS, table

NODES = Nodes(measured=True, before=COSTS, after=AFTER)


def test_nodes_that_took_the_longest_come_first() -> None:
    found = by_node(table(), NODES)
    assert [change.name for change in found] == ["conv2", "conv1", "head"]
    assert (found[0].before_ms, found[0].after_ms) == (5.0, 0.9)
    assert found[0].saved_ms == pytest.approx(4.1)
    assert found[0].detail == "Conv, c2" and found[2].detail == "Conv"


def test_nodes_that_take_no_time_are_left_out() -> None:
    some = Nodes(measured=True, before={"conv1": 1.0, "conv2": 0.0}, after={"head": 2.0})
    assert {change.name for change in by_node(table(), some)} == {"conv1", "head"}


def test_groups_add_up_to_the_nodes() -> None:
    found = by_group(table(), NODES)
    assert found.keys() == {"c1", "c2", REST}
    assert found["c1"].saved_ms == pytest.approx(2.0)
    assert found[REST].before_ms == pytest.approx(2.0), "the picture's channels are in no group"
    for when, times in (("before_ms", COSTS), ("after_ms", AFTER)):
        total = sum(getattr(change, when) for change in found.values())
        assert total == pytest.approx(sum(times.values()) / 1000)
