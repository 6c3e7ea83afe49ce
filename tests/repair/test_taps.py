from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from onnx import TensorProto, helper, numpy_helper, shape_inference

from decig.device.run.device import Device
from decig.repair.solve import as_matrix, features, from_matrix
from decig.repair.taps import columns, geometry

RNG = np.random.default_rng(0)


def one_layer(op: str, weight: np.ndarray, source: tuple[int, ...], **options: Any) -> Any:
    node = helper.make_node(op, ["x", "w"], ["y"], name="layer", **options)
    rank = len(source)
    graph = helper.make_graph(
        [node],
        "one",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, source)],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, [None] * rank)],
        [numpy_helper.from_array(weight, "w")],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=10)
    return node, shape_inference.infer_shapes(model)


def check(op: str, weight: np.ndarray, source: tuple[int, ...], **options: Any) -> None:
    node, model = one_layer(op, weight, source, **options)
    x = RNG.normal(size=source).astype(np.float32)
    expected = Device.of().open(model).run(None, {"x": x})[0]
    layout = geometry(node, source, weight.shape, expected.shape)
    read = columns(x[0], layout.taps(np.arange(layout.positions)))
    made = read.reshape(layout.positions, -1) @ as_matrix(node, weight)
    flat = expected[0].reshape(expected.shape[1], -1).T
    assert made == pytest.approx(flat, abs=1e-4)
    assert np.array_equal(from_matrix(node, as_matrix(node, weight), weight), weight)
    assert features(node, weight.shape) == len(as_matrix(node, weight))


@settings(max_examples=25, deadline=None, derandomize=True)
@given(
    op=st.sampled_from(["Conv", "ConvTranspose"]),
    kernel=st.tuples(st.integers(1, 4), st.integers(1, 3)),
    stride=st.integers(1, 3),
    dilation=st.integers(1, 2),
    pads=st.tuples(*[st.integers(0, 1)] * 4),
)
def test_columns_times_weights_is_what_onnx_runtime_computes(
    op: str, kernel: tuple[int, int], stride: int, dilation: int, pads: tuple[int, ...]
) -> None:
    weight = RNG.normal(size=(3, 2, *kernel)).astype(np.float32)
    if op == "Conv":
        weight = weight.swapaxes(0, 1).copy()
    options = {"strides": [stride] * 2, "dilations": [dilation] * 2, "pads": list(pads)}
    check(op, weight, (1, 3, 9, 8), **options)


@pytest.mark.parametrize("auto_pad", ["SAME_UPPER", "SAME_LOWER", "VALID"])
def test_automatic_padding(auto_pad: str) -> None:
    weight = RNG.normal(size=(2, 3, 4, 4)).astype(np.float32)
    check("Conv", weight, (1, 3, 9, 9), auto_pad=auto_pad, strides=[2, 2])


def test_transposed_with_an_output_shape() -> None:
    weight = RNG.normal(size=(3, 2, 3, 3)).astype(np.float32)
    check("ConvTranspose", weight, (1, 3, 5, 5), strides=[2, 2], output_shape=[10, 10])


def test_a_matrix_has_one_place_and_one_tap():
    layout = geometry(helper.make_node("Gemm", ["x", "w"], ["y"]), (1, 5), (4, 5), (1, 4))
    assert layout.taps(np.array([0])).tolist() == [[0]]
