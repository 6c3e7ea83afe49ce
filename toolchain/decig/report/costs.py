"""What nodes and channel groups cost before and after, for the report of a run."""

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass

from decig.device.cost.table import CostTable, NodeCost
from decig.records import Nodes
from decig.report.inspection import REST

_US = 1000.0
"""Microseconds in a millisecond."""


@dataclass(frozen=True)
class Change:
    """What a node or a group takes, in milliseconds.

    Attributes:
        name: of the node or group.
        detail: what it is, in words; empty for a group.
        before_ms: in the original.
        after_ms: in the result.
    """

    name: str
    detail: str
    before_ms: float
    after_ms: float

    @property
    def saved_ms(self) -> float:
        """By how much it takes less."""
        return self.before_ms - self.after_ms


def by_node(table: CostTable, nodes: Nodes) -> list[Change]:
    """Nodes that take time, before or after; those that took the longest first."""
    changes = [Change(node.name, _detail(node), *_both(nodes, node.name)) for node in table.nodes]
    busy = [change for change in changes if change.before_ms or change.after_ms]
    return sorted(busy, key=lambda change: -max(change.before_ms, change.after_ms))


def by_group(table: CostTable, nodes: Nodes) -> dict[str, Change]:
    """Share the time of every node among the groups of the channels that it puts out.

    Returns:
        Changes by group; under `REST` that of nodes without such channels. They add up to those of
        the nodes.
    """
    before, after = defaultdict[str, float](float), defaultdict[str, float](float)
    for node in table.nodes:
        was, now = _both(nodes, node.name)
        for group, share in _shares(node).items():
            before[group] += share * was
            after[group] += share * now
    return {name: Change(name, "", before[name], after[name]) for name in before}


def _both(nodes: Nodes, name: str) -> tuple[float, float]:
    return nodes.before.get(name, 0.0) / _US, nodes.after.get(name, 0.0) / _US


def _shares(node: NodeCost) -> Mapping[str, float]:
    """Share of a node that belongs to each group."""
    if node.ports is None:
        return {REST: 1.0}
    out = node.ports[1]
    parts = {**out.groups, REST: out.fixed}
    total = sum(parts.values())
    return {name: part / total for name, part in parts.items() if part} if total else {REST: 1.0}


def _detail(node: NodeCost) -> str:
    """The operator, and the groups whose channels it makes."""
    groups = [] if node.ports is None else list(node.ports[1].groups)
    return f"{node.op}, {', '.join(groups)}" if groups else node.op
