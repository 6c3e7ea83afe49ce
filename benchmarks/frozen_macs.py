"""Which multiply-accumulates of a graph no plan can remove, and why.

A multiply-accumulate of a layer belongs to one channel that the layer reads and to one that it
makes. It goes when either goes. So it is frozen where both are, and it goes with one side only
where the other side is frozen.
"""

import re
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cached_property
from itertools import chain

import numpy as np
import onnx

from decig.graph.channels import ChannelMap, analyse
from decig.graph.cost import count
from decig.graph.ids import FIXED, Ids
from decig.graph.model import shapes

PICTURE = "the picture itself"
"""Kind of what is frozen because it is the input or the output of the graph."""

_KINDS = (
    (r"^graph (input|output)", PICTURE),
    (r"multiplies channels with channels", "products of channels with channels"),
    (r"joins channels with a computed tensor", "products of channels with a map over channels"),
    (r"compares channels", "softmax, sorting or ranking over channels"),
    (r"computed weights|^weights of", "computed weights"),
    (r"is not known", "operators and attributes without a rule"),
    (r"computed (indices|places|bounds|shape|size|sizes|axes|axis|repeats)", "computed places"),
    (r"single channel", "single channels"),
    (r"writes channels", "writing channels one by one"),
    (r"channels along two axes at once", "weights computed for every place"),
    (r"broadcast by", "a channel that is broadcast over others"),
    (r"fixed channels|fixed ones|joins them$", "sums with fixed channels"),
    (r"meets a computed tensor", "sums with tensors without channels"),
    (r"of no channels", "attention maps and other tensors without channels"),
    (r"of a vector|stack of weights", "stacks of matrices and vectors as weights"),
    (r"sums over", "Einsum over some of several axes of channels"),
    (r"three operands", "Einsum of three operands or of a diagonal"),
)
"""Kinds of reasons in plain words, each with a pattern that its reasons match."""


def kind_of(reason: str) -> str:
    """Kind of a reason that the analysis gives; an unlisted reason without names is its own."""
    for pattern, kind in _KINDS:
        if re.search(pattern, reason):
            return kind
    return " ".join(word for word in reason.split() if not re.search(r"[/\d_.:]", word))


@dataclass
class Frozen:
    """Multiply-accumulates of one graph.

    Attributes:
        total: all of them.
        frozen: those that no plan can remove, by kind of reason.
        one_sided: those that go with one side of their layer only, by the kind of reason of the
            other side; the picture counts as no reason here.
        examples: the most expensive frozen layer of each kind: its reason.
    """

    total: int
    frozen: dict[str, float] = field(default_factory=lambda: defaultdict(float))
    one_sided: dict[str, float] = field(default_factory=lambda: defaultdict(float))
    examples: dict[str, str] = field(default_factory=dict)


def frozen_macs(proto: onnx.ModelProto) -> Frozen:
    """Count the frozen multiply-accumulates of a graph in normal form."""
    cost = count(proto)
    found = Frozen(cost.macs)
    view = _View(proto, analyse(proto))
    largest: dict[str, float] = defaultdict(float)
    for node in proto.graph.node:
        macs = cost.by_node.get(node.name, 0)
        for share, reasons, table in view.shares(node) if macs else ():
            kinds = {kind_of(reason): reason for reason in reasons}
            counted = {k: r for k, r in kinds.items() if k != PICTURE}
            if share == 0 or (not counted and table == "one_sided"):
                continue
            for kind, reason in (counted or kinds).items():
                part = share * macs / len(counted or kinds)
                getattr(found, table)[kind] += part
                if part > largest[kind]:
                    largest[kind], found.examples[kind] = part, reason
    return found


