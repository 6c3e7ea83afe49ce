"""Zeros are padded by the convolution."""

import numpy as np
import pytest

from tests.graph.rewrite.small import Net, operators, rewritten, unchanged

RULE = "pad_into_conv"


def padded(net: Net, amounts: list[int], *filling: str, **attributes: object) -> str:
    return net.node("Pad", "x", net.constant(amounts, np.int64), *filling, **attributes)


@pytest.mark.parametrize("conv", [{}, {"pads": [1, 0, 2, 1]}, {"auto_pad": "VALID"}])
@pytest.mark.parametrize("filling", [False, True])
def test_amounts_add_up(filling: bool, conv: dict[str, object]) -> None:
    net = Net(2, 3, 7, 6)
    zero = [net.constant(0.0)] if filling else []
    value = padded(net, [0, 0, 1, 2, 0, 0, 3, 0], *zero)
    value = net.node("Conv", value, net.weights(4, 3, 3, 3), **conv)
    after, _ = rewritten(net.finish(value), RULE)
    assert operators(after) == ["Conv"]


def test_amounts_of_named_axes() -> None:
    net = Net(1, 3, 7, 6)
    pads, axes = net.constant([1, 2, 0, 1], np.int64), net.constant([-1, 2], np.int64)
    value = net.node("Pad", "x", pads, "", axes)
    after, _ = rewritten(net.finish(net.node("Conv", value, net.weights(4, 3, 3, 3))), RULE)
    assert operators(after) == ["Conv"]


@pytest.mark.parametrize(
    ("amounts", "attributes"),
    [
        ([0, 0, 1, 1, 0, 0, 1, 1], {"mode": "reflect"}),
        ([0, 1, 0, 0, 0, 0, 0, 0], {}),
        ([0, 0, -1, 0, 0, 0, 0, 0], {}),
    ],
)
def test_leaves_what_a_convolution_cannot_pad(
    amounts: list[int], attributes: dict[str, object]
) -> None:
    net = Net(1, 3, 7, 6)
    channels = 3 + amounts[1]
    value = padded(net, amounts, **attributes)
    assert unchanged(net.finish(net.node("Conv", value, net.weights(4, channels, 3, 3))), RULE)


def test_leaves_other_numbers_and_sizes_that_count() -> None:
    for filling, conv in ((1.0, {}), (0.0, {"auto_pad": "SAME_UPPER", "strides": [2, 2]})):
        net = Net(1, 3, 7, 6)
        value = padded(net, [0, 0, 1, 1, 0, 0, 1, 1], net.constant(filling))
        conv_node = net.node("Conv", value, net.weights(4, 3, 3, 3), **conv)
        assert unchanged(net.finish(conv_node), RULE)


def test_leaves_a_pad_that_others_read() -> None:
    net = Net(1, 3, 7, 6)
    value = padded(net, [0, 0, 1, 1, 0, 0, 1, 1])
    conv = net.node("Conv", value, net.weights(4, 3, 3, 3))
    assert unchanged(net.finish(conv, net.node("Relu", value)), RULE)


@pytest.mark.parametrize("spatial", [1, 3])
@pytest.mark.parametrize("conv", [{}, {"auto_pad": "VALID"}])
def test_any_number_of_axes(conv: dict[str, object], spatial: int) -> None:
    net = Net(1, 3, *[6] * spatial)
    value = padded(net, [0, 0, *[1] * spatial, 0, 0, *[2] * spatial])
    value = net.node("Conv", value, net.weights(4, 3, *[3] * spatial), **conv)
    after, _ = rewritten(net.finish(value), RULE)
    assert operators(after) == ["Conv"]
