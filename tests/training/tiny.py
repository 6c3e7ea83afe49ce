"""A tiny generator with the parts of a real one, for tests that train."""

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from decig.graph.model import normalise


def with_batch_norms(proto: onnx.ModelProto, mean: float, variance: float) -> onnx.ModelProto:
    """Return a tiny generator in normal form, with batch norms that have these statistics."""
    for node in proto.graph.node:
        if node.op_type == "InstanceNormalization":
            node.op_type = "BatchNormalization"
            scale = next(each for each in proto.graph.initializer if each.name == node.input[1])
            for name, value in (("mean", mean), ("var", variance)):
                node.input.append(f"{node.name}.{name}")
                array = np.full(scale.dims, value, np.float32)
                proto.graph.initializer.append(numpy_helper.from_array(array, node.input[-1]))
    return normalise(proto)


def tiny_generator(size: int = 32, width: int = 8, seed: int = 0) -> onnx.ModelProto:
    """Return conv-IN-relu, a residual block, conv to RGB and a sigmoid; range 0..1, NCHW."""
    rng = np.random.default_rng(seed)
    constants: list[onnx.TensorProto] = []
    nodes: list[onnx.NodeProto] = []

    def constant(name: str, array: np.ndarray) -> str:
        constants.append(numpy_helper.from_array(array.astype(np.float32), name))
        return name

    def conv(name: str, source: str, channels: tuple[int, int], kernel: int = 3) -> str:
        shape = (channels[1], channels[0], kernel, kernel)
        scale = (2 / np.prod(shape[1:])) ** 0.5
        weights = [constant(f"{name}.weight", rng.normal(0, scale, shape))]
        weights.append(constant(f"{name}.bias", rng.normal(0, 0.1, channels[1])))
        pads = [kernel // 2] * 4
        nodes.append(helper.make_node("Conv", [source, *weights], [name], name=name, pads=pads))
        return name

    def norm(name: str, source: str, relu: bool = True) -> str:
        affine = [constant(f"{name}.weight", rng.uniform(0.5, 1.5, width))]
        affine.append(constant(f"{name}.bias", rng.normal(0, 0.2, width)))
        nodes.append(
            helper.make_node("InstanceNormalization", [source, *affine], [name], name=name)
        )
        if not relu:
            return name
        nodes.append(helper.make_node("Relu", [name], [f"{name}.relu"], name=f"{name}.relu"))
        return f"{name}.relu"

    trunk = norm("n1", conv("c1", "input", (3, width)))
    inside = norm("n2", conv("c2", trunk, (width, width)))
    back = norm("n3", conv("c3", inside, (width, width)), relu=False)
    nodes.append(helper.make_node("Add", [trunk, back], ["sum"], name="sum"))
    nodes.append(
        helper.make_node("Sigmoid", [conv("c4", "sum", (width, 3))], ["output"], name="out")
    )
    shape = [1, 3, size, size]
    graph = helper.make_graph(
        nodes,
        "tiny",
        [helper.make_tensor_value_info("input", TensorProto.FLOAT, shape)],
        [helper.make_tensor_value_info("output", TensorProto.FLOAT, shape)],
        constants,
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=10)
    return normalise(model)
