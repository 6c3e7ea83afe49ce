"""A small generator for the tests of the repair."""

import numpy as np
from onnx import ModelProto, NodeProto, TensorProto, helper, numpy_helper

from decig.graph.model import normalise

INPUTS = [
    {"x": image[None]}
    for image in np.random.default_rng(1).normal(size=(6, 3, 20, 20)).astype(np.float32)
]
NORMS = ["InstanceNormalization", "BatchNormalization", "training mode"]
"""The norms of `generator`; the last is a BatchNormalization that uses its input's statistics."""


def generator(
    norm: str, *, residual: bool = False, seed: int = 0, dtype: type = np.float32
) -> ModelProto:
    """Conv, norm, relu, a residual block if asked, ConvTranspose with bias, relu, conv, tanh."""
    rng = np.random.default_rng(seed)
    constants: list[TensorProto] = []

    def constant(name: str, *shape: int, mean: float = 0.0) -> str:
        values = rng.normal(mean, 0.3, shape).astype(dtype)
        values = np.abs(values) if name.endswith("var") else values
        constants.append(numpy_helper.from_array(values, name))
        return name

    def affine(name: str) -> list[str]:
        names = [constant(f"{name}.scale", 12, mean=1.0), constant(f"{name}.shift", 12)]
        if norm != "InstanceNormalization":
            names += [constant(f"{name}.mean", 12), constant(f"{name}.var", 12, mean=1.0)]
        return names

    def normalised(source: str, name: str) -> NodeProto:
        inputs = [source, *affine(name)]
        if norm != "training mode":
            return helper.make_node(norm, inputs, [name])
        outputs = [name, f"{name}.new_mean", f"{name}.new_var"]
        return helper.make_node("BatchNormalization", inputs, outputs, training_mode=1)

    nodes = [
        helper.make_node("Conv", ["x", constant("a.weight", 12, 3, 3, 3)], ["a"], pads=[1] * 4),
        normalised("a", "n"),
        helper.make_node("Relu", ["n"], ["r"]),
    ]
    trunk = "r"
    if residual:
        weight = constant("b.weight", 12, 12, 3, 3)
        nodes += [
            helper.make_node("Conv", ["r", weight], ["b"], pads=[1] * 4),
            normalised("b", "m"),
            helper.make_node("Add", ["r", "m"], ["s"]),
        ]
        trunk = "s"
    nodes += [
        helper.make_node(
            "ConvTranspose",
            [trunk, constant("t.weight", 12, 8, 4, 4), constant("t.bias", 8)],
            ["t"],
            strides=[2, 2],
            pads=[1] * 4,
        ),
        helper.make_node("Relu", ["t"], ["u"]),
        helper.make_node("Conv", ["u", constant("o.weight", 3, 8, 3, 3)], ["o"], pads=[1] * 4),
        helper.make_node("Tanh", ["o"], ["y"]),
    ]
    for index, node in enumerate(nodes):
        node.name = f"node{index}"
    kind = helper.np_dtype_to_tensor_dtype(np.dtype(dtype))
    graph = helper.make_graph(
        nodes,
        "generator",
        [helper.make_tensor_value_info("x", kind, [1, 3, 20, 20])],
        [helper.make_tensor_value_info("y", kind, [1, 3, 40, 40])],
        constants,
    )
    opsets = [helper.make_opsetid("", 20)]
    return normalise(helper.make_model(graph, opset_imports=opsets, ir_version=10))
