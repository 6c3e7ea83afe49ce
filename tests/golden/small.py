"""A small generator that compresses in seconds, with what real ones have: norms, skips, a trunk."""

from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

SIZE = 48
WIDTH = 16


def write_small_generator(path: Path) -> Path:
    """Write a U-Net of one halving with a residual block inside; RGB 0..1, NCHW, seeded weights."""
    builder = _Builder()
    stem = builder.block("stem", "input", 3, WIDTH)
    down = builder.block("down", stem, WIDTH, 2 * WIDTH, stride=2)
    inside = builder.block("inside", down, 2 * WIDTH, 2 * WIDTH)
    last = builder.norm("last.norm", builder.conv("last", inside, 2 * WIDTH, 2 * WIDTH), 2 * WIDTH)
    trunk = builder.node("Add", "trunk", [down, last])
    scales = builder.constant("scales", np.array([1, 1, 2, 2]))
    wide = builder.node("Resize", "wide", [trunk, "", scales], mode="nearest")
    joined = builder.node("Concat", "joined", [wide, stem], axis=1)
    up = builder.block("up", joined, 3 * WIDTH, WIDTH)
    builder.node("Sigmoid", "output", [builder.conv("head", up, WIDTH, 3)])
    shape = [1, 3, SIZE, SIZE]
    graph = helper.make_graph(
        builder.nodes,
        "small",
        [helper.make_tensor_value_info("input", TensorProto.FLOAT, shape)],
        [helper.make_tensor_value_info("output", TensorProto.FLOAT, shape)],
        builder.constants,
    )
    opset = helper.make_opsetid("", 20)
    onnx.save(helper.make_model(graph, opset_imports=[opset], ir_version=10), path)
    return path


class _Builder:
    """Collects nodes and seeded weights; every method returns the name of a value."""

    def __init__(self) -> None:
        self.nodes: list[onnx.NodeProto] = []
        self.constants: list[onnx.TensorProto] = []
        self.rng = np.random.default_rng(0)

    def constant(self, name: str, array: np.ndarray) -> str:
        self.constants.append(numpy_helper.from_array(array.astype(np.float32), name))
        return name

    def node(self, op: str, name: str, inputs: list[str], **attributes: object) -> str:
        self.nodes.append(helper.make_node(op, inputs, [name], name=name, **attributes))
        return name

    def conv(self, name: str, source: str, inputs: int, outputs: int, stride: int = 1) -> str:
        scale = (2 / (9 * inputs)) ** 0.5
        weight = self.constant(f"{name}.weight", self.rng.normal(0, scale, (outputs, inputs, 3, 3)))
        bias = self.constant(f"{name}.bias", self.rng.normal(0, 0.1, outputs))
        strides = [stride, stride]
        return self.node("Conv", name, [source, weight, bias], pads=[1] * 4, strides=strides)

    def norm(self, name: str, source: str, channels: int) -> str:
        weight = self.constant(f"{name}.weight", self.rng.uniform(0.5, 1.5, channels))
        bias = self.constant(f"{name}.bias", self.rng.normal(0, 0.2, channels))
        return self.node("InstanceNormalization", name, [source, weight, bias])

    def block(self, name: str, source: str, inputs: int, outputs: int, stride: int = 1) -> str:
        conv = self.conv(name, source, inputs, outputs, stride)
        return self.node("Relu", f"{name}.relu", [self.norm(f"{name}.norm", conv, outputs)])
