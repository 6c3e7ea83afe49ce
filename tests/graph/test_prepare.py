"""Files as exporters write them: functions, sparse weights, any order, any claim."""

import re

import numpy as np
import onnx
import pytest
from onnx import helper, numpy_helper

from decig.errors import BadInputError
from decig.graph.model import initializers, input_info, normalise, output_info
from tests.graph.tiny import parse, run


def test_initializers_listed_as_inputs_are_no_inputs():
    proto = parse(
        "a = Conv(x, w1, b1)\n y = Conv(a, w2)", w1=(8, 3, 3, 3), b1=(8,), w2=(3, 8, 1, 1)
    )
    proto.ir_version = 3
    for tensor in proto.graph.initializer:
        proto.graph.input.append(
            helper.make_tensor_value_info(tensor.name, tensor.data_type, tensor.dims)
        )
    assert [value.name for value in normalise(proto).graph.input] == ["x"]


def test_functions_of_the_file_are_inlined():
    proto = parse("y = own.Twice(x)")
    body = [helper.make_node("Add", ["a", "a"], ["b"])]
    opsets = [helper.make_operatorsetid("", 17)]
    proto.functions.append(helper.make_function("own", "Twice", ["a"], ["b"], body, opsets))
    assert [node.op_type for node in normalise(proto).graph.node] == ["Add"]


def test_the_default_domain_has_one_name():
    proto = parse("a = Relu(x)\n y = own.Odd(a)")
    proto.graph.node[0].domain = proto.opset_import[0].domain = "ai.onnx"
    proto.opset_import.append(helper.make_opsetid("", 13))
    fresh = normalise(proto)
    assert [node.domain for node in fresh.graph.node] == ["", "own"]
    versions = [(e.domain, e.version) for e in fresh.opset_import if e.domain in ("", "ai.onnx")]
    assert versions == [("", 17)]


def test_nodes_in_any_order_are_sorted():
    proto = parse("a = Relu(x)\n b = Neg(a)\n y = Abs(b)")
    wanted = run(proto)[0]
    nodes = [onnx.NodeProto.FromString(n.SerializeToString()) for n in reversed(proto.graph.node)]
    del proto.graph.node[:]
    proto.graph.node.extend(nodes)
    fresh = normalise(proto)
    assert [node.op_type for node in fresh.graph.node] == ["Relu", "Neg", "Abs"]
    assert np.array_equal(run(fresh)[0], wanted)


@pytest.mark.parametrize("places", [[1, 5], [[0, 1], [1, 2]]])
def test_sparse_initializers_are_written_out(places: list):
    proto = parse("y = Add(x, k)", outputs="float[A,B] y", inputs="float[2,3] x")
    values = numpy_helper.from_array(np.array([2.0, 4.0], np.float32), "k")
    indices = numpy_helper.from_array(np.array(places, np.int64), "where")
    proto.graph.sparse_initializer.append(helper.make_sparse_tensor(values, indices, [2, 3]))
    dense = initializers(normalise(proto))["k"]
    np.testing.assert_array_equal(dense, [[0, 2, 0], [0, 0, 4]])


@pytest.mark.parametrize("version", [0, -3, 2**40])
def test_an_opset_that_does_not_exist(version: int):
    proto = parse("y = Relu(x)")
    proto.opset_import[0].version = version
    with pytest.raises(BadInputError, match=f"opset {version}: there is no such operator set"):
        normalise(proto)


def test_an_output_without_a_shape_gets_one():
    proto = parse("y = Relu(x)")
    proto.graph.output[0].type.tensor_type.ClearField("shape")
    assert output_info(normalise(proto))[0].shape == [1, 3, 8, 8]


def test_a_wrong_claim_about_an_output_is_forgotten():
    for claim in ("float[1,3,9,9] y", "float[7] y", "float[A] y"):
        proto = normalise(parse("y = Relu(x)", outputs=claim))
        assert output_info(proto)[0].shape == [1, 3, 8, 8]


@pytest.mark.parametrize(
    ("stated", "asked", "refused"),
    [
        ("1,3,8,8", [1, 4, 8, 8], "3 channels (axis 1), not 4"),
        ("1,3,8,8", [1, 1, 8, 8], "3 channels (axis 1), not 1"),
        ("N,3,H,W", [2, 1, 16, 16], "3 channels (axis 1), not 1"),
        ("N,H,W,3", [1, 16, 16, 1], "3 channels (axis 3), not 1"),
        ("1,8,8,3", [1, 16, 16, 1], "3 channels (axis 3), not 1"),
        ("1,64,8,8", [1, 32, 8, 8], "64 channels (axis 1), not 32"),
        ("1,3,8,8", [4, 3, 16, 24], ""),
        ("4,3,8,8", [1, 3, 8, 8], ""),
        ("1,64,8,8", [1, 64, 16, 24], ""),
        ("1,8,8,3", [2, 16, 24, 3], ""),
        ("N,C,H,W", [1, 5, 16, 24], ""),
        ("N,C,8,W", [1, 5, 16, 16], ""),
        ("1,12", [1, 16], ""),
    ],
)
def test_the_channels_of_a_picture_are_those_of_the_file(stated, asked, refused):
    """The mean of every colour would be taken from a single channel three times."""
    proto = parse("y = Sub(x, mean)", inputs=f"float[{stated}] x", mean=np.float32([0.5]))
    if refused:
        text = ",".join(map(str, asked))
        wanted = re.escape(f"--input-shape x:{text}: this input has {refused}")
        with pytest.raises(BadInputError, match=f"^{wanted}$"):
            normalise(proto, {"x": asked})
    else:
        assert output_info(normalise(proto, {"x": asked}))[0].shape == asked


def test_sizes_without_a_name_are_for_an_only_input():
    one = parse("y = Relu(x)", inputs="float[N,3,H,W] x", outputs="float[N,3,H,W] y")
    static = normalise(one, {"": [1, 3, 8, 8]})
    assert input_info(static)[0].shape == [1, 3, 8, 8]
    two = parse("y = Add(x, z)", inputs="float[N,3] x, float[N,3] z", outputs="float[N,3] y")
    with pytest.raises(
        BadInputError, match=r"--input-shape 1,3 needs the name of its input \(x, z\)"
    ):
        normalise(two, {"": [1, 3]})
