"""What becomes a constant, and what must not."""

import numpy as np
from onnx import TensorProto, helper

from decig.graph.model import initializers, normalise, shapes
from tests.graph.tiny import run, tiny


def test_shape_arithmetic_is_folded():
    body = """
        s = Shape(x)
        h = Slice(s, two, three)
        t = Concat<axis=0>(one, one, minus)
        u = Concat<axis=0>(t, h)
        y = Reshape(x, u)
    """
    proto = tiny(body, two=[2], three=[3], one=[1], minus=[-1])
    assert [node.op_type for node in proto.graph.node] == ["Reshape"]
    assert shapes(proto)["y"] == (1, 1, 24, 8)


def test_batch_normalization_is_kept():
    body = "a = Conv(x, w)\n y = BatchNormalization(a, s, h, m, v)"
    proto = tiny(body, w=(4, 3, 1, 1), s=(4,), h=(4,), m=(4,), v=np.ones(4, np.float32))
    assert [node.op_type for node in proto.graph.node] == ["Conv", "BatchNormalization"]


def test_noise_is_not_folded_and_sequences_are_taken_apart():
    body = """
        n = RandomNormal<shape=[1,3,8,8]>()
        s = SequenceConstruct(n, k)
        e = SequenceAt(s, first)
        y = Add(x, e)
    """
    proto = tiny(body, k=(1, 3, 8, 8), first=np.int64(0))
    found = [node.op_type for node in proto.graph.node]
    assert found == ["RandomNormal", "Identity", "Add"]
    constant = tiny(
        "s = SequenceConstruct(k, k)\n e = SequenceAt(s, k0)\n y = Add(x, e)",
        k=(1, 3, 8, 8),
        k0=np.int64(0),
    )
    assert run(constant)[0].shape == (1, 3, 8, 8)


def test_constants_written_as_numbers_and_parts_of_a_shape_are_folded_right() -> None:
    nodes = [
        helper.make_node("Shape", ["x"], ["size"], start=2),
        helper.make_node("Constant", [], ["twice"], value_ints=[2, 2]),
        helper.make_node("Mul", ["size", "twice"], ["grown"]),
        helper.make_node("Shape", ["x"], ["front"], end=2),
        helper.make_node("Concat", ["front", "grown"], ["sizes"], axis=0),
        helper.make_node("Resize", ["x", "", "", "sizes"], ["y"], mode="nearest"),
        helper.make_node("Constant", [], ["half"], value_float=0.5),
        helper.make_node("Mul", ["y", "half"], ["z"]),
    ]
    graph = helper.make_graph(
        nodes,
        "grow",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, 3, 4, 6])],
        [helper.make_tensor_value_info("z", TensorProto.FLOAT, [1, 3, 8, 12])],
    )
    opsets = [helper.make_opsetid("", 20)]
    proto = normalise(helper.make_model(graph, opset_imports=opsets, ir_version=10))
    assert [node.op_type for node in proto.graph.node] == ["Resize", "Mul"]
    assert shapes(proto)["z"] == (1, 3, 8, 12)
    assert {v.dtype for v in initializers(proto).values()} == {np.dtype("f4"), np.dtype("i8")}
