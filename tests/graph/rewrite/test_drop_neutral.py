"""Operators that change nothing go."""

import numpy as np
import pytest

from tests.graph.rewrite.small import Net, operators, rewritten, unchanged

RULE = "drop_neutral"


def neutral(net: Net, op_type: str, value: str) -> str:
    if op_type == "Pad":
        return net.node("Pad", value, net.constant([0] * 8, np.int64), mode="reflect")
    if op_type == "Reshape":
        return net.node("Reshape", value, net.constant([1, 3, 4, 4], np.int64))
    number = net.constant(np.full((3, 1, 1), 1.0 if op_type in ("Mul", "Div") else 0.0))
    return net.node(op_type, value, number)


@pytest.mark.parametrize("op_type", ["Add", "Sub", "Mul", "Div", "Pad", "Reshape"])
def test_between_other_nodes_and_at_the_end(op_type: str) -> None:
    net = Net(1, 3, 4, 4)
    value = net.node("Tanh", neutral(net, op_type, net.node("Relu", "x")))
    after, applied = rewritten(net.finish(neutral(net, op_type, value)), RULE)
    assert operators(after) == ["Relu", "Tanh"]
    assert len(applied) == 2


def test_constant_on_the_left() -> None:
    net = Net(1, 3, 4, 4)
    value = net.node("Mul", net.constant(1.0), net.node("Exp", "x"))
    value = net.node("Sub", net.constant(0.0), value)
    after, _ = rewritten(net.finish(net.node("Div", net.constant(1.0), value)), RULE)
    assert operators(after) == ["Exp", "Sub", "Div"]


def test_several_readers() -> None:
    net = Net(1, 3, 4, 4)
    value = neutral(net, "Add", net.node("Relu", "x"))
    after, _ = rewritten(net.finish(net.node("Mul", value, value)), RULE)
    assert operators(after) == ["Relu", "Mul"]


def test_leaves_the_only_node_between_input_and_output() -> None:
    net = Net(1, 3, 4, 4)
    assert unchanged(net.finish(neutral(net, "Add", "x")), RULE)


def test_leaves_what_changes_the_shape() -> None:
    net = Net(1, 3, 4, 4)
    wide = net.node("Add", net.node("Relu", "x"), net.constant(np.zeros((2, 1, 1, 1))))
    flat = net.node("Reshape", wide, net.constant([2, 48], np.int64))
    assert unchanged(net.finish(flat), RULE)


def test_leaves_what_changes_numbers() -> None:
    net = Net(1, 3, 4, 4)
    value = net.node("Add", "x", net.constant([0.0, 0.0, 0.0, 1.0]))
    pads = net.constant([0, 0, 1, 0, 0, 0, -1, 0], np.int64)
    assert unchanged(net.finish(net.node("Pad", value, pads)), RULE)
