"""Normalisations are read in their spellings."""

from typing import Any

import numpy as np
import pytest

from decig.graph.rewrite.editor import Editor
from decig.graph.rewrite.rule import NoMatch
from decig.graph.rewrite.spelled_norm import SpelledNorm, spelled_norm
from tests.graph.rewrite.small import Net

SHAPE = (2, 3, 5, 4)


def read(net: Net, value: str) -> SpelledNorm:
    graph = Editor(net.finish(value))
    return spelled_norm(graph, next(node for node in graph.nodes if node.op_type == "Div"))


def why_not(net: Net, value: str) -> str:
    with pytest.raises(NoMatch) as refusal:
        read(net, value)
    return str(refusal.value)


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
    assert found.source == "x"
    assert found.axes == {axis % 4 for axis in axes}
    assert found.epsilon == np.float32(1e-3)


@pytest.mark.parametrize(
    ("settings", "reason"),
    [
        ({"axes": [2, 3], "variance_axes": [3]}, "its mean and its variance are over different"),
        ({"axes": [2, 3], "epsilon": np.full((3, 1, 1), 1e-3)}, "it does not divide by the square"),
        ({"axes": [2, 3], "epsilon": np.full((1, 1, 1, 1, 1), 1e-3)}, "x is no float, or an eps"),
        ({"axes": []}, "the Sub in front does not take a value's own mean"),
    ],
)
def test_what_is_no_norm(settings: dict[str, Any], reason: str) -> None:
    net = Net(*SHAPE)
    assert why_not(net, spelled(net, **settings)).startswith(reason)


def test_a_norm_of_another_value() -> None:
    net = Net(*SHAPE)
    value = spelled(net, [2, 3], first=net.node("Relu", "x"))
    assert why_not(net, value).startswith("the Sub in front does not take a value's own mean")


def test_a_division_of_no_difference() -> None:
    net = Net(*SHAPE)
    value = net.node("Div", "x", net.constant(2.0))
    assert why_not(net, value) == "it does not divide a difference"


def test_means_that_drop_their_axes_are_others() -> None:
    net = Net(*SHAPE)
    average = net.node("ReduceMean", "x", net.constant([0], np.int64), keepdims=0)
    difference = net.node("Sub", "x", average)
    square = net.node("Mul", difference, difference)
    variance = net.node("ReduceMean", square, net.constant([0], np.int64), keepdims=0)
    root = net.node("Sqrt", net.node("Add", variance, net.constant(1e-3)))
    assert why_not(net, net.node("Div", difference, root)).startswith("the Sub in front")


@pytest.mark.parametrize("dtype", [np.float32, np.float16])
def test_types_that_the_joined_operators_take(dtype: type) -> None:
    net = Net(*SHAPE, dtype=dtype)
    assert read(net, spelled(net, [2, 3])).source == "x"


def test_a_type_that_they_do_not_take() -> None:
    net = Net(*SHAPE, dtype=np.float64)
    assert why_not(net, spelled(net, [2, 3])).startswith("x is no float")
