"""Channel groups: which channels of a graph can go, together with which weights.

`analyse` runs the rules of every node over the graph (see `decig.graph.ids`), then gathers united
identities into classes and classes with the same bindings into groups. A class is the unit that
is kept or removed, a group the unit in which people think.
"""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import onnx

from decig.graph.flow import Binding, Cut, Flow, Read, on_axis
from decig.graph.ids import FIXED, Ids, varying_axes
from decig.graph.meanings import unknown
from decig.graph.rules import carry, find
from decig.graph.ties import unite_shared


@dataclass(frozen=True)
class Group:
    """Channels that are made, scaled and read by the same weights.

    Attributes:
        name: of the first weight that makes them.
        classes: class numbers, in channel order; a plan's indices point into it.
        prunable: whether channels may be removed.
        reason: why not, else "".
        exact: False if the kept channels change when others are removed, as they share statistics
            (a LayerNorm).
        nodes: names of the nodes whose weights are bound to it.
        copies: how many channels of the tensor in which they are made each one of `channels`
            stands for (one in every group of a grouped convolution, the four of a pixel shuffle).
    """

    name: str
    classes: np.ndarray
    prunable: bool
    reason: str
    exact: bool
    nodes: list[str]
    copies: int = 1

    @property
    def channels(self) -> int:
        """Number of channels that can be kept or removed one by one."""
        return len(self.classes)


@dataclass(frozen=True)
class Port:
    """Channels on one side of a node: how many of each group, and how many that never change."""

    groups: dict[str, int]
    fixed: int

    def width(self, widths: Mapping[str, int], full: Mapping[str, int]) -> int:
        """Channel count when each group has `widths[group]` of its `full[group]` channels."""
        return self.fixed + sum(
            count * widths.get(group, full[group]) // full[group]
            for group, count in self.groups.items()
        )


