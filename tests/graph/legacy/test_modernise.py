"""Chains of old operators, element types, opsets that ONNX Runtime no longer runs."""

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from decig.errors import BadInputError
from decig.graph.channels import analyse
from decig.graph.inference import opset
from decig.graph.legacy import modernise
from decig.graph.model import normalise
from tests.graph.tiny import keep, parse, run, worst_difference
from tests.samples import generator

IMAGE = np.random.default_rng(0).normal(size=(1, 3, 8, 8)).astype(np.float32)


def operators(proto: onnx.ModelProto) -> list[str]:
    return [node.op_type for node in proto.graph.node]


def test_current_graphs_are_left_alone():
    proto = parse("[c] a = Conv(x, w)\n y = Relu(a)", w=(3, 3, 1, 1))
    before = proto.SerializeToString()
    assert modernise(proto).SerializeToString() == before


def test_a_chain_of_old_operators():
    body = """
        [prepare] a = ImageScaler<scale=0.5, bias=[1.0, 2.0, 3.0]>(x)
        [cut] b = Crop<border=[1,1,1,1]>(a)
        [stretch] y = Affine<alpha=150.0, beta=3.0>(b)
    """
    wanted = run(parse(body, opset=7), {"x": IMAGE})[0]
    fresh = normalise(parse(body, opset=7))
    assert operators(fresh) == ["Mul", "Add", "Slice", "Mul", "Add"]
    assert {"prepare", "cut", "stretch"} < {node.name for node in fresh.graph.node}
    np.testing.assert_allclose(run(fresh, {"x": IMAGE})[0], wanted, rtol=1e-6)


@pytest.mark.parametrize(("kind", "dtype"), [("float16", np.float16), ("double", np.float64)])
def test_constants_have_the_type_of_the_values(kind: str, dtype: type):
    body = "a = Crop<border=[1,0,0,0]>(x)\n y = Affine<alpha=2.0, beta=1.0>(a)"
    proto = parse(body, inputs=f"{kind}[1,3,8,8] x", outputs=f"{kind}[N,C,H,W] y", opset=7)
    found = run(normalise(proto), {"x": IMAGE.astype(dtype)})[0]
    np.testing.assert_array_equal(found, IMAGE.astype(dtype)[..., 1:] * 2 + 1)


def test_an_operator_without_a_rule_stays():
    assert operators(modernise(parse('y = ATen<operator="relu">(x)', opset=7))) == ["ATen"]


# --- opsets before 7 --------------------------------------------------------------------------


def ancient(version: int, *nodes: onnx.NodeProto, **constants: np.ndarray) -> onnx.ModelProto:
    """Graph as files of 2017 have it: every initializer is an input too."""
    tensors = [numpy_helper.from_array(array, name) for name, array in constants.items()]
    inputs = [helper.make_tensor_value_info(t.name, t.data_type, t.dims) for t in tensors]
    graph = helper.make_graph(
        list(nodes),
        "ancient",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, IMAGE.shape), *inputs],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, None)],
        tensors,
    )
    opsets = [helper.make_opsetid("", version)]
    return helper.make_model(graph, opset_imports=opsets, ir_version=3)


def lifted(proto: onnx.ModelProto) -> np.ndarray:
    fresh = normalise(proto)
    assert opset(fresh) == 7
    return run(fresh, {"x": IMAGE})[0]


@pytest.mark.parametrize("version", [1, 3, 6])
def test_broadcasting_by_attributes(version: int):
    bias = np.array([1.0, 2.0, 3.0], np.float32)
    node = helper.make_node("Add", ["x", "b"], ["y"], broadcast=1, axis=1)
    np.testing.assert_array_equal(
        lifted(ancient(version, node, b=bias)), IMAGE + bias.reshape(3, 1, 1)
    )


@pytest.mark.parametrize("version", [1, 6])
def test_a_slope_per_channel(version: int):
    slope = np.array([0.5, 0.25, 0.125], np.float32)
    node = helper.make_node("PRelu", ["x", "slope"], ["y"])
    wanted = np.where(IMAGE > 0, IMAGE, IMAGE * slope.reshape(3, 1, 1))
    np.testing.assert_array_equal(lifted(ancient(version, node, slope=slope)), wanted)


@pytest.mark.parametrize("version", [1, 2, 6])
def test_padding(version: int):
    name = "paddings" if version == 1 else "pads"
    node = helper.make_node("Pad", ["x"], ["y"], **{name: [0, 0, 1, 2, 0, 0, 3, 4]})
    wanted = np.pad(IMAGE, [(0, 0), (0, 0), (1, 3), (2, 4)])
    np.testing.assert_array_equal(lifted(ancient(version, node)), wanted)


@pytest.mark.parametrize("version", [1, 4])
def test_a_shape_as_an_attribute(version: int):
    node = helper.make_node("Reshape", ["x"], ["y"], shape=[1, -1])
    np.testing.assert_array_equal(lifted(ancient(version, node)), IMAGE.reshape(1, -1))


def test_upsampling_by_two_factors():
    node = helper.make_node("Upsample", ["x"], ["y"], height_scale=2.0, width_scale=3.0)
    wanted = IMAGE.repeat(2, 2).repeat(3, 3)
    np.testing.assert_array_equal(lifted(ancient(6, node)), wanted)


def test_what_cannot_be_lifted_is_named():
    node = helper.make_node("Reshape", ["x"], ["y"], shape=[1, -1])  # an input since opset 5
    with pytest.raises(BadInputError, match="opset 6 is from before 2018 and cannot be converted"):
        normalise(ancient(6, node))


@pytest.mark.parametrize("version", [1, 4, 6, 7, 8, 12, 26])
def test_a_generator_of_any_opset_is_cut(version: int):
    proto = generator(size=12)
    proto.opset_import[0].version = version
    fresh = normalise(proto)
    channels = analyse(fresh)
    plan = keep(channels, conv1=[0, 2, 5, 7], conv2=[1, 2, 3, 4])
    assert worst_difference(fresh, channels, plan) <= 1e-5
