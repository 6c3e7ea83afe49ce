"""Computed sizes instead of constants again: fitting, names, what cannot be done."""

import numpy as np
import onnx
import pytest
from onnx import NodeProto, TensorProto, helper, numpy_helper

from decig.graph.computed import NotComputedError, restore
from tests.graph.tiny import run, tiny

SHAPE = [helper.make_node("Shape", ["x"], ["s"], name="shape")]
IMAGE = {"x": np.random.default_rng(0).normal(size=(1, 3, 8, 8)).astype(np.float32)}


def tensors(**arrays: list[int]) -> dict[str, TensorProto]:
    return {
        name: numpy_helper.from_array(np.array(array, np.int64), name)
        for name, array in arrays.items()
    }


def restored(
    proto: onnx.ModelProto, nodes: list[NodeProto], **constants: list[int]
) -> onnx.ModelProto:
    """Have `proto`'s constant `to` computed as `s`; the graph must compute the same."""
    before = proto.SerializeToString()
    opened = restore(proto, {"to": "s"}, nodes, tensors(**constants))
    assert proto.SerializeToString() == before
    onnx.checker.check_model(opened)
    assert "to" not in [tensor.name for tensor in opened.graph.initializer]
    np.testing.assert_array_equal(run(opened, IMAGE)[0], run(proto, IMAGE)[0])
    return opened


def operators(proto: onnx.ModelProto) -> list[str]:
    return [node.op_type for node in proto.graph.node]


def test_nothing_to_do():
    proto = tiny("y = Relu(x)")
    assert restore(proto, {}, SHAPE, {}) == proto


def test_an_equal_value_is_read_as_it_is():
    opened = restored(tiny("y = Expand(x, to)", to=[1, 3, 8, 8]), SHAPE)
    assert operators(opened) == ["Shape", "Expand"]


def test_another_value_is_fitted():
    opened = restored(tiny("y = Reshape(x, to)", to=[1, 6, 4, 8]), SHAPE)
    assert operators(opened) == ["Shape", "Mul", "Div", "Reshape"]


def test_a_zero_stays():
    proto = tiny("y = Reshape(x, to)", outputs="float[A,B,C] y", to=[0, 6, 32])
    nodes = [
        helper.make_node("Shape", ["x"], ["four"]),
        helper.make_node("Slice", ["four", "from", "to_"], ["two"]),
        helper.make_node("Concat", ["zero", "two"], ["s"], axis=0),
    ]
    opened = restored(proto, nodes, zero=[0], **{"from": [1], "to_": [3]})
    assert operators(opened)[-3:] == ["Mul", "Div", "Reshape"]


def test_what_lost_entries_is_gathered():
    opened = restored(tiny("y = Tile(x, to)", to=[1, 3, 8, 8]), [*_long("s")], more=[5, 1, 9])
    assert operators(opened) == ["Shape", "Concat", "Gather", "Tile"]


def _long(name: str) -> list[NodeProto]:
    return [
        helper.make_node("Shape", ["x"], ["four"]),
        helper.make_node("Concat", ["more", "four"], [name], axis=0),
    ]


def test_names_of_the_graph_are_not_taken():
    proto = tiny("[shape] s = Relu(x)\n y = Expand(s, to)", to=[1, 3, 8, 8])
    opened = restored(proto, SHAPE)
    names = [name for node in opened.graph.node for name in (node.name, node.output[0])]
    assert len(set(names)) == len(names)


def test_nodes_come_in_order():
    """The size is that of a value made after the constant's first reader in the file."""
    body = """
        a = Expand(x, to)
        b = Relu(x)
        y = Add(a, b)
    """
    shape = [helper.make_node("Shape", ["b"], ["s"])]
    opened = restored(tiny(body, to=[1, 3, 8, 8]), shape)
    assert operators(opened) == ["Relu", "Shape", "Expand", "Add"]


@pytest.mark.parametrize(
    ("nodes", "message"),
    [
        ([helper.make_node("Shape", ["lost"], ["s"])], "depends on lost, which is not in it"),
        ([helper.make_node("Odd", ["x"], ["s"])], "s cannot be computed"),
        (
            [helper.make_node("Shape", ["x"], ["four"]), helper.make_node("Size", ["x"], ["s"])],
            "to is computed from sizes and was changed",
        ),
    ],
)
def test_what_cannot_be_done(nodes: list[NodeProto], message: str):
    proto = tiny("y = Expand(x, to)", to=[1, 3, 8, 8])
    with pytest.raises(NotComputedError, match=message):
        restore(proto, {"to": "s"}, nodes, {})
