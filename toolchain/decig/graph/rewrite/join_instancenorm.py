"""InstanceNormalization spelled out in elementary operators, joined into one node.

    d = x - mean(x);  s * d / sqrt(mean(d * d) + epsilon) + b  =  InstanceNormalization(x, s, b)

with means over all spatial axes (`spelled_norm` says how they are written). The scale and the shift
are each optional.
"""

import numpy as np
from onnx import NodeProto, helper

from decig.graph.rewrite.constants import per_channel
from decig.graph.rewrite.editor import Editor
from decig.graph.rewrite.rule import NoMatch, rule, shape_of
from decig.graph.rewrite.spelled_norm import spelled_norm


@rule("Div", canonical=True)
def join_instancenorm(graph: Editor, node: NodeProto) -> None:
    """Join the normalisation whose division is `node`."""
    found = spelled_norm(graph, node)
    shape = shape_of(graph, found.source)
    if len(shape) < 3:
        raise NoMatch("what it normalises has no spatial axes")
    spatial = {axis for axis, size in enumerate(shape) if axis > 1 and size > 1}
    if not spatial <= found.axes or not found.axes.isdisjoint((0, 1)):
        raise NoMatch("its means are not over all spatial axes and no others")
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


def _per_channel(
    graph: Editor, node: NodeProto, op_type: str, shape: tuple[int, ...]
) -> tuple[np.ndarray, NodeProto]:
    """Constant that an `op_type` after `node` applies to each channel, and that operator.

    Without such an operator, the neutral element of `op_type` and `node` itself.
    """
    neutral = np.array(1 if op_type == "Mul" else 0, np.int8)
    reader = graph.sole_reader(node.output[0])
    if reader is None or reader.op_type != op_type:
        return neutral, node
    constant = per_channel(graph, reader, shape)
    return (neutral, node) if constant is None else (constant, reader)
