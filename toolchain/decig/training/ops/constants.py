"""Operators whose result is known when the module is built."""

import numpy as np
from onnx import numpy_helper

from decig.training.ops.node import OpNode
from decig.training.ops.registry import op


@op("Shape")
def shape(node: OpNode) -> np.ndarray:
    """Y = sizes of X; the module is tied to those that follow the input."""
    x = node.tensor(0)
    for axis in range(node.rank(x)):
        node.fix(x, axis)
    return np.array(node.shape(x)[node.attr("start", 0) : node.attr("end")], np.int64)


@op("Size")
def size(node: OpNode) -> np.ndarray:
    """Y = number of elements of X, to which the module is tied."""
    x = node.tensor(0)
    for axis in range(node.rank(x)):
        node.fix(x, axis)
    return np.array(np.prod(node.shape(x)), np.int64)


@op("Constant")
def constant(node: OpNode) -> np.ndarray:
    """Y = the tensor or the numbers of an attribute."""
    tensor = node.attr("value")
    if tensor is not None:
        return np.asarray(numpy_helper.to_array(tensor))
    for name, kind in (("value_float", np.float32), ("value_int", np.int64)):
        for key in (name, f"{name}s"):
            if node.attr(key) is not None:
                return np.array(node.attr(key), kind)
    raise node.error("a constant of this kind is not supported")


@op("ConstantOfShape")
def constant_of_shape(node: OpNode) -> np.ndarray:
    """Y = one number, 0 by default, in a constant shape."""
    value = node.attr("value")
    number = np.zeros(1, np.float32) if value is None else numpy_helper.to_array(value)
    return np.full(node.constant(0).tolist(), number[0], number.dtype)


@op("Range")
def range_(node: OpNode) -> np.ndarray:
    """Y = start, start + delta, ... below limit."""
    start, limit, delta = (node.constant(slot).item() for slot in range(3))
    numbers: np.ndarray = np.arange(start, limit, delta)
    return numbers.astype(node.constant(0).dtype)
