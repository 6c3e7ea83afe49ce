"""What an operator sees of its node."""

import operator
from typing import Any

import numpy as np
import pytest
import torch
from onnx import helper

from decig.errors import BadInputError
from decig.training.ops.node import OpNode
from decig.training.ops.tracer import Input, Tracer


def view(*inputs: str, opset: int = 18, bound: tuple[str, ...] = (), **attributes: Any) -> OpNode:
    tracer = Tracer(bound=bound)
    values: dict[str, Any] = {
        "x": tracer.placeholder(Input("x", (1, 3, 8, 6), torch.float32, (2, 3))),
        "weight": np.ones((3, 1, 1), np.float32),
        "map": np.ones((8, 6), np.float32),
        "whole": np.array([2, 3]),
        "number": np.full((1,), 0.5, np.float32),
        "wide": np.full((1, 1, 1, 1, 1), 0.5, np.float32),
    }
    proto = helper.make_node("Some", inputs, ["y"], name="n", **attributes)
    return OpNode(proto, opset, tracer, values)


def test_attributes_are_decoded_and_have_defaults() -> None:
    node = view("x", mode="edge", axes=[1, 2])
    assert node.attr("mode") == "edge" and node.attr("axes") == [1, 2]
    assert node.attr("nothing", 7) == 7


def test_a_setting_is_an_input_or_an_attribute() -> None:
    assert view("x", "whole", axes=[9]).setting("axes", 1) == [2, 3]
    assert view("x", axes=[9]).setting("axes", 1) == [9]
    assert view("x", "", axes=9).setting("axes", 1) == [9]
    assert view("x").setting("axes", 1) is None


def test_absent_inputs() -> None:
    node = view("x", "", "weight")
    assert [node.has(slot) for slot in range(4)] == [True, False, True, False]
    assert node.weight(1) is None
    assert not node.is_constant(0) and node.is_constant(2)


def test_constants_are_needed_or_used() -> None:
    node = view("x", "weight", "map")
    assert node.constant(1).shape == (3, 1, 1)
    with pytest.raises(BadInputError, match=r"node n \(Some\): its input x must be a constant"):
        node.constant(0)
    assert node.tensor(0) is node.tensor(0)
    node.weight(1), node.tensor(2)
    assert [name for name, _ in node.tracer.root.named_parameters()] == ["weight"]
    assert [name for name, _ in node.tracer.root.named_buffers()] == ["map"]
    assert not node.is_constant(1)  # a call uses it now


def test_what_several_nodes_share_trains_if_one_of_them_trains_it() -> None:
    node = view("x", "map", "whole")
    shared = node.tensor(1)
    assert [name for name, _ in node.tracer.root.named_buffers()] == ["map"]
    assert node.weight(1) is shared
    assert [name for name, _ in node.tracer.root.named_parameters()] == ["map"]
    assert not list(node.tracer.root.buffers())
    node.tensor(2), node.weight(2)
    assert [name for name, _ in node.tracer.root.named_buffers()] == ["whole"]
    assert node.constant(2).tolist() == [2, 3], "a setting of one node may be a value of another"


def test_whole_numbers_do_not_train() -> None:
    node = view("x", "whole")
    node.weight(1)
    assert not list(node.tracer.root.parameters())


@pytest.mark.parametrize(
    ("name", "bound", "kind"),
    [
        ("number", (), "number"),
        ("wide", (), "buffer"),  # as a number it would not widen
        ("weight", (), "parameter"),
        ("map", (), "buffer"),
        ("map", ("map",), "parameter"),
    ],
)
def test_operands(name: str, bound: tuple[str, ...], kind: str) -> None:
    node = view("x", name, bound=bound)
    found = node.operand(1)
    root = node.tracer.root
    named = {"parameter": root.named_parameters(), "buffer": root.named_buffers()}
    assert {k: [n for n, _ in v] for k, v in named.items()} == {
        k: [name] if k == kind else [] for k in named
    }
    assert (found == 0.5) == (kind == "number")


def test_an_input_from_nowhere_is_named() -> None:
    with pytest.raises(BadInputError, match="its input gone comes from an output"):
        view("gone").tensor(0)


def test_a_batch_of_one_is_not_gathered_over() -> None:
    node = view("x")
    assert node.within_image(node.tensor(0), (0, 2, -1)) == (2, -1)
    assert node.within_image(node.tensor(0), (-4, 1)) == (1,)
    pair = node.emit(torch.cat, [node.tensor(0)] * 2)
    assert node.within_image(pair, (0, 2)) == (0, 2)


def test_the_last_call_is_named_after_the_output() -> None:
    node = view("x")
    x = node.tensor(0)
    step, last = node.step(torch.relu, x), node.emit(operator.mul, x, 2)
    assert last.name == "y" and step.name != "y"
    assert node.shape(last) == (1, 3, 8, 6) and node.rank(last) == 4
    assert node.dtype(last) == torch.float32
