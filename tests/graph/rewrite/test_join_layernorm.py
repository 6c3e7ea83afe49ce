"""A spelled-out LayerNormalization becomes one node."""

import pytest

from tests.graph.rewrite.small import Net, operators, rewritten, unchanged

RULE = "join_layernorm"


def spelled(net: Net, axes: list[int], scale: str, shift: str | None, square: str = "Mul") -> str:
    constant = net.constant(axes, int)
    difference = net.node("Sub", "x", net.node("ReduceMean", "x", constant))
    other = difference if square == "Mul" else net.constant(2.0)
    variance = net.node("ReduceMean", net.node(square, difference, other), constant)
    root = net.node("Sqrt", net.node("Add", variance, net.constant(1e-4)))
    value = net.node("Mul", net.node("Div", difference, root, name="div"), scale)
    return value if shift is None else net.node("Add", value, shift)


@pytest.mark.parametrize("square", ["Mul", "Pow"])
@pytest.mark.parametrize("shifted", [False, True])
@pytest.mark.parametrize(
    ("axes", "shape"), [([-1], (6,)), ([2], (1, 6)), ([1, 2], (5, 6)), ([-2, -1], (1, 5, 6))]
)
def test_last_axes(axes: list[int], shape: tuple[int, ...], shifted: bool, square: str) -> None:
    net = Net(2, 5, 6)
    shift = net.weights(*shape) if shifted else None
    value = spelled(net, axes, net.weights(*shape), shift, square)
    after, applied = rewritten(net.finish(net.node("Relu", value)), RULE)
    assert operators(after) == ["LayerNormalization", "Relu"]
    assert [entry.node for entry in applied] == ["div"]


def test_an_instance_norm_is_left_to_its_own_rule() -> None:
    net = Net(1, 4, 5, 6)
    proto = net.finish(spelled(net, [2, 3], net.weights(4, 1, 1), None))
    assert unchanged(proto, RULE)
    after, _ = rewritten(proto)
    assert operators(after) == ["InstanceNormalization"]


def test_tokens_are_no_instances() -> None:
    net = Net(1, 5, 6)
    after, _ = rewritten(net.finish(spelled(net, [-1], net.weights(6), net.weights(6))))
    assert operators(after) == ["LayerNormalization"]


@pytest.mark.parametrize("axes", [[1], [0, 1, 2]])
def test_leaves_other_axes(axes: list[int]) -> None:
    net = Net(2, 5, 6)
    assert unchanged(net.finish(spelled(net, axes, net.weights(6), None)), RULE)


def test_leaves_operator_sets_without_it() -> None:
    net = Net(2, 5, 6, opset=13)
    difference = net.node("Sub", "x", net.node("ReduceMean", "x", axes=[-1]))
    square = net.node("Mul", difference, difference)
    total = net.node("Add", net.node("ReduceMean", square, axes=[-1]), net.constant(1e-4))
    value = net.node("Mul", net.node("Div", difference, net.node("Sqrt", total)), net.weights(6))
    assert unchanged(net.finish(value), RULE)


def test_leaves_a_scale_that_widens() -> None:
    net = Net(2, 5, 6)
    assert unchanged(net.finish(spelled(net, [-1], net.weights(1, 1, 1, 6), None)), RULE)
    net = Net(2, 5, 6)
    after, _ = rewritten(
        net.finish(spelled(net, [-1], net.weights(6), net.weights(1, 1, 1, 6))), RULE
    )
    assert operators(after) == ["LayerNormalization", "Add"]
