"""Small graphs for the device tests."""

from collections.abc import Sequence

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper


class Builder:
    """Collects nodes and weights of a graph with one image input "x" and one output "y"."""

    def __init__(self, channels: int, size: int, seed: int = 0) -> None:
        self.rng = np.random.default_rng(seed)
        self.shape = [1, channels, size, size]
        self.nodes: list[onnx.NodeProto] = []
        self.constants: list[onnx.TensorProto] = []

    def constant(self, name: str, array: np.ndarray) -> str:
        self.constants.append(numpy_helper.from_array(array, name))
        return name

    def weight(self, name: str, *shape: int) -> str:
        return self.constant(name, self.rng.uniform(0.1, 0.5, shape).astype(np.float32))

    def node(self, op: str, inputs: Sequence[str], output: str, name: str = "", **given) -> str:
        self.nodes.append(
            helper.make_node(op, list(inputs), [output], name=name or output + "_node", **given)
        )
        return output

    def conv(self, source: str, name: str, inputs: int, outputs: int, output: str = "") -> str:
        weight = self.weight(f"{name}.weight", outputs, inputs, 3, 3)
        return self.node("Conv", [source, weight], output or f"{name}_out", name, pads=[1, 1, 1, 1])

    def norm(self, op: str, source: str, name: str, channels: int) -> str:
        count = {"BatchNormalization": 4, "InstanceNormalization": 2}[op]
        weights = [self.weight(f"{name}.{i}", channels) for i in range(count)]
        return self.node(op, [source, *weights], f"{name}_out", name)

    def build(self, outputs: int) -> onnx.ModelProto:
        graph = helper.make_graph(
            self.nodes,
            "small",
            [helper.make_tensor_value_info("x", TensorProto.FLOAT, self.shape)],
            [helper.make_tensor_value_info("y", TensorProto.FLOAT, [1, outputs, None, None])],
            self.constants,
        )
        opsets = [helper.make_opsetid("", 20)]
        return onnx.shape_inference.infer_shapes(
            helper.make_model(graph, opset_imports=opsets, ir_version=10)
        )


def style_net(width: int = 16, size: int = 24) -> onnx.ModelProto:
    """Conv-norm-relu, a residual block, and a Conv to RGB: 14 nodes."""
    b = Builder(3, size)
    stem = b.conv("x", "stem", 3, width)
    trunk = b.node("Relu", [b.norm("InstanceNormalization", stem, "norm", width)], "trunk")
    hidden = b.node("Relu", [b.conv(trunk, "res.a", width, width)], "hidden")
    residual = b.conv(hidden, "res.b", width, width)
    added = b.node("Add", [trunk, residual], "added")
    head = b.conv(added, "head", width, 3)
    b.node("Sigmoid", [head], "y", "sigmoid")
    return b.build(3)
