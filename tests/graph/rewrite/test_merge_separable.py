"""Depthwise and 1x1 convolutions become one dense one."""

from pathlib import Path

import pytest

from decig.graph.model import load_model
from tests.graph.rewrite.small import Net, operators, rewritten, unchanged
from tests.graph.rewrite.test_resize_into_transpose import enlarged

RULE = "merge_separable"


@pytest.mark.parametrize("first", [False, True])
@pytest.mark.parametrize("second", [False, True])
@pytest.mark.parametrize(("group", "width"), [(6, 6), (6, 12), (3, 9)])
def test_biases_and_groups(group: int, width: int, second: bool, first: bool) -> None:
    net = Net(2, 6, 9, 8)
    inputs = [net.weights(width, 6 // group, 5, 3), *([net.weights(width)] if first else [])]
    attributes = {"pads": [2, 1, 1, 0], "strides": [2, 1], "dilations": [1, 2]}
    value = net.node("Conv", "x", *inputs, name="depthwise", group=group, **attributes)
    inputs = [net.weights(3, width, 1, 1), *([net.weights(3)] if second else [])]
    after, applied = rewritten(net.finish(net.node("Tanh", net.node("Conv", value, *inputs))), RULE)
    assert operators(after) == ["Conv", "Tanh"]
    assert [entry.node for entry in applied] == ["depthwise"]


def test_the_head_then_becomes_phases() -> None:
    net = Net(1, 9, 8, 8)
    value = net.node("Conv", "x", net.weights(9, 1, 9, 9), group=9, pads=[4] * 4)
    proto = net.finish(net.node("Conv", value, net.weights(3, 9, 1, 1)))
    after, _ = rewritten(proto, RULE, "wide_head")
    assert operators(after) == ["Conv", "DepthToSpace"]


def test_behind_an_enlargement_more_outputs_are_worth_it() -> None:
    net = Net(1, 6, 8, 8)
    value = net.node("Conv", enlarged(net), net.weights(6, 1, 3, 3), group=6, pads=[1] * 4)
    proto = net.finish(net.node("Conv", value, net.weights(8, 6, 1, 1)))
    after, _ = rewritten(proto, RULE, "resize_into_transpose")
    assert operators(after) == ["ConvTranspose"]


@pytest.mark.parametrize(
    ("depthwise", "mixing"),
    [
        ((16, 1, 3, 3), (3, 16, 1, 1)),  # whole blocks have fast kernels
        ((6, 1, 3, 3), (8, 6, 1, 1)),  # many outputs
        ((6, 1, 3, 3), (3, 6, 3, 3)),
        ((6, 6, 3, 3), (3, 6, 1, 1)),
    ],
)
def test_leaves_what_cannot_gain(depthwise: tuple[int, ...], mixing: tuple[int, ...]) -> None:
    channels = depthwise[0]
    net = Net(1, channels, 9, 8)
    group = channels // depthwise[1]
    value = net.node("Conv", "x", net.weights(*depthwise), group=group)
    assert unchanged(net.finish(net.node("Conv", value, net.weights(*mixing))), RULE)


def test_leaves_a_convolution_that_others_read() -> None:
    net = Net(1, 6, 9, 8)
    value = net.node("Conv", "x", net.weights(6, 1, 3, 3), group=6)
    mixed = net.node("Conv", value, net.weights(3, 6, 1, 1))
    assert unchanged(net.finish(mixed, net.node("Relu", value)), RULE)


def test_head_of_a_real_net(shared_suite: Path) -> None:
    proto = load_model(shared_suite / "mobil_highstyle.onnx").proto
    _, applied = rewritten(proto, "drop_neutral", RULE)
    assert [entry.rule for entry in applied].count(RULE) == 3
