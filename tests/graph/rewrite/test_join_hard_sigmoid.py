"""Clip, add and divide become a HardSigmoid."""

import numpy as np
import pytest

from tests.graph.rewrite.small import Net, operators, rewritten, unchanged

RULE = "join_hard_sigmoid"


def hard(net: Net, last: str, limit: float = 6.0, opset: int = 18) -> str:
    total = net.node("Add", net.constant(3.0), "x")
    if opset < 11:
        clip = net.node("Clip", total, min=0.0, max=limit)
    else:
        clip = net.node("Clip", total, net.constant(0.0), net.constant(limit))
    return net.node(last, clip, net.constant(6.0 if last == "Div" else 1 / 6))


@pytest.mark.parametrize("opset", [10, 18])
@pytest.mark.parametrize("last", ["Div", "Mul"])
def test_hard_swish(last: str, opset: int) -> None:
    net = Net(1, 3, 5, 4, opset=opset)
    after, _ = rewritten(net.finish(net.node("Mul", "x", hard(net, last, opset=opset))), RULE)
    assert operators(after) == ["HardSigmoid", "Mul"]


def test_leaves_what_ends_elsewhere() -> None:
    net = Net(1, 3, 5, 4)
    assert unchanged(net.finish(hard(net, "Div", limit=5.0)), RULE)


def test_leaves_a_clip_without_bounds() -> None:
    net = Net(1, 3, 5, 4)
    clip = net.node("Clip", net.node("Add", "x", net.constant(3.0)), net.constant(0.0))
    assert unchanged(net.finish(net.node("Div", clip, net.constant(6.0))), RULE)


def test_leaves_bounds_that_differ_by_channel() -> None:
    net = Net(1, 3, 5, 4)
    clip = net.node(
        "Clip", net.node("Add", "x", net.constant(np.ones((3, 1, 1)))), net.constant(0.0)
    )
    assert unchanged(net.finish(net.node("Div", net.constant(6.0), clip)), RULE)


def test_leaves_a_shift_that_widens() -> None:
    net = Net(1, 1, 5, 4)
    total = net.node("Add", "x", net.constant(np.full((3, 1, 1), 3.0)))
    clip = net.node("Clip", total, net.constant(0.0), net.constant(6.0))
    assert unchanged(net.finish(net.node("Div", clip, net.constant(6.0))), RULE)


def test_leaves_whole_numbers() -> None:
    net = Net(1, 3, 5, 4, dtype=np.int32)
    clip = net.node("Clip", net.node("Add", "x", net.constant(3)), net.constant(0), net.constant(6))
    after, applied = rewritten(net.finish(net.node("Div", clip, net.constant(6))))
    assert operators(after) == ["Add", "Clip", "Div"] and not applied
