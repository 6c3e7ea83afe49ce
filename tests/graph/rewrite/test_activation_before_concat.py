"""Activations move in front of a Concat."""

import pytest

from tests.graph.rewrite.small import Net, operators, rewritten, unchanged

RULE = "activation_before_concat"


@pytest.mark.parametrize(("op_type", "attributes"), [("Relu", {}), ("LeakyRelu", {"alpha": 0.2})])
def test_one_activation_for_each_part(op_type: str, attributes: dict[str, float]) -> None:
    net = Net(1, 3, 6, 5)
    value = net.node("Concat", net.node("Conv", "x", net.weights(4, 3, 1, 1)), "x", axis=1)
    value = net.node(op_type, value, **attributes)
    after, applied = rewritten(net.finish(net.node("Conv", value, net.weights(2, 7, 1, 1))), RULE)
    assert operators(after) == ["Conv", op_type, op_type, "Concat", "Conv"]
    assert len(applied) == 1


def test_what_is_rectified_already_is_not_rectified_again() -> None:
    net = Net(1, 3, 6, 5)
    skip = net.node("Relu", "x")
    value = net.node("Concat", skip, net.node("Conv", skip, net.weights(4, 3, 1, 1)), axis=1)
    after, _ = rewritten(net.finish(net.node("Relu", value)), RULE)
    assert operators(after) == ["Relu", "Conv", "Relu", "Concat"]


def test_clip_keeps_its_bounds() -> None:
    net = Net(1, 3, 6, 5)
    value = net.node("Concat", net.node("Conv", "x", net.weights(4, 3, 1, 1)), "x", axis=1)
    value = net.node("Clip", value, net.constant(-0.5), net.constant(0.5))
    after, _ = rewritten(net.finish(value), RULE)
    assert operators(after) == ["Conv", "Clip", "Clip", "Concat"]


def test_leaves_parts_that_no_layer_makes_alone() -> None:
    net = Net(1, 3, 6, 5)
    value = net.node("Concat", net.node("Tanh", "x"), "x", axis=1)
    assert unchanged(net.finish(net.node("Relu", value)), RULE)
    net = Net(1, 3, 6, 5)
    conv = net.node("Conv", "x", net.weights(4, 3, 1, 1))
    value = net.node("Relu", net.node("Concat", conv, "x", axis=1))
    assert unchanged(net.finish(value, net.node("Tanh", conv)), RULE)


def test_leaves_a_concat_that_others_read() -> None:
    net = Net(1, 3, 6, 5)
    joined = net.node("Concat", net.node("Conv", "x", net.weights(4, 3, 1, 1)), "x", axis=1)
    assert unchanged(net.finish(net.node("Relu", joined), net.node("Tanh", joined)), RULE)


def test_a_second_time_finds_free_names() -> None:
    net = Net(1, 3, 6, 5)
    conv = net.node("Conv", "x", net.weights(4, 3, 1, 1))
    inner = net.node("Concat", conv, "x", axis=1)
    outer = net.node("Concat", inner, net.node("Conv", "x", net.weights(4, 3, 1, 1)), axis=1)
    once, _ = rewritten(net.finish(net.node("Tanh", outer)), RULE)
    assert operators(once).count("Tanh") == 2
    twice, _ = rewritten(once, RULE)
    assert operators(twice).count("Tanh") == 3


def test_leaves_bounds_that_are_computed() -> None:
    net = Net(1, 3, 6, 5)
    value = net.node("Concat", net.node("Conv", "x", net.weights(4, 3, 1, 1)), "x", axis=1)
    least = net.node("ReduceMin", net.node("Tanh", "x"), keepdims=0)
    assert unchanged(net.finish(net.node("Clip", value, least)), RULE)
