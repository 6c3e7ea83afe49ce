"""Factors and shifts in a row become one of each."""

import numpy as np
import pytest

from tests.graph.rewrite.small import Net, operators, rewritten, unchanged

RULE = "merge_affine"


def chain(net: Net, value: str, *op_types: str, shape: tuple[int, ...] = ()) -> str:
    for op_type in op_types:
        constant = net.constant(net.random.uniform(0.5, 2, shape))
        value = net.node(op_type, value, constant)
    return value


@pytest.mark.parametrize("shape", [(), (3, 1, 1), (1, 3, 1, 1)])
@pytest.mark.parametrize(
    ("before", "after"),
    [
        (("Mul", "Add", "Mul"), ["Mul", "Add"]),
        (("Sub", "Div", "Add", "Mul"), ["Mul", "Add"]),
        (("Add", "Sub"), ["Add"]),
        (("Div", "Mul"), ["Mul"]),
    ],
)
def test_chains(before: tuple[str, ...], after: list[str], shape: tuple[int, ...]) -> None:
    net = Net(2, 3, 5, 4)
    value = chain(net, net.node("Tanh", "x"), *before, shape=shape)
    found, applied = rewritten(net.finish(net.node("Relu", value)), RULE)
    assert operators(found) == ["Tanh", *after, "Relu"]
    assert len(applied) == 1


def test_numbers_of_one_and_of_every_channel() -> None:
    net = Net(1, 3, 5, 4)
    value = chain(net, chain(net, "x", "Mul", shape=(3, 1, 1)), "Mul", "Add")
    found, _ = rewritten(net.finish(value), RULE)
    assert operators(found) == ["Mul", "Add"]


@pytest.mark.parametrize("op_types", [("Mul",), ("Mul", "Add")])
def test_leaves_what_is_short_already(op_types: tuple[str, ...]) -> None:
    net = Net(1, 3, 5, 4)
    assert unchanged(net.finish(chain(net, "x", *op_types)), RULE)


def test_a_value_that_others_read_ends_a_chain() -> None:
    net = Net(1, 3, 5, 4)
    middle = chain(net, "x", "Mul", "Add")
    assert unchanged(net.finish(chain(net, middle, "Mul"), middle), RULE)


def test_leaves_numbers_of_single_pixels() -> None:
    net = Net(1, 3, 5, 4)
    assert unchanged(net.finish(chain(net, "x", "Mul", "Mul", shape=(5, 4))), RULE)


def test_leaves_integers() -> None:
    net = Net(1, 3, 5, 4)
    value = net.node("Cast", "x", to=7)
    for factor in (2, 3):
        value = net.node("Mul", value, net.constant(np.array(factor), np.int64))
    assert unchanged(net.finish(net.node("Cast", value, to=1)), RULE)
