"""Constants that act on whole channels."""

import numpy as np
import pytest

from decig.graph.rewrite.constants import as_affine, number, operand, per_channel
from decig.graph.rewrite.editor import Editor
from tests.graph.rewrite.small import Net

C = 3


def operation(op_type: str, shape: tuple[int, ...], *, left: bool = False) -> Editor:
    net = Net(1, C, 5, 4)
    inputs = ["x", net.constant(np.arange(1, 1 + np.prod(shape, dtype=int)).reshape(shape))]
    return Editor(net.finish(net.node(op_type, *inputs[:: -1 if left else 1])))


@pytest.mark.parametrize("left", [False, True])
@pytest.mark.parametrize(
    ("shape", "wanted"),
    [
        ((), [1]),
        ((1,), [1]),
        ((1, 1, 1, 1), [1]),
        ((C, 1, 1), [1, 2, 3]),
        ((1, C, 1, 1), [1, 2, 3]),
        ((4,), None),  # along the columns
        ((5, 1), None),
        ((C, 5, 4), None),
        ((2, C, 1, 1), None),  # of two images
        ((1, 1, 1, 1, 1), None),  # would widen the value
        ((1, 1, C, 1, 1), None),
    ],
)
def test_a_number_for_each_channel(
    shape: tuple[int, ...], wanted: list[int] | None, left: bool
) -> None:
    graph = operation("Mul", shape, left=left)
    found = per_channel(graph, graph.nodes[0], (1, C, 5, 4))
    assert (None if found is None else found.tolist()) == wanted


@pytest.mark.parametrize("op_type", ["Sub", "Div"])
def test_what_is_divided_or_subtracted_from_is_no_step(op_type: str) -> None:
    graph = operation(op_type, (C, 1, 1), left=True)
    assert per_channel(graph, graph.nodes[0], (1, C, 5, 4)) is None
    graph = operation(op_type, (C, 1, 1))
    assert per_channel(graph, graph.nodes[0], (1, C, 5, 4)) is not None


def test_of_two_values_or_two_constants_neither_acts() -> None:
    net = Net(1, C, 5, 4)
    value = net.node("Add", "x", net.node("Relu", "x"))
    graph = Editor(net.finish(value))
    assert per_channel(graph, graph.nodes[-1], (1, C, 5, 4)) is None
    assert operand(graph, graph.nodes[-1]) is None
    assert operand(graph, graph.nodes[0]) is None  # one input


@pytest.mark.parametrize("left", [False, True])
def test_the_operand_is_what_is_no_constant(left: bool) -> None:
    graph = operation("Add", (C, 1, 1), left=left)
    assert operand(graph, graph.nodes[0]) == "x"


@pytest.mark.parametrize(
    ("op_type", "step"),
    [
        ("Mul", lambda x, c: x * c),
        ("Div", lambda x, c: x / c),
        ("Add", lambda x, c: x + c),
        ("Sub", lambda x, c: x - c),
    ],
)
def test_steps_are_a_factor_and_a_shift(op_type: str, step) -> None:
    constant, values = np.float32([0.3, -7, 5]), np.linspace(-2, 2, 12).reshape(4, 3)
    factor, shift = as_affine(op_type, constant)
    assert factor.dtype == shift.dtype == np.float64
    np.testing.assert_allclose(factor * values + shift, step(values, constant), rtol=1e-6)


def test_what_is_no_step() -> None:
    assert as_affine("Div", np.float32([1, 0])) is None
    assert as_affine("Pow", np.float32([2])) is None


@pytest.mark.parametrize(
    ("array", "wanted"),
    [
        (3.0, 3.0),
        (np.full((C, 5, 1), 3.0), 3.0),
        ([1.0, 2.0], None),
        (np.zeros((0, 1, 1, 1)), None),
    ],
)
def test_the_number_of_a_constant(array: object, wanted: float | None) -> None:
    net = Net(1, C, 5, 1)
    name = net.constant(array)
    graph = Editor(net.finish(net.node("Mul", "x", name)))
    assert number(graph, graph.nodes[0].input[1]) == wanted
    assert number(graph, "x") is None


@pytest.mark.parametrize("shape", [(C,), (C, 1), (C, 1, 1, 1)])
def test_as_many_numbers_along_another_axis_are_not_the_channels(shape: tuple[int, ...]) -> None:
    net = Net(C, C, C, C)
    graph = Editor(net.finish(net.node("Mul", "x", net.weights(*shape))))
    assert per_channel(graph, graph.nodes[0], (C, C, C, C)) is None
