"""Small ONNX graphs, run by ONNX Runtime and by the trainable module."""

from typing import Any

import numpy as np
import onnx
import pytest
import torch
from onnx import helper, numpy_helper

from decig.errors import BadInputError
from decig.graph.model import infer_shapes, normalise
from decig.training.trainable.module import build_module
from tests.runtime import open_plain


def one_node(
    op_type: str,
    *inputs: np.ndarray | None,
    constants: dict[int, Any] | None = None,
    opset: int = 18,
    outputs: int = 1,
    **attributes: Any,
) -> onnx.ModelProto:
    """A graph of one node: `inputs` are live, `constants` sit in the input slots they name."""
    constants = {slot: np.asarray(value) for slot, value in (constants or {}).items()}
    live = iter(inputs)
    slots = range(len(inputs) + len(constants))
    slots = range(max([*constants, *slots], default=-1) + 1)
    names, values, initializers = [], [], []
    for slot in slots:
        name = f"in{slot}"
        if slot in constants:
            initializers.append(numpy_helper.from_array(constants[slot], name))
        elif (array := next(live, None)) is not None:
            kind = helper.np_dtype_to_tensor_dtype(array.dtype)
            values.append(helper.make_tensor_value_info(name, kind, array.shape))
        else:
            name = ""
        names.append(name)
    out = [f"out{index}" for index in range(outputs)]
    node = helper.make_node(op_type, names, out, name="the_node", **attributes)
    results = [helper.make_empty_tensor_value_info(name) for name in out]
    graph = helper.make_graph([node], "one", values, results, initializers)
    opsets = [helper.make_opsetid("", opset), helper.make_opsetid("com.microsoft", 1)]
    model = helper.make_model(graph, opset_imports=opsets, ir_version=8)
    if attributes.get("domain"):
        return infer_shapes(model)  # ONNX itself knows nothing of these
    return typed(model)


def typed(model: onnx.ModelProto) -> onnx.ModelProto:
    """Let ONNX infer the shapes, those of the outputs included."""
    model.ir_version = 8
    return onnx.shape_inference.infer_shapes(model, strict_mode=True, data_prop=True)


def run_ort(proto: onnx.ModelProto, *inputs: np.ndarray) -> list[np.ndarray]:
    """Outputs of ONNX Runtime, without its optimisations."""
    session = open_plain(proto, optimise=False)
    names = [value.name for value in session.get_inputs()]
    return session.run(None, dict(zip(names, inputs, strict=True)))


def assert_parity(proto: onnx.ModelProto, *inputs: np.ndarray, tolerance: float = 1e-5) -> None:
    """Check that the module of a graph gives what ONNX Runtime gives."""
    expected = run_ort(proto, *inputs)
    module = build_module(proto).eval()
    with torch.no_grad():
        found = module(*map(torch.from_numpy, inputs))
    for left, right in zip(found, expected, strict=True):
        assert_close(left.numpy(), right, tolerance)


def assert_close(found: np.ndarray, expected: np.ndarray, tolerance: float = 1e-5) -> None:
    """Check two arrays, relative to the largest value expected."""
    assert found.shape == expected.shape
    scale = np.abs(expected).max(initial=1e-3)
    np.testing.assert_allclose(found, expected, rtol=0, atol=tolerance * scale)


def parsed(body: str, *inputs: tuple[int, ...], opset: int = 18, **weights: Any) -> onnx.ModelProto:
    """A graph from ONNX text that computes y from x, x1, ...; `weights` are initializers."""
    names = ["x", *(f"x{index}" for index in range(1, len(inputs)))]
    declared = ", ".join(
        f"float[{','.join(map(str, shape))}] {name}"
        for name, shape in zip(names, inputs, strict=True)
    )
    head = f'<ir_version: 8, opset_import: ["": {opset}]> g ({declared}) => (float y)'
    model = onnx.parser.parse_model(f"{head} {{ {body} }}")
    for name, value in weights.items():
        model.graph.initializer.append(numpy_helper.from_array(np.asarray(value), name))
    model.graph.output[0].type.tensor_type.ClearField("shape")
    return normalise(onnx.shape_inference.infer_shapes(model, data_prop=True))


def assert_refused(op_type: str, *inputs: np.ndarray, message: str, **arguments: Any) -> None:
    """Check that a setting is refused in one line that names the node."""
    with pytest.raises(BadInputError, match=rf"^[^\n]*node the_node [^\n]*{message}[^\n]*$"):
        build_module(one_node(op_type, *inputs, **arguments))
