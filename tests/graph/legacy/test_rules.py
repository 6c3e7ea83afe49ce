"""Every rule against ONNX Runtime where it still runs the old operator, else against NumPy."""

from typing import Any

import numpy as np
import onnx
import pytest
from onnx import helper, numpy_helper

from decig.errors import BadInputError
from decig.graph.legacy import modernise
from decig.graph.model import normalise
from tests.graph.tiny import run

IMAGE = np.random.default_rng(0).normal(size=(2, 4, 6, 7)).astype(np.float32)

EXPERIMENTS = [
    ("ImageScaler", {"scale": 2.0, "bias": [1.0, -2.0, 3.0, 0.5]}),
    ("Crop", {"border": [1, 2, 3, 0]}),
    ("Crop", {"border": [1, 2, 0, 1], "scale": [3, 2]}),
    ("Affine", {"alpha": 2.0, "beta": -1.5}),
    ("Scale", {"scale": 2.0}),
    ("ParametricSoftplus", {"alpha": 2.0, "beta": 1.5}),
    ("ScaledTanh", {"alpha": 2.0, "beta": 1.5}),
    ("ThresholdedRelu", {"alpha": 0.5}),
    ("MeanVarianceNormalization", {}),
    ("MeanVarianceNormalization", {"across_channels": 1}),
    ("MeanVarianceNormalization", {"normalize_variance": 0}),
]


def old(
    operator: str, opset: int, attributes: dict[str, Any], **constants: np.ndarray
) -> onnx.ModelProto:
    """Graph of one old operator on `IMAGE`."""
    node = helper.make_node(operator, ["x", *constants], ["y"], name="old", **attributes)
    graph = helper.make_graph(
        [node],
        "old",
        [helper.make_tensor_value_info("x", onnx.TensorProto.FLOAT, IMAGE.shape)],
        [helper.make_tensor_value_info("y", onnx.TensorProto.FLOAT, None)],
        [numpy_helper.from_array(array, name) for name, array in constants.items()],
    )
    opsets = [helper.make_opsetid("", opset)]
    return helper.make_model(graph, opset_imports=opsets, ir_version=4)


def now(proto: onnx.ModelProto) -> np.ndarray:
    """Output of the modernised graph, which ONNX must accept."""
    fresh = normalise(proto)
    onnx.checker.check_model(fresh, full_check=True)
    assert "old" in [node.name for node in fresh.graph.node]
    return run(fresh, {"x": IMAGE})[0]


def same(found: np.ndarray, wanted: np.ndarray) -> None:
    np.testing.assert_allclose(found, wanted, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("opset", [7, 8])
@pytest.mark.parametrize(("operator", "attributes"), EXPERIMENTS)
def test_experiments(operator: str, attributes: dict[str, Any], opset: int):
    proto = old(operator, opset, attributes)
    wanted = run(proto, {"x": IMAGE})[0]
    same(now(proto), wanted)


def test_a_slice_by_constant_inputs():
    bounds = {"starts": [0, 1], "ends": [3, 5], "axes": [1, 2]}
    arrays = {name: np.array(values, np.int64) for name, values in bounds.items()}
    wanted = run(old("DynamicSlice", 9, {}, **arrays), {"x": IMAGE})[0]
    same(now(old("DynamicSlice", 9, {}, **arrays)), wanted)
    assert wanted.shape == (2, 3, 4, 7)


def test_a_slice_by_computed_inputs_is_refused():
    proto = old("DynamicSlice", 9, {}, starts=np.zeros(1, np.int64))
    proto.graph.node[0].input.append("x")
    with pytest.raises(BadInputError, match="with a computed input x has no current form"):
        modernise(proto)


@pytest.mark.parametrize("opset", [10, 11, 18, 22])
@pytest.mark.parametrize("mode", ["nearest", "linear"])
def test_upsample(opset: int, mode: str):
    scales = np.array([1, 1, 2, 3], np.float32)
    wanted = run(old("Upsample", 9, {"mode": mode}, scales=scales), {"x": IMAGE})[0]
    same(now(old("Upsample", opset, {"mode": mode}, scales=scales)), wanted)
    written = {"mode": mode, "scales": scales.tolist()}
    same(now(old("Upsample", opset, written)), wanted)


@pytest.mark.parametrize("opset", [6, 7, 8])
def test_a_batch_normalization_of_every_position(opset: int):
    random = np.random.default_rng(1)
    names = ("scale", "shift", "mean", "variance")
    arrays = {n: random.uniform(0.5, 2.0, IMAGE.shape[1:]).astype(np.float32) for n in names}
    settings = {"spatial": 0, "epsilon": 1e-2}
    wanted = run(old("BatchNormalization", 7, settings, **arrays), {"x": IMAGE})[0]
    same(now(old("BatchNormalization", opset, settings, **arrays)), wanted)


def test_the_first_group_normalization():
    scale, bias = np.array([2.0, 3.0], np.float32), np.array([1.0, -1.0], np.float32)
    proto = old("GroupNormalization", 18, {"num_groups": 2}, scale=scale, bias=bias)
    groups = IMAGE.reshape(2, 2, 2, 6, 7).astype(np.float64)
    axes = (2, 3, 4)
    normed = (groups - groups.mean(axes, keepdims=True)) / np.sqrt(
        groups.var(axes, keepdims=True) + 1e-5
    )
    per_group = (1, 2, 1, 1, 1)
    wanted = normed * scale.reshape(per_group) + bias.reshape(per_group)
    same(now(proto), wanted.reshape(IMAGE.shape))
