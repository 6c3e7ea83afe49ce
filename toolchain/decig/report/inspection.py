"""`decig inspect`: the channel groups of a model and what each of them costs.

A node's cost is charged to the groups of the channels that it puts out, so that the costs of all
groups and of what belongs to none add up to the model's.
"""

import math
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import onnx

from decig.graph.channels import ChannelMap, Group, analyse
from decig.graph.cost import FLOATS, count
from decig.graph.model import Model, input_info, output_info
from decig.graph.plan import Plan
from decig.report.anatomy import Anatomy, Stage, anatomies, stages

if TYPE_CHECKING:
    from decig.device.table import CostTable

REST = "(in no group)"


@dataclass(frozen=True)
class Inspection:
    """What `decig inspect` shows.

    Attributes:
        params: of the whole model.
        macs: of one run.
        groups: in graph order.
        group_params: parameters of the nodes that make a group's channels; `REST` for the rest.
        group_macs: likewise.
        group_latency: likewise, as a share of the whole; None without a cost table.
        kept: channels that a plan keeps of each group; None without a plan.
        anatomies: layers and place of each group.
        ports: shapes of the graph's inputs and outputs, by name.
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

    @property
    def stages(self) -> list[Stage]:
        """Groups at one picture size, in graph order."""
        return stages([group.name for group in self.groups], self.anatomies)

    def to_dict(self) -> dict[str, Any]:
        """Return the JSON object of `decig inspect --json`."""
        return {
            "params": self.params,
            "macs": self.macs,
            "groups": [self._group(group) for group in self.groups],
            "stages": [{"size": list(stage.size), "groups": stage.groups} for stage in self.stages],
        }

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
        table: its cost table, for shares of the latency.
        plan: a plan for it.

    Raises:
        BadInputError: the table or the plan is of another model.
    """
    channels = analyse(model.proto)
    cost = count(model.proto)
    kept = None
    if plan is not None:
        plan.require_fits(channels, model.sha256)
        kept = channels.widths | {name: len(indices) for name, indices in plan.keep.items()}
    shares = None
    if table is not None:
        table.require_same_model(model)
        shares = _charge(channels, {node.name: node.share for node in table.nodes})
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
    )


def _params_by_node(proto: onnx.ModelProto) -> dict[str, int]:
    """Parameters by node; in normal form no two nodes share an initializer."""
    sizes = {
        tensor.name: math.prod(tensor.dims)
        for tensor in proto.graph.initializer
        if tensor.dims and tensor.data_type in FLOATS
    }
    return {node.name: sum(sizes.get(n, 0) for n in node.input) for node in proto.graph.node}


def _charge(channels: ChannelMap, by_node: Mapping[str, float]) -> dict[str, float]:
    """Share each node's figure among the groups of the channels that it puts out.

    A node that computes weights puts out none: its figure goes to the channels they will make.
    """
    owners = _makers(channels)
    charged: dict[str, float] = defaultdict(float)
    for node, figure in by_node.items():
        out = channels.ports[node][1] if node in channels.ports else None
        parts = dict(out.groups) if out else dict.fromkeys([owners.get(node, REST)], 1)
        parts[REST] = parts.get(REST, 0) + (out.fixed if out else 0)
        total = sum(parts.values())
        for name, channels_out in parts.items():
            charged[name] += figure * channels_out / total
    return charged


def _makers(channels: ChannelMap) -> dict[str, str]:
    """Group whose channels a node's weights make, by node name."""
    labels = {int(label): group.name for group in channels.groups for label in group.classes}
    made = {
        b.node: channels.classes_of(b.ids).max() for b in channels.bindings if b.role == "write"
    }
    return {node: labels[int(label)] for node, label in made.items() if int(label) in labels}


def _whole(figures: dict[str, float]) -> dict[str, int]:
    return {name: round(value) for name, value in figures.items()}
