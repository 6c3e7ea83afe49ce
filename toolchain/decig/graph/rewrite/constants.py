"""Constants that act on whole channels, and the operators that apply them."""

import numpy as np
from onnx import NodeProto

from decig.graph.rewrite.editor import Editor

_FIRST_ONLY = ("Sub", "Div")


def per_channel(graph: Editor, node: NodeProto, shape: tuple[int, ...]) -> np.ndarray | None:
    """Constant that `node`, with two operands, applies to each channel of a [N, C, ...] value.

    Returns:
        An array of one number or of C numbers; None if `node` applies no such constant, or if it
        subtracts the value from the constant or divides the constant by it.
    """
    operands = [graph.constant(name) for name in node.input]
    if len(operands) != 2 or (operands[0] is None) == (operands[1] is None):
        return None
    if operands[0] is not None and node.op_type in _FIRST_ONLY:
        return None
    constant = operands[1] if operands[0] is None else operands[0]
    assert constant is not None
    if constant.size == 1 and constant.ndim <= len(shape):
        return constant.reshape(-1)
    if constant.size != shape[1] or constant.ndim > len(shape):
        return None
    aligned = constant.reshape((1,) * (len(shape) - constant.ndim) + constant.shape)
    return aligned.reshape(-1) if aligned.shape[1] == shape[1] else None


def as_affine(op_type: str, constant: np.ndarray) -> tuple[np.ndarray, np.ndarray] | None:
    """Factor and shift, float64, by which an operator with a constant acts; None for others."""
    value, one, zero = np.asarray(constant, np.float64), np.ones(1), np.zeros(1)
    if op_type == "Mul":
        return value, zero
    if op_type == "Div":
        return None if (value == 0).any() else (1 / value, zero)
    if op_type == "Add":
        return one, value
    return (one, -value) if op_type == "Sub" else None


def operand(graph: Editor, node: NodeProto) -> str | None:
    """The computed one of a node's two inputs; None if both are computed, or both constant."""
    values = [name for name in node.input if graph.constant(name) is None]
    return values[0] if len(node.input) == 2 and len(values) == 1 else None


def number(graph: Editor, value: str) -> float | None:
    """The number that a constant holds everywhere; None if it holds several or is computed."""
    array = graph.constant(value)
    if array is None or not array.size or (array != array.flat[0]).any():
        return None
    return float(array.flat[0])
