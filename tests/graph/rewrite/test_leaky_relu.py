"""One spelling for leaky rectifiers."""

import numpy as np
import pytest

from tests.graph.rewrite.small import Net, operators, rewritten, unchanged

RULE = "leaky_relu"


def scaled(net: Net, factor: float, value: str = "x", left: bool = False) -> str:
    constant = net.constant(factor)
    return net.node("Mul", *((constant, value) if left else (value, constant)))


@pytest.mark.parametrize("shape", [(1,), (3, 1, 1), (1, 3, 1, 1)])
@pytest.mark.parametrize(("slope", "op_type"), [(0.2, "LeakyRelu"), (0.0, "Relu")])
def test_prelu_of_one_slope(slope: float, op_type: str, shape: tuple[int, ...]) -> None:
    net = Net(1, 3, 5, 4)
    after, _ = rewritten(
        net.finish(net.node("PRelu", "x", net.constant(np.full(shape, slope)))), RULE
    )
    assert operators(after) == [op_type]


@pytest.mark.parametrize("left", [False, True])
def test_maximum(left: bool) -> None:
    net = Net(1, 3, 5, 4)
    inputs = [scaled(net, 0.2, left=left), "x"]
    after, _ = rewritten(net.finish(net.node("Max", *inputs[:: -1 if left else 1])), RULE)
    assert operators(after) == ["LeakyRelu"]


@pytest.mark.parametrize("left", [False, True])
def test_absolute_value(left: bool) -> None:
    net = Net(1, 3, 5, 4)
    parts = [scaled(net, 0.6, left=left), scaled(net, 0.4, net.node("Abs", "x"), left=left)]
    after, _ = rewritten(net.finish(net.node("Add", *parts[:: -1 if left else 1])), RULE)
    assert operators(after) == ["LeakyRelu"]


def test_leaves_slopes_of_channels() -> None:
    net = Net(1, 3, 5, 4)
    assert unchanged(net.finish(net.node("PRelu", "x", net.weights(3, 1, 1))), RULE)


@pytest.mark.parametrize("slope", [1.5, -0.5])
def test_leaves_a_maximum_that_is_no_rectifier(slope: float) -> None:
    net = Net(1, 3, 5, 4)
    assert unchanged(net.finish(net.node("Max", "x", scaled(net, slope))), RULE)


def test_leaves_sums_that_are_no_rectifier() -> None:
    net = Net(1, 3, 5, 4)
    total = net.node("Add", scaled(net, 0.6), scaled(net, 0.5, net.node("Abs", "x")))
    other = net.node("Add", scaled(net, 0.6), scaled(net, 0.4, net.node("Abs", total)))
    assert unchanged(net.finish(other), RULE)


def test_leaves_factors_that_widen() -> None:
    for folded in (None, 0.4):
        net = Net(1, 1, 5, 4)
        wide = net.node("Mul", "x", net.constant(np.full((1, 3, 1, 1), 0.6)))
        if folded is None:
            value = net.node("Max", "x", wide)
        else:
            value = net.node("Add", wide, scaled(net, folded, net.node("Abs", "x")))
        assert unchanged(net.finish(value), RULE)


def test_leaves_whole_numbers() -> None:
    net = Net(1, 3, 5, 4, dtype=np.int32)
    after, applied = rewritten(net.finish(net.node("PRelu", "x", net.constant([2]))))
    assert operators(after) == ["PRelu"] and not applied
