"""Arithmetic behind a layer becomes part of its weights."""

import numpy as np
import pytest

from tests.graph.rewrite.small import Net, operators, rewritten, unchanged

RULE = "affine_into_layer"


def arithmetic(net: Net, value: str, shape: tuple[int, ...] = (6, 1, 1)) -> str:
    """(value * a - b) / c + d."""
    for op_type in ("Mul", "Sub", "Div", "Add"):
        constant = net.constant(net.random.uniform(0.5, 2, shape))
        value = net.node(op_type, value, constant)
    return value


@pytest.mark.parametrize("shape", [(), (1,), (6, 1, 1), (1, 6, 1, 1)])
@pytest.mark.parametrize("biased", [False, True])
@pytest.mark.parametrize("op_type", ["Conv", "ConvTranspose"])
def test_convolutions(op_type: str, biased: bool, shape: tuple[int, ...]) -> None:
    net = Net(2, 4, 7, 6)
    weights = (6, 2, 3, 3) if op_type == "Conv" else (4, 3, 3, 3)
    inputs = [net.weights(*weights), *([net.weights(6)] if biased else [])]
    value = net.node(op_type, "x", *inputs, name="conv", pads=[1] * 4, group=2)
    after, applied = rewritten(net.finish(arithmetic(net, value, shape)), RULE)
    assert operators(after) == [op_type]
    assert [entry.node for entry in applied] == ["conv"]


@pytest.mark.parametrize("op_type", ["InstanceNormalization", "BatchNormalization"])
def test_norms(op_type: str) -> None:
    net = Net(1, 6, 7, 6)
    inputs = [net.weights(6), net.weights(6)]
    if op_type == "BatchNormalization":
        inputs += [net.weights(6), net.constant(net.random.uniform(0.5, 2, 6))]
    after, _ = rewritten(net.finish(arithmetic(net, net.node(op_type, "x", *inputs))), RULE)
    assert operators(after) == [op_type]


def test_constant_on_the_left() -> None:
    net = Net(1, 3, 5, 5)
    conv = net.node("Conv", "x", net.weights(4, 3, 1, 1))
    left = net.node("Mul", net.constant(2.0), conv)
    after, _ = rewritten(net.finish(net.node("Sub", net.constant(1.0), left)), RULE)
    assert operators(after) == ["Conv", "Sub"]


@pytest.mark.parametrize("shape", [(5,), (5, 1), (2, 1, 1, 1)])
def test_leaves_what_is_no_number_a_channel(shape: tuple[int, ...]) -> None:
    net = Net(1, 3, 5, 5)
    conv = net.node("Conv", "x", net.weights(5, 3, 1, 1))
    assert unchanged(net.finish(net.node("Mul", conv, net.constant(np.ones(shape)))), RULE)


def test_leaves_a_layer_that_others_read() -> None:
    net = Net(1, 3, 5, 5)
    conv = net.node("Conv", "x", net.weights(5, 3, 1, 1))
    assert unchanged(net.finish(net.node("Mul", conv, net.constant(2.0)), conv), RULE)