class _View:
    """A graph and its channel groups, asked for what of a layer is frozen."""

    def __init__(self, proto: onnx.ModelProto, channels: ChannelMap) -> None:
        self._proto, self._channels, self._shapes = proto, channels, shapes(proto)
        self._cuttable = np.zeros(channels.class_count, bool)
        self._reasons = dict(channels.frozen)
        for group in channels.groups:
            self._cuttable[group.classes] = group.prunable
            if not group.prunable:
                self._reasons.update(dict.fromkeys(map(int, group.classes), group.reason))
        for value in proto.graph.output:  # whatever else freezes them, the picture would
            ids = channels.ids_of(value.name)
            if ids is not None:
                labels = map(int, np.unique(self._labels(ids)))
                self._reasons.update(dict.fromkeys(labels, f"graph output {value.name}"))

    @cached_property
    def _constants(self) -> set[str]:
        return {tensor.name for tensor in self._proto.graph.initializer}

    @cached_property
    def _makers(self) -> dict[str, onnx.NodeProto]:
        return {name: node for node in self._proto.graph.node for name in node.output}

    def shares(self, node: onnx.NodeProto) -> Iterator[tuple[float, list[str], str]]:
        """Yield shares of a layer's multiply-accumulates that are frozen or go with one side only.

        Returns:
            The share, the reasons, and the name of the `Frozen` attribute that it belongs to.
        """
        weights = [name for name in node.input[:2] if name in self._constants]
        sides = [
            binding.ids
            for binding in self._channels.bindings
            if binding.node == node.name and binding.initializer in weights
        ]
        sides = [ids for ids in sides if (ids != FIXED).any() or ids.size > 1]
        if len(weights) == 1 and sides:
            yield from self._of_weights(node, weights[0], sides)
        else:
            yield from self._of_operands(node)

    def _of_weights(
        self, node: onnx.NodeProto, weight: str, sides: list[Ids]
    ) -> Iterator[tuple[float, list[str], str]]:
        """Every element of constant weights stands for as many multiply-accumulates."""
        shape = self._shapes[weight]
        kept = [np.broadcast_to(~self._cuttable[self._labels(ids)], shape) for ids in sides]
        whole = np.logical_and.reduce(kept)
        reasons = [self._why(node, ids) for ids in sides]
        yield float(whole.mean()), [*chain.from_iterable(reasons)], "frozen"
        if len(sides) > 1:
            for side, reason in zip(kept, reasons, strict=True):
                yield float((side & ~whole).mean()), reason, "one_sided"

    def _of_operands(self, node: onnx.NodeProto) -> Iterator[tuple[float, list[str], str]]:
        """A product of computed operands is as small as its operand of fewest channels makes it."""
        values = [name for name in (*node.input[:2], node.output[0]) if name not in self._constants]
        ids = [(name, self._channels.ids_of(name)) for name in values]
        known = [(name, some) for name, some in ids if some is not None]
        shares = [float((~self._cuttable[self._labels(some)]).mean()) for _, some in known]
        share = min(shares, default=1.0)
        reasons = [reason for _, some in known for reason in self._why(node, some)]
        if not reasons:
            reasons = [f"{node.op_type} {node.name} is a product of no channels"]
        if share > 0:
            yield share, reasons, "frozen"

    def _labels(self, ids: Ids) -> np.ndarray:
        return self._channels.classes_of(ids)

    def _why(self, node: onnx.NodeProto, ids: Ids) -> list[str]:
        """Reasons for which channels are frozen; those of fixed ones are looked for in front."""
        found = []
        for label in np.unique(self._labels(ids)):
            if label == FIXED:
                found.append(self._why_fixed(node))
            elif not self._cuttable[label]:
                found.append(self._reasons.get(int(label), "channels that no weights make"))
        return list(dict.fromkeys(found))

    def _why_fixed(self, node: onnx.NodeProto) -> str:
        """Say what made the fixed channels, or the values without channels, that a node reads."""
        blocked = self._channels.blocked
        while True:
            if node.output[0] in blocked:
                return blocked[node.output[0]]
            values = [name for name in node.input if name and name not in self._constants]
            fixed = sorted((v for v in values if self._is_fixed(v)), key=lambda v: v not in blocked)
            if not fixed:
                return f"{node.op_type} {node.name} makes them of no channels"
            if fixed[0] not in self._makers:
                return "graph input"
            node = self._makers[fixed[0]]

    def _is_fixed(self, value: str) -> bool:
        ids = self._channels.ids_of(value)
        return ids is None or bool((ids == FIXED).all())
