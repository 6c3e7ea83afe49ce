"""`decig inspect`: the channel groups of a model and what each of them costs.

The cost of a node is charged to the groups whose channels it puts out, so that the costs of all
groups, and of what belongs to no group, add up to those of the model.
"""

import math
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import onnx

from decig.graph.channels import ChannelMap, Group, analyse
from decig.graph.cost import FLOATS, count
from decig.graph.model import Model, input_info, output_info
from decig.graph.plan import Plan
from decig.report.anatomy import Anatomy, Stage, anatomies, stages

if TYPE_CHECKING:
    from decig.device.cost.table import CostTable
    from decig.device.measure.roofline import Roofline, RooflineEntry

REST = "(in no group)"
"""Name under which the costs of what belongs to no group are listed."""


@dataclass(frozen=True)
class Inspection:
    """What `decig inspect` shows.

    Attributes:
        params: parameters of the whole model.
        macs: multiply-accumulates of one run.
        groups: the channel groups, in graph order.
        group_params: parameters of the nodes that make the channels of each group; those of all
            other nodes under `REST`.
        group_macs: multiply-accumulates of the same nodes.
        group_latency: their share of the latency; None without a cost table.
        kept: channels that a plan keeps of each group; None without a plan.
        anatomies: layers and picture size of each group.
        ports: shapes of the graph's inputs and outputs, by name.
        roofline: the nodes of the cost table beside the limits of the device; None where the
            table has no limits.
        group_parts: the nodes that make the channels of each group, together, beside those
            limits.
    """

    params: int
    macs: int
    groups: list[Group]
    group_params: dict[str, int]
    group_macs: dict[str, int]
    group_latency: dict[str, float] | None
    kept: dict[str, int] | None
    anatomies: dict[str, Anatomy]
    ports: dict[str, list[int]]
    roofline: "Roofline | None" = None
    group_parts: dict[str, "RooflineEntry"] = field(default_factory=dict)

    @property
    def stages(self) -> list[Stage]:
        """The groups, gathered by the size of their pictures."""
        return stages([group.name for group in self.groups], self.anatomies)

    def to_dict(self) -> dict[str, Any]:
        """Return the JSON object of `decig inspect --json`."""
        found = {
            "params": self.params,
            "macs": self.macs,
            "groups": [self._group(group) for group in self.groups],
            "stages": [{"size": list(stage.size), "groups": stage.groups} for stage in self.stages],
        }
        if self.roofline is not None:
            limits = {"limits": self.roofline.limits.to_dict()}
            found["roofline"] = limits | self.roofline.to_dict()
        return found

    def _group(self, group: Group) -> dict[str, Any]:
        found = {
            "name": group.name,
            "channels": group.channels,
            "prunable": group.prunable,
            "exact": group.exact,
            "reason": group.reason,
            "copies": group.copies,
            "nodes": group.nodes,
            "layers": self.anatomies[group.name].layers,
            "made_by": self.anatomies[group.name].made_by,
            "read_by": self.anatomies[group.name].read_by,
            "params": self.group_params.get(group.name, 0),
            "macs": self.group_macs.get(group.name, 0),
        }
        if self.group_latency is not None:
            found["latency_share"] = round(self.group_latency.get(group.name, 0.0), 4)
        if self.kept is not None:
            found["kept"] = self.kept[group.name]
        return found


def inspect_model(
    model: Model, table: "CostTable | None" = None, plan: Plan | None = None
) -> Inspection:
    """Find a model's groups and what they cost.

    Args:
        model: the graph.
        table: cost table of the model, for shares of the latency.
        plan: a plan for the model, for what it keeps.

    Raises:
        BadInputError: the table or the plan is of another model.
    """
    channels = analyse(model.proto)
    cost = count(model.proto)
    kept = None
    if plan is not None:
        plan.require_fits(channels, model.sha256)
        kept = channels.widths | {name: len(indices) for name, indices in plan.keep.items()}
    shares = roofline = None
    if table is not None:
        table.require_same_model(model, channels)
        shares = _charge(channels, {node.name: node.share for node in table.nodes})
        roofline = table.roofline
    return Inspection(
        cost.params,
        cost.macs,
        channels.groups,
        _whole(_charge(channels, _params_by_node(model.proto))),
        _whole(_charge(channels, cost.by_node)),
        shares,
        kept,
        anatomies(model.proto, channels),
        {v.name: v.shape for v in (*input_info(model.proto), *output_info(model.proto))},
        roofline,
        {} if roofline is None else _group_parts(channels, roofline),
    )


def _params_by_node(proto: onnx.ModelProto) -> dict[str, int]:
    """Parameters of each node; what several nodes share is charged to the first of them."""
    sizes = {
        tensor.name: math.prod(tensor.dims)
        for tensor in proto.graph.initializer
        if tensor.dims and tensor.data_type in FLOATS
    }
    return {node.name: sum(sizes.pop(name, 0) for name in node.input) for node in proto.graph.node}


def _charge(channels: ChannelMap, by_node: Mapping[str, float]) -> dict[str, float]:
    """Share each node's figure among the groups of the channels that it puts out."""
    charged: dict[str, float] = defaultdict(float)
    for node, shares in _shares(channels, by_node).items():
        for name, share in shares.items():
            charged[name] += by_node[node] * share
    return charged


def _group_parts(channels: ChannelMap, roofline: "Roofline") -> dict[str, "RooflineEntry"]:
    """Share the roofline figures of each node among groups, as `_charge` does with its cost."""
    shares = _shares(channels, (part.name for part in roofline.nodes))
    parts: dict[str, list[RooflineEntry]] = defaultdict(list)
    for part in roofline.nodes:
        for name, share in shares[part.name].items():
            parts[name].append(part.scaled(share))
    return {name: roofline.together(found) for name, found in parts.items()}


def _shares(channels: ChannelMap, nodes: Iterable[str]) -> dict[str, dict[str, float]]:
    """Share of each node that belongs to each group.

    A node that computes weights puts out no channels: it belongs to the group whose channels these
    weights make.
    """
    owners = _makers(channels)
    found = {}
    for node in nodes:
        out = channels.ports[node][1] if node in channels.ports else None
        parts = dict(out.groups) if out else dict.fromkeys([owners.get(node, REST)], 1)
        parts[REST] = parts.get(REST, 0) + (out.fixed if out else 0)
        total = sum(parts.values())
        found[node] = {name: channels_out / total for name, channels_out in parts.items()}
    return found


def _makers(channels: ChannelMap) -> dict[str, str]:
    """Name of the group whose channels the weights of a node make, by the name of the node."""
    labels = {int(label): group.name for group in channels.groups for label in group.classes}
    made = {
        b.node: channels.classes_of(b.ids).max() for b in channels.bindings if b.role == "write"
    }
    return {node: labels[int(label)] for node, label in made.items() if int(label) in labels}


def _whole(figures: dict[str, float]) -> dict[str, int]:
    return {name: round(value) for name, value in figures.items()}
