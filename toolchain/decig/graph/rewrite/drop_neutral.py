"""Operators that change nothing, taken out.

    x + 0  =  x - 0  =  x * 1  =  x / 1  =  x        Pad by nothing, Reshape to the same shape

Exporters write them where a setting happens to be neutral. Each costs a pass over memory, or hides
its neighbours from other rules.
"""

from onnx import NodeProto

from decig.graph.rewrite.editor import Editor
from decig.graph.rewrite.rule import NoMatch, rule, shape_of
from decig.graph.rewrite.windows import pad_amounts

_NEUTRAL = {"Add": 0, "Sub": 0, "Mul": 1, "Div": 1}
"""Constant operand that changes nothing, by operator."""


@rule("Identity", "Reshape", "Pad", *_NEUTRAL, canonical=True, one_size=True)
def drop_neutral(graph: Editor, node: NodeProto) -> None:
    """Take `node` out if its output is its input."""
    source = _passed_on(graph, node)
    if source is None:
        raise NoMatch("it changes its input's numbers")
    if graph.shape(source) != shape_of(graph, node.output[0]):
        raise NoMatch("it changes its input's shape")
    if not graph.bypass(node, source):
        raise NoMatch("its input and its output both have names that the graph must keep")


def _passed_on(graph: Editor, node: NodeProto) -> str | None:
    """Input whose numbers `node` passes on; the shape may still differ."""
    if node.op_type in ("Identity", "Reshape"):
        return str(node.input[0])
    if node.op_type == "Pad":
        return None if any(pad_amounts(graph, node) or [1]) else str(node.input[0])
    left, right = node.input
    for constant, other in ((right, left), (left, right)):
        array = graph.constant(constant)
        if array is not None and (array == _NEUTRAL[node.op_type]).all():
            return str(other)
        if node.op_type in ("Sub", "Div"):
            return None
    return None
