"""Normalisations are read in their spellings."""

import numpy as np
import pytest

from decig.graph.rewrite.editor import Editor
from decig.graph.rewrite.spelled_norm import SpelledNorm, spelled_norm
from tests.graph.rewrite.small import Net

SHAPE = (2, 3, 5, 4)


def read(net: Net, value: str) -> SpelledNorm | None:
    graph = Editor(net.finish(value))
    return spelled_norm(graph, next(node for node in graph.nodes if node.op_type == "Div"))


def mean(net: Net, value: str, axes: list[int], **more: int) -> str:
    if net.opset < 18:
        return net.node("ReduceMean", value, axes=axes, **more)
    return net.node("ReduceMean", value, net.constant(axes, np.int64), **more)


def spelled(
    net: Net,
    axes: list[int],
    *,
    variance_axes: list[int] | None = None,
    epsilon: object = 1e-3,
    first: str = "x",
    swapped: bool = False,
) -> str:
    difference = net.node("Sub", first, mean(net, "x", axes))
    variance = mean(net, net.node("Mul", difference, difference), variance_axes or axes)
    terms = [variance, net.constant(epsilon)]
    root = net.node("Sqrt", net.node("Add", *terms[:: -1 if swapped else 1]))
    return net.node("Div", difference, root)


@pytest.mark.parametrize("opset", [13, 18])
@pytest.mark.parametrize("swapped", [False, True])
@pytest.mark.parametrize("axes", [[2, 3], [-1, -2], [1, 2, 3], [-1]])
def test_source_axes_and_epsilon(axes: list[int], swapped: bool, opset: int) -> None:
    net = Net(*SHAPE, opset=opset)
    found = read(net, spelled(net, axes, swapped=swapped))
    assert found is not None
    assert found.source == "x"
    assert found.axes == {axis % 4 for axis in axes}
    assert found.epsilon == np.float32(1e-3)


def test_what_is_no_norm() -> None:
    for settings in (
        {"axes": [2, 3], "variance_axes": [3]},  # means over other axes
        {"axes": [2, 3], "epsilon": np.full((3, 1, 1), 1e-3)},  # an epsilon a channel
        {"axes": [2, 3], "epsilon": np.full((1, 1, 1, 1, 1), 1e-3)},  # one that widens
    ):
        net = Net(*SHAPE)
        assert read(net, spelled(net, **settings)) is None
    net = Net(*SHAPE)
    other = net.node("Relu", "x")
    assert read(net, spelled(net, [2, 3], first=other)) is None  # of another value
    net = Net(*SHAPE)
    assert read(net, net.node("Div", "x", net.constant(2.0))) is None


def test_means_that_drop_their_axes_are_others() -> None:
    net = Net(*SHAPE)
    average = net.node("ReduceMean", "x", net.constant([0], np.int64), keepdims=0)
    difference = net.node("Sub", "x", average)
    square = net.node("Mul", difference, difference)
    variance = net.node("ReduceMean", square, net.constant([0], np.int64), keepdims=0)
    root = net.node("Sqrt", net.node("Add", variance, net.constant(1e-3)))
    assert read(net, net.node("Div", difference, root)) is None


def test_no_axes_are_all_axes() -> None:
    net = Net(1, 3, 1, 1)
    assert read(net, spelled(net, [])) is None


@pytest.mark.parametrize(
    ("dtype", "known"), [(np.float32, True), (np.float16, True), (np.float64, False)]
)
def test_types_that_the_joined_operators_take(dtype: type, known: bool) -> None:
    net = Net(*SHAPE, dtype=dtype)
    assert (read(net, spelled(net, [2, 3])) is not None) == known
