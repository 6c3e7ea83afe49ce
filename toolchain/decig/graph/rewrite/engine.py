"""Applying rewrite rules to a graph.

A rule is a function of an `Editor` and a node; it changes the graph around that node and returns
whether it did; it is called again until it does not. Rules match structure only and cost nothing
where they do not match. Each is exact: the same function of the same weights, to rounding.

The order matters and is that of `RULES`:

1. The canonical rules give a graph that is better on any device. What hides neighbours goes first
   (`drop_neutral`), then what several operators spell is joined, then arithmetic is merged and
   folded into layers: `affine_into_layer` into the norms that `join_instancenorm` made.
2. The device rules pay on some devices and cost on others: apply them, measure, keep what is
   faster. `merge_separable` and `split_resized_concat` prepare for `resize_into_transpose`, the
   former for the heads too; `slice_into_transpose` and `resize_into_transpose` make the
   ConvTranspose that `phase_transpose` takes; `coarse_head` leaves to `wide_head` what `winograd`
   would not take from it; they and `phase_transpose` make the DepthToSpace that `depth_to_space`
   takes.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import onnx
from onnx import NodeProto

from decig.errors import BadInputError
from decig.graph.model import infer_shapes
from decig.graph.rewrite.activation_before_concat import activation_before_concat
from decig.graph.rewrite.affine_into_layer import affine_into_layer
from decig.graph.rewrite.coarse_head import coarse_head
from decig.graph.rewrite.depth_to_space import depth_to_space
from decig.graph.rewrite.drop_neutral import drop_neutral
from decig.graph.rewrite.editor import Editor
from decig.graph.rewrite.fold_batchnorm import fold_batchnorm
from decig.graph.rewrite.join_hard_sigmoid import join_hard_sigmoid
from decig.graph.rewrite.join_instancenorm import join_instancenorm
from decig.graph.rewrite.join_layernorm import join_layernorm
from decig.graph.rewrite.join_upsample import join_upsample
from decig.graph.rewrite.leaky_relu import leaky_relu
from decig.graph.rewrite.merge_affine import merge_affine
from decig.graph.rewrite.merge_separable import merge_separable
from decig.graph.rewrite.pad_into_conv import pad_into_conv
from decig.graph.rewrite.phase_transpose import phase_transpose
from decig.graph.rewrite.resize_into_transpose import resize_into_transpose
from decig.graph.rewrite.scale_into_conv import scale_into_conv
from decig.graph.rewrite.shift_before_norm import shift_before_norm
from decig.graph.rewrite.slice_into_transpose import slice_into_transpose
from decig.graph.rewrite.split_resized_concat import split_resized_concat
from decig.graph.rewrite.wide_head import wide_head
from decig.graph.rewrite.winograd import winograd

Rule = Callable[[Editor, NodeProto], bool]

_CANONICAL: dict[str, Rule] = {
    "drop_neutral": drop_neutral,
    "fold_batchnorm": fold_batchnorm,
    "join_layernorm": join_layernorm,
    "join_instancenorm": join_instancenorm,
    "join_upsample": join_upsample,
    "join_hard_sigmoid": join_hard_sigmoid,
    "leaky_relu": leaky_relu,
    "merge_affine": merge_affine,
    "scale_into_conv": scale_into_conv,
    "affine_into_layer": affine_into_layer,
    "shift_before_norm": shift_before_norm,
    "pad_into_conv": pad_into_conv,
}
_DEVICE: dict[str, Rule] = {
    "activation_before_concat": activation_before_concat,
    "merge_separable": merge_separable,
    "split_resized_concat": split_resized_concat,
    "resize_into_transpose": resize_into_transpose,
    "slice_into_transpose": slice_into_transpose,
    "coarse_head": coarse_head,
    "wide_head": wide_head,
    "winograd": winograd,
    "phase_transpose": phase_transpose,
    "depth_to_space": depth_to_space,
}
# Amounts and shapes that they read may have been computed from the size of the image.
_ONE_SIZE = ("drop_neutral", "join_upsample", "pad_into_conv")
RULES = _CANONICAL | _DEVICE
CANONICAL = tuple(_CANONICAL)
ANY_SIZE = tuple(name for name in CANONICAL if name not in _ONE_SIZE)
"""The canonical rules that hold for every size of the image, where its axes are dynamic."""
DEVICE = tuple(_DEVICE)
NEED_FLOAT32 = ("coarse_head", "winograd")
"""`winograd`, whose sums of large and small numbers do not survive fewer bits, and who needs it."""


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
        done = [node.name for node in nodes if _exhaust(RULES[name], editor, node)]
        if done:
            applied += [Applied(name, node) for node in done]
            proto = editor.finish()
    return proto, applied


def _exhaust(rule: Rule, editor: Editor, node: NodeProto) -> bool:
    """Apply a rule at a node as often as it can be; returns whether it could."""
    changed = False
    while editor.has(node) and rule(editor, node):
        changed = True
    return changed


def _copy(proto: onnx.ModelProto) -> onnx.ModelProto:
    copy = onnx.ModelProto()
    copy.CopyFrom(proto)
    return copy
