"""InstanceNormalization spelled out in elementary operators, joined into one node.

    d = x - mean(x);  s * d / sqrt(mean(d * d) + epsilon) + b  =  InstanceNormalization(x, s, b)

with means over all spatial axes. Exporters write the square as d * d, d ^ 2 or d * (d + tiny);
the last is the same, as mean(d * (d + t)) = mean(d * d) + t * mean(d) and mean(d) = 0.
The scale and the shift are each optional.
"""

import numpy as np
from onnx import NodeProto, helper

from decig.graph.rewrite.editor import Editor, attribute

_TINY = 1e-6


def join_instancenorm(graph: Editor, node: NodeProto) -> bool:
    """Join the normalisation whose division is `node`."""
    if node.op_type != "Div":
        return False
    epsilon = None
    difference = graph.producer(node.input[0], "Sub")
    if difference is not None:
        epsilon = _epsilon(graph, node.input[1], difference.output[0])
    if difference is None or epsilon is None:
        return False
    source = difference.input[0]
    shape = graph.shape(source)
    if shape is None or len(shape) < 3 or _mean_of(graph, difference.input[1]) != source:
        return False
    scale, last = _per_channel(graph, node, "Mul", shape)
    shift, last = _per_channel(graph, last, "Add", shape)
    joined = helper.make_node(
        "InstanceNormalization",
        [
            source,
            graph.add_constant(node, "scale", np.ones(shape[1], epsilon.dtype) * scale),
            graph.add_constant(node, "shift", np.zeros(shape[1], epsilon.dtype) + shift),
        ],
        [last.output[0]],
        name=node.name,
        epsilon=epsilon.item(),
    )
    graph.insert_before(last, [joined])
    graph.remove(last)
    graph.drop_dead()
    return True


def _mean_of(graph: Editor, value: str) -> str | None:
    """What `value` is the mean of, over all spatial axes, as [N, C, 1, ...]; None if it is none.

    A Reshape between the two that only flattens the spatial axes is looked through.
    """
    mean = graph.producer(value, "ReduceMean") or graph.producer(value, "GlobalAveragePool")
    shape = mean and graph.shape(mean.input[0])
    if mean is None or shape is None or not _is_spatial(graph, mean, shape):
        return None
    source: str = mean.input[0]
    reshape = graph.producer(source, "Reshape")
    if reshape is None:
        return source
    full = graph.shape(reshape.input[0])
    if full is None or len(full) != len(shape) or full[:2] != shape[:2]:
        return None
    return str(reshape.input[0])


def _is_spatial(graph: Editor, mean: NodeProto, shape: tuple[int, ...]) -> bool:
    """Whether a mean keeps its axes and runs over all that are spatial and no other."""
    if mean.op_type == "GlobalAveragePool":
        return True
    axes = attribute(mean, "axes", None)
    if axes is None and len(mean.input) > 1:
        axes = graph.constant(mean.input[1])
    if axes is None or not attribute(mean, "keepdims", 1):
        return False
    averaged = {int(axis) % len(shape) for axis in axes}
    spatial = {axis for axis, size in enumerate(shape) if axis > 1 and size > 1}
    return spatial <= averaged and averaged.isdisjoint((0, 1))


def _epsilon(graph: Editor, value: str, difference: str) -> np.ndarray | None:
    """Epsilon, if `value` is sqrt(mean(difference ^ 2) + epsilon)."""
    root = graph.producer(value, "Sqrt")
    total = root and graph.producer(root.input[0], "Add")
    if total is None:
        return None
    for variance, epsilon in (total.input, reversed(total.input)):
        constant = graph.constant(epsilon)
        square = _mean_of(graph, variance)
        if constant is not None and constant.size == 1 and square is not None:
            return constant if _is_square(graph, square, difference) else None
    return None


def _is_square(graph: Editor, value: str, of: str) -> bool:
    if power := graph.producer(value, "Pow"):
        exponent = graph.constant(power.input[1])
        return power.input[0] == of and exponent is not None and bool((exponent == 2).all())
    product = graph.producer(value, "Mul")
    return product is not None and all(_is_nearly(graph, name, of) for name in product.input)


def _is_nearly(graph: Editor, value: str, of: str) -> bool:
    """Whether `value` is `of`, or `of` plus a tiny constant."""
    total = graph.producer(value, "Add")
    if value == of or total is None:
        return value == of
    constants = [array for array in map(graph.constant, total.input) if array is not None]
    return of in total.input and len(constants) == 1 and bool((abs(constants[0]) < _TINY).all())


def _per_channel(
    graph: Editor, node: NodeProto, op_type: str, shape: tuple[int, ...]
) -> tuple[np.ndarray, NodeProto]:
    """Constant that an `op_type` after `node` applies to each channel, and that operator.

    If there is none, the operation's neutral element and `node` itself.
    """
    neutral = np.array(1 if op_type == "Mul" else 0, np.int8)
    reader = graph.sole_reader(node.output[0])
    if reader is None or reader.op_type != op_type:
        return neutral, node
    constants = [array for array in map(graph.constant, reader.input) if array is not None]
    if len(constants) != 1 or constants[0].size not in (1, shape[1]):
        return neutral, node
    array = constants[0]
    aligned = array.reshape((1,) * (len(shape) - array.ndim) + array.shape)
    if aligned.size > 1 and aligned.shape[1] != shape[1]:
        return neutral, node
    return aligned.reshape(-1), reader
