"""Applying rewrite rules to a graph.

Every rule is exact: the graph computes the same function of the same weights, to rounding. A rule
is called again at a node until it finds no more to do there; where it does not match it costs
nothing.

The order matters and is that of `_ORDER`. To add a rule, write its file and put its name there:

1. The canonical rules give a graph that is better on any device. What hides neighbours goes first
   (`drop_neutral`), then what several operators spell is joined, then arithmetic is merged and
   folded into layers: `affine_into_layer` into the norms that `join_instancenorm` made.
2. The device rules pay on some devices and cost on others: apply them, measure, keep what is
   faster. `merge_separable` and `split_resized_concat` prepare for `resize_into_transpose`, the
   former for the heads too; `slice_into_transpose` and `resize_into_transpose` make the
   ConvTranspose that `phase_transpose` takes; `coarse_head` leaves to `wide_head` what `winograd`
   would not take from it; all three heads and `phase_transpose` make the DepthToSpace that
   `depth_to_space` takes.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from importlib import import_module

import onnx
from onnx import NodeProto

from decig.errors import BadInputError
from decig.graph.model import infer_shapes
from decig.graph.registration import table_of
from decig.graph.rewrite.editor import Editor
from decig.graph.rewrite.rule import NoMatch, Rule
from decig.graph.sharing import merge_equal, shared

_ORDER = (
    # canonical
    "drop_neutral",
    "fold_batchnorm",
    "join_layernorm",
    "join_instancenorm",
    "join_upsample",
    "join_hard_sigmoid",
    "leaky_relu",
    "merge_affine",
    "scale_into_conv",
    "affine_into_layer",
    "shift_before_norm",
    "pad_into_conv",
    # for the device
    "activation_before_concat",
    "merge_separable",
    "split_resized_concat",
    "resize_into_transpose",
    "slice_into_transpose",
    "coarse_head",
    "wide_head",
    "winograd",
    "phase_transpose",
    "depth_to_space",
)


def _load(name: str) -> Rule:
    found: Rule = getattr(import_module(f"decig.graph.rewrite.{name}"), name)
    return found


RULES: dict[str, Rule] = table_of((name, _load(name)) for name in _ORDER)
"""All rules by name, in the order in which they are applied."""
CANONICAL = tuple(name for name, rule in RULES.items() if rule.canonical)
"""Names of the rules that make a graph better on any device."""
ANY_SIZE = tuple(name for name in CANONICAL if not RULES[name].one_size)
"""Names of the canonical rules that hold for every size of the picture, where axes are dynamic."""
DEVICE = tuple(name for name, rule in RULES.items() if not rule.canonical)
"""Names of the rules that pay on some devices only."""
NEED_FLOAT32 = tuple(name for name, rule in RULES.items() if rule.needs_float32)
"""Names of the rules whose result does not survive fewer bits."""


@dataclass(frozen=True)
class Applied:
    """A rule that changed the graph, and the node it did so at."""

    rule: str
    node: str


@dataclass(frozen=True)
class Refused:
    """A node that a rule looked at and left as it was, and why."""

    node: str
    reason: str


def apply(
    proto: onnx.ModelProto, rules: Sequence[str] | None = None
) -> tuple[onnx.ModelProto, list[Applied]]:
    """Rewrite a graph exactly.

    The node that does a replaced node's work keeps its name; the helpers beside it are called
    "<name>/<what>". Graph inputs and outputs and untouched values keep their names.

    Args:
        proto: a graph in normal form (`decig.graph.model.normalise`); it is not changed.
        rules: names out of `RULES`, in any order; all of them if None.

    Returns:
        The new graph, in normal form, and what was done to it.

    Raises:
        BadInputError: there is no rule of that name.
    """
    wanted = tuple(RULES) if rules is None else tuple(rules)
    _require_rules(wanted)
    applied: list[Applied] = []
    proto = infer_shapes(_copy(proto))
    has_shared = bool(shared(proto.graph))
    for name in (name for name in RULES if name in wanted):
        editor = Editor(proto)
        done, _ = _run(RULES[name], editor)
        if done:
            applied += [Applied(name, node) for node in done]
            proto = editor.finish()
    if applied and has_shared:  # rewritten alike for each reader, they are shared again
        merge_equal(proto.graph)
    return proto, applied


def explain(proto: onnx.ModelProto, rule: str) -> list[Refused]:
    """Say why a rule leaves nodes as they are.

    Args:
        proto: a graph in normal form; it is not changed.
        rule: name out of `RULES`.

    Returns:
        Every candidate that the rule looked at and did not change, in the order of the graph, with
        the reason; where the rule changed other nodes, the reason is that of the changed graph.

    Raises:
        BadInputError: there is no rule of that name.
    """
    _require_rules([rule])
    return _run(RULES[rule], Editor(infer_shapes(_copy(proto))))[1]


def _require_rules(names: Sequence[str]) -> None:
    unknown = [name for name in names if name not in RULES]
    if unknown:
        raise BadInputError(f"rewrite rule '{unknown[0]}': none of {', '.join(RULES)}")


def _run(rule: Rule, editor: Editor) -> tuple[list[str], list[Refused]]:
    """Apply a rule wherever it matches.

    Returns:
        Names of the nodes at which it did, and the candidates at which it did not.
    """
    done, refused = list[str](), list[Refused]()
    for node in list(editor.nodes):
        if not rule.looks_at(node) or not editor.has(node):
            continue
        reason = _exhaust(rule, editor, node)
        if reason is None:
            done.append(node.name)
        else:
            refused.append(Refused(node.name, reason))
    return done, refused


def _exhaust(rule: Rule, editor: Editor, node: NodeProto) -> str | None:
    """Apply a rule at a node as often as it matches; why it does not, if it never does."""
    changed = False
    while editor.has(node):
        try:
            rule.rewrite(editor, node)
        except NoMatch as reason:
            return None if changed else str(reason)
        changed = True
    return None


def _copy(proto: onnx.ModelProto) -> onnx.ModelProto:
    copy = onnx.ModelProto()
    copy.CopyFrom(proto)
    return copy
