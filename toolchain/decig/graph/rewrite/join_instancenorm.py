"""InstanceNormalization spelled out in elementary operators, joined into one node.

    d = x - mean(x);  s * d / sqrt(mean(d * d) + epsilon) + b  =  InstanceNormalization(x, s, b)

with means over all spatial axes (`spelled_norm` says how they are written). The scale and the shift
are each optional.
"""

import numpy as np
from onnx import NodeProto, helper

from decig.graph.rewrite.constants import per_channel
from decig.graph.rewrite.editor import Editor
from decig.graph.rewrite.spelled_norm import spelled_norm


def join_instancenorm(graph: Editor, node: NodeProto) -> bool:
    """Join the normalisation whose division is `node`."""
    found = spelled_norm(graph, node)
    shape = None if found is None else graph.shape(found.source)
    if found is None or shape is None or len(shape) < 3:
        return False
    spatial = {axis for axis, size in enumerate(shape) if axis > 1 and size > 1}
    if not spatial <= found.axes or not found.axes.isdisjoint((0, 1)):
        return False
    scale, last = _per_channel(graph, node, "Mul", shape)
    shift, last = _per_channel(graph, last, "Add", shape)
    epsilon = found.epsilon
    joined = helper.make_node(
        "InstanceNormalization",
        [
            found.source,
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
    constant = per_channel(graph, reader, shape)
    return (neutral, node) if constant is None else (constant, reader)
