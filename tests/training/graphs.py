"""The tiny generator with other inputs than one image."""

import numpy as np
import onnx
from onnx import TensorProto, helper

from decig.graph.model import normalise
from tests.training.tiny import tiny_generator


def with_input(name: str, *shape: int) -> onnx.ModelProto:
    """The tiny generator, with the mean of another input added to its image."""
    proto = tiny_generator(size=48, width=16)
    nodes = [
        helper.make_node("ReduceMean", [name], [f"{name}.mean"], name=f"{name}.mean", keepdims=0),
        helper.make_node("Add", ["input", f"{name}.mean"], ["both"], name="both"),
    ]
    proto.graph.node[0].input[0] = "both"
    for node in reversed(nodes):
        proto.graph.node.insert(0, node)
    proto.graph.input.append(helper.make_tensor_value_info(name, TensorProto.FLOAT, shape))
    return normalise(proto)


def code_generator() -> onnx.ModelProto:
    """A generator that paints from a code."""
    proto = tiny_generator(size=48, width=16)
    nodes = [
        helper.make_node("Reshape", ["code", "shape"], ["r"], name="r"),
        helper.make_node("Expand", ["r", "size"], ["input"], name="wide"),
    ]
    for node in reversed(nodes):
        proto.graph.node.insert(0, node)
    for name, numbers in (("shape", [1, 3, 1, 1]), ("size", [1, 3, 48, 48])):
        proto.graph.initializer.append(onnx.numpy_helper.from_array(np.array(numbers), name))
    del proto.graph.input[:]
    proto.graph.input.append(helper.make_tensor_value_info("code", TensorProto.FLOAT, [1, 3]))
    return normalise(proto)
