"""Arithmetic in front of a convolution becomes part of its weights."""

import numpy as np
import pytest

from tests.graph.rewrite.small import Net, operators, rewritten, unchanged

RULE = "scale_into_conv"


def image(net: Net, *op_types: str, shape: tuple[int, ...] = (4, 1, 1)) -> str:
    value = "x"
    for op_type in op_types:
        value = net.node(op_type, value, net.constant(net.random.uniform(0.5, 2, shape)))
    return value


def conv(net: Net, value: str, biased: bool = True, **attributes: object) -> str:
    inputs = [net.weights(6, 2, 3, 3), *([net.weights(6)] if biased else [])]
    return net.node("Conv", value, *inputs, name="conv", group=2, **attributes)


@pytest.mark.parametrize("shape", [(), (4, 1, 1), (1, 4, 1, 1)])
@pytest.mark.parametrize("biased", [False, True])
def test_without_padding_everything_folds(biased: bool, shape: tuple[int, ...]) -> None:
    net = Net(2, 4, 7, 6)
    value = image(net, "Add", "Mul", "Sub", "Div", shape=shape)
    after, applied = rewritten(net.finish(conv(net, value, biased)), RULE)
    assert operators(after) == ["Conv"]
    assert [entry.node for entry in applied] == ["conv"]


@pytest.mark.parametrize("padding", [{"pads": [1] * 4}, {"auto_pad": "SAME_UPPER"}])
def test_under_padding_only_factors_fold(padding: dict[str, object]) -> None:
    net = Net(1, 4, 7, 6)
    after, _ = rewritten(net.finish(conv(net, image(net, "Add", "Mul", "Div"), **padding)), RULE)
    assert operators(after) == ["Add", "Conv"]


@pytest.mark.parametrize("mode", ["reflect", "edge"])
def test_looks_through_padding_with_pixels(mode: str) -> None:
    net = Net(1, 4, 7, 6)
    pads = net.constant([0, 0, 1, 1] * 2, np.int64)
    padded = net.node("Pad", image(net, "Add", "Mul"), pads, mode=mode)
    after, _ = rewritten(net.finish(conv(net, padded)), RULE)
    assert operators(after) == ["Pad", "Conv"]


@pytest.mark.parametrize(("filling", "left"), [(0.0, ["Add", "Pad"]), (1.0, ["Add", "Mul", "Pad"])])
def test_padding_with_a_number(filling: float, left: list[str]) -> None:
    net = Net(1, 4, 7, 6)
    pads = net.constant([0, 0, 1, 1] * 2, np.int64)
    padded = net.node("Pad", image(net, "Add", "Mul"), pads, net.constant(filling))
    after, _ = rewritten(net.finish(conv(net, padded)), RULE)
    assert operators(after) == [*left, "Conv"]


def test_leaves_what_others_read() -> None:
    net = Net(1, 4, 7, 6)
    value = image(net, "Mul")
    assert unchanged(net.finish(conv(net, value), net.node("Relu", value)), RULE)


def test_leaves_a_constant_that_widens() -> None:
    net = Net(1, 1, 7, 6)
    assert unchanged(net.finish(conv(net, image(net, "Mul"))), RULE)


@pytest.mark.parametrize("mode", ["constant", "reflect"])
def test_leaves_padding_with_channels(mode: str) -> None:
    net = Net(1, 4, 7, 6)
    pads = net.constant([0, 1, 0, 0, 0, -1, 0, 0], np.int64)
    padded = net.node("Pad", image(net, "Mul"), pads, mode=mode)
    assert unchanged(net.finish(conv(net, padded)), RULE)


def test_shifts_stay_where_another_size_would_be_padded() -> None:
    net = Net(1, 4, 6, 6)  # nothing to pad here, but at 7 x 7
    value = image(net, "Add", "Mul")
    value = net.node("Conv", value, net.weights(6, 4, 2, 2), strides=[2, 2], auto_pad="SAME_UPPER")
    after, _ = rewritten(net.finish(value), RULE)
    assert operators(after) == ["Add", "Conv"]
    net = Net(1, 4, 6, 6)
    value = net.node("Conv", image(net, "Add"), net.weights(6, 4, 1, 1), auto_pad="SAME_UPPER")
    after, _ = rewritten(net.finish(value), RULE)
    assert operators(after) == ["Conv"]
