"""A wide convolution with three rows of taps becomes Winograd products."""

from pathlib import Path

import pytest

from decig.graph.model import load_model
from tests.graph.rewrite.small import Net, names, operators, rewritten, unchanged

RULE = "winograd"


@pytest.mark.parametrize("height", [8, 9, 10, 11])
@pytest.mark.parametrize("pads", [[1, 1, 1, 1], [0, 0, 0, 0], [2, 0, 1, 3], [0, 0, 1, 1]])
def test_any_geometry(height: int, pads: list[int]) -> None:
    net = Net(2, 48, height + 2 - pads[0] - pads[2], 7)
    weights = net.weights(48, 48, 3, 3), net.weights(48)
    value = net.node("Conv", "x", *weights, name="conv", pads=pads)
    after, applied = rewritten(net.finish(net.node("Relu", value)), RULE)
    assert [entry.node for entry in applied] == ["conv"]
    assert "conv" in names(after)
    assert operators(after)[-1] == "Relu"


@pytest.mark.parametrize("width", [1, 3, 5])
def test_any_width_of_the_kernel_and_no_bias(width: int) -> None:
    net = Net(1, 64, 12, 9)
    value = net.node("Conv", "x", net.weights(48, 64, 3, width), pads=[1, width // 2] * 2)
    after, applied = rewritten(net.finish(value), RULE)
    assert len(applied) == 1
    assert "Slice" not in operators(after)


@pytest.mark.parametrize("opset", [9, 10])
def test_crops_in_old_operator_sets(opset: int) -> None:
    net = Net(1, 48, 10, 7, opset=opset)
    value = net.node("Conv", "x", net.weights(48, 48, 3, 3), pads=[1] * 4)
    after, _ = rewritten(net.finish(value), RULE)
    assert operators(after)[-1] == "Slice"


def test_auto_pad() -> None:
    net = Net(1, 48, 8, 8)
    value = net.node("Conv", "x", net.weights(48, 48, 3, 3), auto_pad="SAME_UPPER")
    assert len(rewritten(net.finish(value), RULE)[1]) == 1


@pytest.mark.parametrize(
    ("shape", "attributes"),
    [
        ((16, 48, 3, 3), {}),  # too narrow
        ((56, 48, 3, 3), {}),  # not in whole blocks
        ((48, 48, 5, 3), {}),
        ((48, 48, 3, 3), {"strides": [2, 1]}),
        ((48, 48, 3, 3), {"dilations": [2, 2]}),
        ((48, 24, 3, 3), {"group": 2}),
    ],
)
def test_leaves_what_cannot_gain(shape: tuple[int, ...], attributes: dict[str, object]) -> None:
    net = Net(1, 48, 16, 16)
    assert unchanged(net.finish(net.node("Conv", "x", net.weights(*shape), **attributes)), RULE)


def test_trunk_of_udnie(shared_suite: Path) -> None:
    _, applied = rewritten(load_model(shared_suite / "udnie.onnx").proto, RULE)
    assert len(applied) == 10
