"""Small graphs for the rewrite rules, and their outputs before and after."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import onnx
from onnx import NodeProto, TensorProto, helper, numpy_helper, shape_inference

from decig.graph.model import ValueInfo, input_info, normalise
from decig.graph.rewrite import Applied, apply
from tests.runtime import open_plain


class Net:
    """Collects nodes and random weights; `x` is the input, `finish` gives the normal form."""

    def __init__(
        self, *shape: int, opset: int = 18, seed: int = 0, dtype: Any = np.float32
    ) -> None:
        self.random = np.random.default_rng(seed)
        self.dtype = np.dtype(dtype)
        self._shape = shape
        self.opset = opset
        self._nodes: list[NodeProto] = []
        self._constants: list[TensorProto] = []

    def weights(self, *shape: int) -> str:
        """Normal, scaled so that a convolution keeps the variance."""
        fan_in = np.prod(shape[1:], dtype=int) if len(shape) > 1 else 1
        return self.constant(self.random.normal(size=shape) / np.sqrt(fan_in))

    def constant(self, array: Any, kind: Any = None) -> str:
        """Of the type of `x` unless told otherwise."""
        name = f"constant_{len(self._constants)}"
        values = np.array(array, self.dtype if kind is None else kind)
        self._constants.append(numpy_helper.from_array(values, name))
        return name

    def node(self, op_type: str, *inputs: str, name: str | None = None, **attributes: Any) -> str:
        """Append a node; its output is called like the node."""
        name = name or f"{op_type.lower()}_{len(self._nodes)}"
        self._nodes.append(helper.make_node(op_type, inputs, [name], name=name, **attributes))
        return name

    def finish(self, *outputs: str) -> onnx.ModelProto:
        kind = helper.np_dtype_to_tensor_dtype(self.dtype)
        graph = helper.make_graph(
            self._nodes,
            "net",
            [helper.make_tensor_value_info("x", kind, self._shape)],
            [helper.make_tensor_value_info(name, kind, None) for name in outputs],
            self._constants,
        )
        opsets = [helper.make_opsetid("", self.opset)]
        model = helper.make_model(graph, opset_imports=opsets, ir_version=8)
        return normalise(shape_inference.infer_shapes(model))


def run(proto: onnx.ModelProto, image: np.ndarray | None = None) -> list[np.ndarray]:
    """Outputs on an image [N, C, H, W], or on normally distributed inputs."""
    random = np.random.default_rng(1)

    def draw(value: ValueInfo) -> np.ndarray:
        values = random.normal(size=value.shape)
        return (values * 10 if value.dtype.kind in "iu" else values).astype(value.dtype)

    feeds = {v.name: draw(v) if image is None else image for v in input_info(proto)}
    return list(open_plain(proto).run(None, feeds))


def rewritten(
    proto: onnx.ModelProto, *rules: str, tolerance: float = 1e-5
) -> tuple[onnx.ModelProto, list[Applied]]:
    """Apply `rules` (all if none are named) and check names and parity.

    The largest difference must be at most `tolerance` of the range of the outputs.
    """
    before = proto.SerializeToString()
    after, applied = apply(proto, rules or None)
    assert proto.SerializeToString() == before, "the argument was changed"
    onnx.checker.check_model(after, full_check=True)
    assert [v.name for v in after.graph.input] == [v.name for v in proto.graph.input]
    assert [v.name for v in after.graph.output] == [v.name for v in proto.graph.output]
    names = [node.name for node in after.graph.node]
    assert len(names) == len(set(names)) and all(names)
    old = {node.name for node in proto.graph.node}
    named = [*names, *(entry.node for entry in applied)]
    assert all(name in old or any(name.startswith(f"{o}/") for o in old) for name in named)
    for expected, actual in zip(run(proto), run(after), strict=True):
        assert expected.shape == actual.shape
        assert np.abs(expected - actual).max() <= tolerance * np.ptp(expected)
    return after, applied


def operators(proto: onnx.ModelProto) -> list[str]:
    """Operator types in order."""
    return [node.op_type for node in proto.graph.node]


def unchanged(proto: onnx.ModelProto, rule: str) -> bool:
    """Whether the rule finds nothing to do."""
    after, applied = apply(proto, [rule])
    return not applied and operators(after) == operators(proto)


def names(proto: onnx.ModelProto) -> Sequence[str]:
    """Node names in order."""
    return [node.name for node in proto.graph.node]
