"""Crops after ConvTranspose become its padding."""

from pathlib import Path

import numpy as np
import pytest

from decig.graph.model import load_model
from tests.graph.rewrite.small import Net, operators, rewritten, unchanged

RULE = "slice_into_transpose"
END = np.iinfo(np.int64).max


def crop(net: Net, value: str, *bounds: list[int]) -> str:
    return net.node("Slice", value, *(net.constant(b, np.int64) for b in bounds))


def transposed(net: Net, **attributes: object) -> str:
    weights = net.weights(3, 4, 3, 3), net.weights(4)
    return net.node("ConvTranspose", "x", *weights, name="up", strides=[2, 2], **attributes)


@pytest.mark.parametrize(
    "bounds",
    [
        ([0, 0], [10, 8], [2, 3]),
        ([1, 2], [-1, END], [2, 3]),
        ([-5], [-2], [3]),
        ([0, 0, 1, 1], [1, 4, 9, 9]),
        ([2], [7], [-2], [1]),
    ],
)
@pytest.mark.parametrize(
    "attributes", [{}, {"pads": [1, 0, 0, 1]}, {"pads": [1] * 4, "output_padding": [1, 1]}]
)
def test_any_crop(bounds: tuple[list[int], ...], attributes: dict[str, object]) -> None:
    net = Net(1, 3, 5, 5)
    value = net.node("Relu", crop(net, transposed(net, **attributes), *bounds))
    after, applied = rewritten(net.finish(value), RULE)
    assert operators(after) == ["ConvTranspose", "Relu"]
    assert [entry.node for entry in applied] == ["up"]


def test_several_crops_in_a_row() -> None:
    net = Net(1, 3, 5, 5)
    value = crop(net, transposed(net), [0], [10], [2])
    after, _ = rewritten(net.finish(crop(net, value, [1], [END], [3])), RULE)
    assert operators(after) == ["ConvTranspose"]


@pytest.mark.parametrize("bounds", [([0], [2], [1]), ([0], [8], [2], [2])])
def test_leaves_other_slices(bounds: tuple[list[int], ...]) -> None:
    net = Net(1, 3, 5, 5)
    assert unchanged(net.finish(crop(net, transposed(net), *bounds)), RULE)


def test_leaves_bounds_that_are_computed() -> None:
    net = Net(1, 3, 11, 5)
    axis = net.node("Cast", net.node("ReduceMax", net.node("Sub", "x", "x"), keepdims=0), to=7)
    axis = net.node("Reshape", axis, net.constant([1], np.int64))
    bounds = net.constant([0], np.int64), net.constant([1], np.int64)
    value = net.node(
        "Slice", transposed(net), *bounds, net.node("Add", axis, net.constant([2], np.int64))
    )
    assert unchanged(net.finish(value), RULE)


def test_leaves_a_transpose_that_others_read() -> None:
    net = Net(1, 3, 5, 5)
    value = transposed(net)
    assert unchanged(net.finish(value, crop(net, value, [0], [10], [2])), RULE)


def test_leaves_an_output_shape() -> None:
    net = Net(1, 3, 5, 5)
    value = transposed(net, output_shape=[10, 10])
    assert unchanged(net.finish(crop(net, value, [0], [9], [2])), RULE)


def test_udnie_loses_its_slices(shared_suite: Path) -> None:
    after, applied = rewritten(load_model(shared_suite / "udnie.onnx").proto, RULE)
    assert len(applied) == 2
    assert "Slice" not in operators(after)
