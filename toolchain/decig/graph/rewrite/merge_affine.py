"""Numbers multiplied and added one after the other, as one factor and one shift.

    (a x + b) * c + d  =  (a c) x + (b c + d)

with numbers that are the same for a whole channel. Pre- and postprocessing that is written step by
step becomes a Mul and an Add, or one of them; these can be folded into the layers next to them.
"""

import numpy as np
from onnx import NodeProto, helper

from decig.graph.rewrite.constants import as_affine, operand, per_channel
from decig.graph.rewrite.editor import Editor
from decig.graph.rewrite.rule import NoMatch, rule

_STEPS = ("Mul", "Div", "Add", "Sub")


@rule(*_STEPS, canonical=True)
def merge_affine(graph: Editor, node: NodeProto) -> None:
    """Merge the chain of steps that begins with `node`."""
    if _step(graph, node) is None:
        raise NoMatch("it is no factor or shift of float32 per channel")
    if _continues(graph, node):
        raise NoMatch("it is merged with what is in front")
    chain = [node]
    while (reader := graph.sole_reader(chain[-1].output[0])) is not None:
        if _step(graph, reader) is None:
            break
        chain.append(reader)
    factor, shift = np.ones(1), np.zeros(1)
    for each in chain:
        a, c = _step(graph, each) or (factor, shift)
        factor, shift = factor * a, shift * a + c
    parts = [("Mul", factor)] * bool((factor != 1).any())
    parts += [("Add", shift)] * bool((shift != 0).any())
    if len(parts) >= len(chain):
        raise NoMatch(f"the {len(chain)} in a row are as few as can be")
    if not parts:
        raise NoMatch("together the steps change nothing")
    _replace(graph, chain, parts)


def _step(graph: Editor, node: NodeProto) -> tuple[np.ndarray, np.ndarray] | None:
    """Factor and shift of a node, one number or one per channel; None if it has none."""
    if node.op_type not in _STEPS:
        return None
    shape, source = graph.shape(node.output[0]), operand(graph, node)
    if shape is None or len(shape) < 2 or source is None or graph.shape(source) != shape:
        return None
    constant = per_channel(graph, node, shape)
    if constant is None or constant.dtype != np.float32:
        return None
    return as_affine(node.op_type, constant)


def _continues(graph: Editor, node: NodeProto) -> bool:
    """Whether the node in front is a step of the same chain."""
    source = operand(graph, node)
    maker = None if source is None else graph.maker(source)
    if maker is None or graph.sole_reader(maker.output[0]) is None:
        return False
    return _step(graph, maker) is not None


def _replace(graph: Editor, chain: list[NodeProto], parts: list[tuple[str, np.ndarray]]) -> None:
    first, last = chain[0], chain[-1]
    value, new = operand(graph, first) or "", list[NodeProto]()
    rank = len(graph.shape(first.output[0]) or ())
    for op_type, number in parts:
        array = number.astype(np.float32)
        if array.size > 1:
            array = array.reshape(-1, *[1] * (rank - 2))
        suffix = op_type.lower()
        constant = graph.add_constant(first, f"{suffix}_by", array)
        name = first.name if not new else f"{first.name}/{suffix}"
        result = f"{first.name}/{suffix}_out"
        new.append(helper.make_node(op_type, [value, constant], [result], name=name))
        value = result
    new[-1].output[0] = last.output[0]
    graph.insert_before(first, new)
    for node in chain:
        graph.remove(node)
