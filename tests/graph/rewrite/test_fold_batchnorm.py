"""BatchNormalization folds into the layer in front of it, and only there."""

import numpy as np
import pytest

from tests.graph.rewrite.small import Net, operators, rewritten, unchanged

RULE = "fold_batchnorm"


def batchnorm(net: Net, value: str, channels: int, **attributes: float) -> str:
    positive = net.constant(net.random.uniform(0.5, 2.0, channels))
    statistics = [net.weights(channels) for _ in range(3)]
    return net.node("BatchNormalization", value, *statistics, positive, **attributes)


@pytest.mark.parametrize("biased", [False, True])
@pytest.mark.parametrize("group", [1, 2])
@pytest.mark.parametrize("op_type", ["Conv", "ConvTranspose"])
def test_folds_into_convolutions(op_type: str, group: int, biased: bool) -> None:
    net = Net(2, 4, 7, 6)
    shape = (6, 4 // group, 3, 3) if op_type == "Conv" else (4, 6 // group, 3, 3)
    inputs = [net.weights(*shape), *([net.weights(6)] if biased else [])]
    value = net.node(op_type, "x", *inputs, name="conv", pads=[1] * 4, group=group)
    after, applied = rewritten(net.finish(batchnorm(net, value, 6, epsilon=1e-3)), RULE)
    assert operators(after) == [op_type]
    assert [(entry.rule, entry.node) for entry in applied] == [(RULE, "conv")]


@pytest.mark.parametrize("transposed", [0, 1])
@pytest.mark.parametrize("bias", [None, (5,), (1, 5), (1,)])
def test_folds_into_gemm(bias: tuple[int, ...] | None, transposed: int) -> None:
    net = Net(3, 4)
    inputs = [net.weights(*((5, 4) if transposed else (4, 5)))]
    if bias is not None:
        inputs.append(net.weights(*bias))
    value = net.node("Gemm", "x", *inputs, transB=transposed, alpha=0.5, beta=3.0)
    after, _ = rewritten(net.finish(batchnorm(net, value, 5)), RULE)
    assert operators(after) == ["Gemm"]


def test_keeps_initializer_and_value_names() -> None:
    net = Net(1, 3, 5, 5)
    weight, bias = net.weights(4, 3, 1, 1), net.weights(4)
    value = batchnorm(net, net.node("Conv", "x", weight, bias, name="conv"), 4)
    after, _ = rewritten(net.finish(net.node("Relu", value)), RULE)
    assert list(after.graph.node[0].input) == ["x", weight, bias]
    assert list(after.graph.node[1].input) == [value]


def test_leaves_a_convolution_that_others_read() -> None:
    net = Net(1, 3, 5, 5)
    value = net.node("Conv", "x", net.weights(4, 3, 1, 1))
    assert unchanged(net.finish(net.node("Add", value, batchnorm(net, value, 4))), RULE)


def test_leaves_a_convolution_that_the_graph_returns() -> None:
    net = Net(1, 3, 5, 5)
    value = net.node("Conv", "x", net.weights(4, 3, 1, 1))
    assert unchanged(net.finish(value, batchnorm(net, value, 4)), RULE)


def test_leaves_batchnorm_in_front_of_a_convolution() -> None:
    net = Net(1, 3, 5, 5)
    value = net.node("Conv", batchnorm(net, "x", 3), net.weights(4, 3, 3, 3), pads=[1] * 4)
    assert unchanged(net.finish(value), RULE)


def test_leaves_weights_that_are_computed() -> None:
    net = Net(2, 3, 3, 3)
    value = net.node("Conv", net.constant(np.ones((1, 3, 5, 5))), "x")
    assert unchanged(net.finish(batchnorm(net, value, 2)), RULE)
