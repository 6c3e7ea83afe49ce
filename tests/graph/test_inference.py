"""Shapes, unknown operators, names that subgraphs capture."""

import numpy as np
import onnx
import pytest

from decig.errors import BadInputError
from decig.graph.inference import infer_shapes, inputs_of, opset, require_operators, shapes
from decig.graph.model import normalise
from tests.graph.tiny import parse, tiny


def test_shapes_of_all_values():
    proto = tiny("a = Conv(x, w)\n y = Relu(a)", w=(5, 3, 3, 3))
    assert shapes(proto) == {
        "x": (1, 3, 8, 8),
        "w": (5, 3, 3, 3),
        "a": (1, 5, 6, 6),
        "y": (1, 5, 6, 6),
    }


def test_claims_of_the_file_are_forgotten():
    proto = tiny("a = Conv(x, w)\n y = Relu(a)", w=(5, 3, 3, 3))
    for value in proto.graph.value_info:
        value.type.tensor_type.shape.dim[1].dim_value = 99
    assert shapes(infer_shapes(proto))["a"] == (1, 5, 6, 6)


def test_weights_are_not_needed_but_short_constants_are_read():
    proto = tiny("a = Conv(x, w)\n y = Reshape(a, s)", w=(64, 3, 3, 3), s=[1, 64, 4, 9])
    weight = next(tensor for tensor in proto.graph.initializer if tensor.name == "w")
    weight.ClearField("raw_data")
    assert shapes(infer_shapes(proto))["y"] == (1, 64, 4, 9)


@pytest.mark.parametrize(
    ("node", "constants"),
    [
        ("GroupNormalization<num_groups=1>(x, s, h)", {"s": (3,), "h": (3,)}),
        ("MeanVarianceNormalization(x)", {}),
    ],
)
def test_functions_that_onnx_does_not_infer_have_the_shape_of_their_input(
    node: str, constants: dict
):
    proto = tiny(f"a = {node}\n y = Relu(a)", opset=21, **constants)
    assert shapes(proto)["a"] == shapes(proto)["y"] == (1, 3, 8, 8)


def test_behind_a_foreign_operator_shapes_are_unknown():
    proto = tiny(
        "a = own.Odd(x)\n b = Relu(a)\n y = Relu(x)", outputs="float[N,C,H,W] b, float[N,C,H,W] y"
    )
    known = shapes(proto)
    assert "a" not in known
    assert known["y"] == (1, 3, 8, 8)


def test_shapes_that_contradict_each_other():
    proto = parse("y = Add(x, k)", k=(4, 1, 1))
    with pytest.raises(onnx.shape_inference.InferenceError):
        infer_shapes(proto)


def test_opset():
    proto = parse("y = Relu(x)", opset=13)
    assert opset(proto) == 13
    del proto.opset_import[:]
    assert opset(proto) == 1


@pytest.mark.parametrize(
    ("operator", "version"),
    [("ImageScaler<scale=1.0>", 7), ("Upsample", 10), ("Relou", 17), ("GroupNormalization", 18)],
)
def test_operators_that_onnx_lacks_are_named(operator: str, version: int):
    proto = parse(f"[odd] y = {operator}(x)", opset=version)
    kind = operator.partition("<")[0]
    with pytest.raises(
        BadInputError, match=rf"^operator {kind} \(node 'odd'\) is not in ONNX opset"
    ):
        require_operators(proto)


def test_operators_inside_subgraphs_are_looked_at():
    branch = "g () => (float[N,C,H,W] {0}) {{ {0} = {1}(x) }}"
    then, other = branch.format("t", "Relu"), branch.format("e", "Crop")
    proto = parse(
        f"y = If(flag) <then_branch = {then}, else_branch = {other}>",
        inputs="float[1,3,8,8] x, bool flag",
    )
    with pytest.raises(BadInputError, match=r"^operator Crop \(node 'e'\)"):
        require_operators(proto)
    assert set(inputs_of(proto.graph.node[0])) == {"flag", "x", "t", "e"}


def test_operators_of_other_domains_are_nobodys_business():
    require_operators(parse("y = own.Odd(x)"))


def test_a_float_constant_that_inference_reads_is_kept():
    proto = tiny("y = Resize(x, , scales)", scales=np.array([1, 1, 2, 2], np.float32))
    assert shapes(normalise(proto))["y"] == (1, 3, 16, 16)
