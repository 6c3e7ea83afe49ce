import pytest
from onnx import helper

from decig.errors import BadInputError
from decig.graph.order import in_order


def node(name: str, *inputs: str):
    return helper.make_node("Sum", inputs, [name], name=name)


def names(*nodes, added=()) -> list[str]:
    return [each.name for each in in_order(nodes, added)]


def test_what_is_in_order_stays():
    nodes = [node("b", "x"), node("a", "x"), node("c", "a", "b")]
    assert names(*nodes) == ["b", "a", "c"]


def test_readers_come_behind():
    nodes = [node("d", "c", "b"), node("c", "a"), node("b", "a"), node("a", "x")]
    assert names(*nodes) == ["a", "c", "b", "d"]


def test_added_nodes_come_only_if_read():
    assert names(node("a", "p"), added=[node("p", "q"), node("q"), node("r")]) == ["q", "p", "a"]


def test_a_long_chain_needs_no_deep_stack():
    nodes = [node(str(i), str(i + 1)) for i in range(5000)]
    assert names(*nodes)[0] == "4999"


def test_circles_are_named():
    with pytest.raises(BadInputError, match="Sum b reads its own output in a circle"):
        names(node("a", "b"), node("b", "a"))
