"""A strided ConvTranspose becomes convolutions of stride 1 and a DepthToSpace."""

from pathlib import Path

import pytest

from decig.graph.model import load_model
from tests.graph.rewrite.small import Net, operators, rewritten, unchanged

RULE = "phase_transpose"


def transposed(net: Net, inputs: int, outputs: int, kernel: int, **attributes: object) -> str:
    weights = net.weights(inputs, outputs, kernel, kernel), net.weights(outputs)
    return net.node("ConvTranspose", "x", *weights, name="up", **attributes)


@pytest.mark.parametrize(
    ("kernel", "stride", "pads", "padding"),
    [
        (3, 2, [0, 0, 1, 1], [0, 0]),
        (3, 2, [1, 1, 1, 1], [1, 1]),
        (3, 2, [1, 0, 0, 1], [0, 0]),
        (4, 2, [1, 1, 1, 1], [0, 0]),
        (4, 2, [2, 1, 0, 1], [0, 0]),
        (5, 2, [2, 2, 2, 2], [1, 1]),
        (6, 2, [2, 2, 2, 2], [0, 0]),
        (5, 3, [1, 1, 1, 1], [0, 0]),
        (7, 4, [2, 2, 1, 1], [0, 0]),
    ],
)
def test_any_geometry(kernel: int, stride: int, pads: list[int], padding: list[int]) -> None:
    net = Net(2, 3, 5, 6)
    options = {"strides": [stride] * 2, "pads": pads, "output_padding": padding}
    value = transposed(net, 3, 16, kernel, **options)
    after, applied = rewritten(net.finish(net.node("Relu", value)), RULE)
    assert "ConvTranspose" not in operators(after)
    assert operators(after)[-2:] == ["DepthToSpace", "Relu"]
    assert [entry.node for entry in applied] == ["up"]


@pytest.mark.parametrize("opset", [9, 18])
@pytest.mark.parametrize("pads", [[3, 3, 3, 3], [4, 3, 2, 5], [5, 5, 5, 5]])
def test_inputs_that_are_not_read_are_cropped(pads: list[int], opset: int) -> None:
    net = Net(1, 3, 7, 8, opset=opset)
    value = transposed(net, 3, 16, 4, strides=[2, 2], pads=pads)
    after, _ = rewritten(net.finish(net.node("Relu", value)), RULE)
    assert "ConvTranspose" not in operators(after)
    assert "Slice" in operators(after)


@pytest.mark.parametrize(("outputs", "convolutions"), [(16, 4), (8, 2), (32, 4), (4, 1)])
def test_narrow_outputs_share_a_convolution(outputs: int, convolutions: int) -> None:
    net = Net(1, 8, 4, 4)
    value = transposed(net, 8, outputs, 5, strides=[2, 2], pads=[2, 2, 1, 1])
    after, _ = rewritten(net.finish(value), RULE)
    assert operators(after).count("Conv") == convolutions


@pytest.mark.parametrize(
    "attributes",
    [
        {"strides": [1, 1]},
        {"strides": [2, 1]},
        {"strides": [2, 2]},  # odd output
        {"strides": [2, 2], "pads": [0, 0, 1, 1], "dilations": [2, 2]},
        {"strides": [3, 3]},  # no overlap: already a matrix product and a copy
        {"strides": [2, 2], "output_shape": [10, 10]},
    ],
)
def test_leaves_what_cannot_gain(attributes: dict[str, object]) -> None:
    net = Net(1, 3, 5, 5)
    assert unchanged(net.finish(transposed(net, 3, 16, 3, **attributes)), RULE)


def test_leaves_groups() -> None:
    net = Net(1, 4, 5, 5)
    value = transposed(net, 4, 16, 4, strides=[2, 2], pads=[1] * 4, group=2)
    assert unchanged(net.finish(value), RULE)


def test_udnie_with_its_slices_taken_in(shared_suite: Path) -> None:
    proto = load_model(shared_suite / "udnie.onnx").proto
    after, applied = rewritten(proto, "slice_into_transpose", RULE)
    assert [entry.rule for entry in applied].count(RULE) == 2
    assert "ConvTranspose" not in operators(after)
