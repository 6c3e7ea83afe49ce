"""Operators that change nothing, taken out.

    x + 0  =  x - 0  =  x * 1  =  x / 1  =  x        Pad by nothing, Reshape to the same shape

Exporters leave them behind where a setting happened to be neutral. Each costs a pass over memory or
hides its neighbours from other rules.
"""

from onnx import NodeProto

from decig.graph.rewrite.editor import Editor
from decig.graph.rewrite.windows import pad_amounts

_NEUTRAL = {"Add": 0, "Sub": 0, "Mul": 1, "Div": 1}


def drop_neutral(graph: Editor, node: NodeProto) -> bool:
    """Take `node` out if its output is its input."""
    source = _passed_on(graph, node)
    shape = graph.shape(node.output[0])
    if source is None or shape is None or graph.shape(source) != shape:
        return False
    return graph.bypass(node, source)


def _passed_on(graph: Editor, node: NodeProto) -> str | None:
    """Input whose numbers `node` passes on; the shape may still differ."""
    if node.op_type in ("Identity", "Reshape"):
        return str(node.input[0])
    if node.op_type == "Pad":
        return None if any(pad_amounts(graph, node) or [1]) else str(node.input[0])
    if node.op_type not in _NEUTRAL:
        return None
    left, right = node.input
    for constant, other in ((right, left), (left, right)):
        array = graph.constant(constant)
        if array is not None and (array == _NEUTRAL[node.op_type]).all():
            return str(other)
        if node.op_type in ("Sub", "Div"):
            return None
    return None