class ChannelMap:
    """Result of the analysis of one graph.

    Attributes:
        bindings: axes of initializers whose indices are channels.
        reads: inputs of nodes that mix channels: there a removed channel is as good as zero.
        statistics: nodes that take statistics over several channels.
        groups: all groups, those that cannot be cut included.
        frozen: why a class must stay, by its number; class 0 is that of all fixed channels.
        blocked: why the outputs of nodes that no rule follows are fixed, by value name.
    """

    def __init__(self, flow: Flow) -> None:
        self._flow = flow
        _make_rectangular(flow)
        self._class = flow.space.classes()
        self.bindings: list[Binding] = [
            *(binding for binding in flow.bindings if self._is_apart(binding)),
            *flow.claimed(self._class),
        ]
        self.reads: list[Read] = flow.reads
        self.statistics: list[Read] = flow.statistics
        self.frozen: dict[int, str] = flow.space.frozen(self._class)
        self.blocked: dict[str, str] = flow.blocked
        self.groups: list[Group] = self._gather()
        self._by_name = {group.name: group for group in self.groups}

    def _is_apart(self, binding: Binding) -> bool:
        """Whether a binding tells channels apart; see `Binding.loose`."""
        labels = self._class[binding.ids]
        return not binding.loose or bool((labels != labels.flat[0]).any())

    @property
    def prunable(self) -> list[Group]:
        """Groups that a plan may cut."""
        return [group for group in self.groups if group.prunable]

    @cached_property
    def widths(self) -> dict[str, int]:
        """Channels of every group."""
        return {group.name: group.channels for group in self.groups}

    @property
    def class_count(self) -> int:
        """Number of classes, frozen ones included."""
        return int(self._class.max()) + 1

    def group(self, name: str) -> Group:
        """Return a group by its name."""
        return self._by_name[name]

    def classes_of(self, ids: Ids) -> np.ndarray:
        """Class number of every identity, same shape."""
        labels: np.ndarray = self._class[ids]
        return labels

    def removed(self, keep: Mapping[str, Sequence[int]]) -> np.ndarray:
        """Boolean mask over all identities: what goes if these indices of each group stay."""
        gone = np.zeros(self.class_count, bool)
        for group in self.prunable:
            if group.name in keep:
                gone[group.classes] = True
                gone[group.classes[list(keep[group.name])]] = False
        mask: np.ndarray = gone[self._class]
        return mask

    def part_of(
        self, value: str, array: np.ndarray, keep: Mapping[str, Sequence[int]]
    ) -> np.ndarray:
        """Return what a cut leaves of an array that has the axes and channels of a value.

        Args:
            value: name of the value.
            array: the array.
            keep: indices that stay of each group's channels.
        """
        removed = self.removed(keep)
        ids = self._flow.of(value)
        laid = [] if ids is None else [ids]
        spare = self._flow.spare.get(value, {})
        laid += [on_axis(ids, axis, array.ndim) for axis, ids in spare.items()]
        for each in laid:
            for axis in varying_axes(each):
                others = tuple(a for a in range(each.ndim) if a != axis)
                array = array.compress(~removed[each].all(axis=others), axis)
        return array

    def mend(self, cut: Cut) -> None:
        """Mend shape constants and attributes of the graph that `cut` was made for."""
        for mender in self._flow.menders:
            mender(cut)

    def ids_of(self, value: str) -> Ids | None:
        """Identities of a value of the graph, None where it has no channels."""
        return self._flow.of(value)

    @cached_property
    def ports(self) -> dict[str, tuple[Port, Port]]:
        """Incoming and outgoing channels of every node whose channels are known, by node name."""
        owner = np.full(self.class_count, -1)  # place in self.groups
        for place, group in enumerate(self.groups):
            owner[group.classes] = place
        found = {}
        for node in self._flow.proto.graph.node:
            sides = [name for name in (node.input[:1], node.output[:1]) if name]
            ports = [self._port(name[0], owner) for name in sides]
            if len(ports) == 2 and ports[0] is not None and ports[1] is not None:
                found[node.name] = (ports[0], ports[1])
        return found

    def _port(self, value: str, owner: np.ndarray) -> Port | None:
        ids = self._flow.of(value)
        if ids is None:
            return None
        shape = self._flow.shapes.get(value, ())
        extent = shape[1] if len(shape) > 1 else 1
        if ids.size == 1 and (extent > 1 or owner[self._class[ids]].item() < 0):
            return Port({}, extent)
        places, first, counts = np.unique(
            owner[self._class[ids]], return_index=True, return_counts=True
        )
        in_order = [k for k in np.argsort(first) if places[k] >= 0]
        groups = {self.groups[places[k]].name: int(counts[k]) for k in in_order}
        return Port(groups, ids.size - sum(groups.values()))

    def _gather(self) -> list[Group]:
        """Gather classes that the same bindings touch into groups."""
        frozen = self.frozen
        inexact = self._flow.space.inexact(self._class)
        alike: dict[tuple[bool, bytes], tuple[list[int], np.ndarray]] = {}
        for label, uses in self._uses():
            alike.setdefault((label in frozen, uses.tobytes()), ([], uses))[0].append(label)
        names: Counter[str] = Counter()
        groups = []
        for (stuck, _), (labels, uses) in alike.items():
            bindings = [self.bindings[index] for index in uses if index < len(self.bindings)]
            name = _group_name(bindings)
            names[name] += 1
            groups.append(
                Group(
                    name=name if names[name] == 1 else f"{name}#{names[name]}",
                    classes=np.array(labels),
                    prunable=not stuck and len(labels) > 1,
                    reason=frozen[labels[0]] if stuck else _single(labels),
                    exact=inexact.isdisjoint(labels),
                    nodes=list(dict.fromkeys(binding.node for binding in bindings)),
                    copies=self._copies(bindings, labels),
                )
            )
        return groups

    def _copies(self, bindings: list[Binding], labels: list[int]) -> int:
        made = [b for b in bindings if b.role == "write"] or bindings
        owned = [np.isin(self._class[binding.ids], labels).sum() for binding in made]
        return max(int(max(owned, default=0)) // len(labels), 1)

    def _uses(self) -> Iterator[tuple[int, np.ndarray]]:
        """Every class that some weight touches, with the indices of its bindings and parts."""
        bound = [np.unique(self._class[binding.ids]) for binding in self.bindings]
        weighted = np.isin(np.arange(self.class_count), np.concatenate([[FIXED], *bound]))
        parts = [np.unique(self._class[ids]) for ids in self._flow.parts]
        touching = [*bound, *(part[weighted[part]] for part in parts)]
        labels = np.concatenate([[FIXED], *touching])
        indices = np.repeat(np.arange(-1, len(touching)), [1, *(len(some) for some in touching)])
        order = np.argsort(labels, kind="stable")
        found, starts = np.unique(labels[order], return_index=True)
        for label, uses in zip(found, np.split(indices[order], starts[1:]), strict=True):
            if label != FIXED:
                yield int(label), uses


def analyse(proto: onnx.ModelProto) -> ChannelMap:
    """Find the channel groups of a graph in normal form (`decig.graph.model`).

    Args:
        proto: the graph. Nothing in it makes the analysis fail: what an operator without a rule, an
            unknown attribute or an unknown shape touches is frozen, with the node as the reason.
    """
    flow = Flow(proto)
    for value in proto.graph.input:
        flow.ids[value.name] = flow.fixed(value.name)
    for node in proto.graph.node:
        for name, ids in zip(node.output, _outputs(flow, node), strict=False):
            if name:
                flow.ids[name] = ids
        carry(flow, node)
    for value in proto.graph.output:
        for ids in (flow.of(value.name), *flow.spare.get(value.name, {}).values()):
            flow.space.freeze(ids, f"graph output {value.name}")
    unite_shared(flow)
    return ChannelMap(flow)


def _outputs(flow: Flow, node: onnx.NodeProto) -> list[Ids | None]:
    """Apply the rule of a node; where that cannot be done, freeze all that the node touches."""
    rule = find(node)
    if rule is None:
        return flow.block(node, f"operator {node.op_type} of node {node.name} is not known")
    strange = unknown(node)
    if strange is not None:
        why = f"attribute {strange} of {node.op_type} {node.name} is not known"
        return flow.block(node, why)
    found = flow.findings()
    try:
        for name in node.input:
            if flow.of(name) is not None:
                flow.shape(name)
        result = rule(flow, node)
    except KeyError as missing:
        flow.forget(found)
        return flow.block(node, f"{node.op_type} {node.name}: no static shape for {missing}")
    except (IndexError, ValueError):
        flow.forget(found)
        return flow.block(node, f"{node.op_type} {node.name}: its shapes do not fit together")
    return result if isinstance(result, list) else [result]


def _make_rectangular(flow: Flow) -> None:
    """Tie identities until the channels of every tensor vary along one axis only.

    A cut takes whole slices out of a tensor, so it needs that. Where the identity varies along
    several axes (the [groups, places] of a channel shuffle), only the last of them keeps its
    channels apart. A tie may settle other tensors too (the transposed one of the shuffle), or make
    further ties necessary. So each round ties only tensors that share no channels, and rounds go
    on until no tensor varies along several axes.
    """
    several = [ids for ids in flow.ids.values() if ids is not None and len(varying_axes(ids)) > 1]
    loose = bool(several)
    while loose:
        loose = False
        classes = flow.space.classes()
        # Frozen channels stay in any case, so they need not be told apart.
        classes[np.isin(classes, list(flow.space.frozen(classes)))] = FIXED
        tied = np.zeros(classes.max() + 1, bool)
        for ids in several:
            labels = classes[ids]
            axes = tuple(a for a in varying_axes(ids) if (labels != labels.take([0], a)).any())
            if len(axes) > 1:
                loose = True
                if not tied[labels].any():
                    flow.space.tie(ids, axes[:-1], "reshaped into several axes of channels")
                    tied[labels] = True
                    tied[FIXED] = False


def _group_name(bindings: list[Binding]) -> str:
    """Name a group after the first weight that makes its channels."""
    return layer_name(next((b for b in bindings if b.role == "write"), bindings[0]))


def layer_name(binding: Binding) -> str:
    """Name the layer of a weight as people do: by the weight, if that has a name of its own."""
    stem = binding.initializer.removesuffix(".weight").removesuffix("_weight")
    readable = stem != binding.initializer and "::" not in stem
    return stem if readable else binding.node


def _single(labels: list[int]) -> str:
    return "a single channel" if len(labels) == 1 else ""
