"""Applying rewrite rules to a graph.

A rule is a function of an `Editor` and a node; it changes the graph around that node and returns
whether it did. Rules match structure only and cost nothing where they do not match. Each is exact:
the same function of the same weights, to rounding.

The order matters and is that of `RULES`:

1. The canonical rules give a graph that is better on any device. `fold_batchnorm` comes first, so
   that later rules see the final weights; `join_instancenorm` next.
2. The device rules pay on some devices and cost on others: apply them, measure, keep what is
   faster. `slice_into_transpose` makes the ConvTranspose that `phase_transpose` takes;
   `wide_head` and `phase_transpose` make the DepthToSpace that `depth_to_space` takes.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import onnx
from onnx import NodeProto

from decig.errors import BadInputError
from decig.graph.model import infer_shapes
from decig.graph.rewrite.depth_to_space import depth_to_space
from decig.graph.rewrite.editor import Editor
from decig.graph.rewrite.fold_batchnorm import fold_batchnorm
from decig.graph.rewrite.join_instancenorm import join_instancenorm
from decig.graph.rewrite.phase_transpose import phase_transpose
from decig.graph.rewrite.slice_into_transpose import slice_into_transpose
from decig.graph.rewrite.wide_head import wide_head
from decig.graph.rewrite.winograd import winograd

Rule = Callable[[Editor, NodeProto], bool]

RULES: dict[str, Rule] = {
    "fold_batchnorm": fold_batchnorm,
    "join_instancenorm": join_instancenorm,
    "slice_into_transpose": slice_into_transpose,
    "wide_head": wide_head,
    "winograd": winograd,
    "phase_transpose": phase_transpose,
    "depth_to_space": depth_to_space,
}
CANONICAL = ("fold_batchnorm", "join_instancenorm")
DEVICE = tuple(name for name in RULES if name not in CANONICAL)


@dataclass(frozen=True)
class Applied:
    """A rule that changed the graph, and the node it did so at."""

    rule: str
    node: str


def apply(
    proto: onnx.ModelProto, rules: Sequence[str] | None = None
) -> tuple[onnx.ModelProto, list[Applied]]:
    """Rewrite a graph exactly.

    The node that does a replaced node's work keeps its name; the helpers beside it are called
    "<name>/<what>". Graph inputs and outputs and untouched values keep their names.

    Args:
        proto: a graph in normal form (`decig.graph.model.normalise`); it is not changed.
        rules: names out of `RULES`, in whatever order; all of them if None.

    Returns:
        The new graph, in normal form, and what was done to it.

    Raises:
        BadInputError: no such rule.
    """
    wanted = tuple(RULES) if rules is None else tuple(rules)
    unknown = [name for name in wanted if name not in RULES]
    if unknown:
        raise BadInputError(f"rewrite rule '{unknown[0]}': none of {', '.join(RULES)}")
    applied: list[Applied] = []
    proto = infer_shapes(_copy(proto))
    for name in (name for name in RULES if name in wanted):
        editor = Editor(proto)
        nodes = [node for node in editor.nodes if node.input]  # noise has none
        done = [node.name for node in nodes if editor.has(node) and RULES[name](editor, node)]
        if done:
            applied += [Applied(name, node) for node in done]
            proto = editor.finish()
    return proto, applied


def _copy(proto: onnx.ModelProto) -> onnx.ModelProto:
    copy = onnx.ModelProto()
    copy.CopyFrom(proto)
    return copy
