"""How far a graph is from what the device allows: the roofline model.

A node that multiplies and adds F times and moves B bytes takes at least F / peak and at least
B / bandwidth; the larger of the two is its roof (S. Williams, A. Waterman and D. Patterson,
"Roofline: an insightful visual performance model for multicore architectures", 2009: attainable
FLOP/s are min(peak, bandwidth * F / B)). Both limits are measured (`decig.device.measure.limits`).

What a node does is counted in the graph that was given, whatever was made of it: two operations
for each true multiply-accumulate (`decig.graph.cost`), and the bytes that it cannot avoid
(`decig.graph.traffic`). So more than the peak is possible where a rewrite needs fewer
multiplications (Winograd's method), in lower precision, and more than the bandwidth where values
stay in the caches. Operations that are no multiply-accumulates (norms, activations) count as none:
those nodes are limited by the bytes. Nodes that were fused into others, or that a rewrite took out,
are counted with those that do their work.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import onnx

from decig.device.measure.limits import Limits
from decig.device.measure.nodes import NodeTimes, measure_nodes
from decig.device.run.session import DeviceOptions
from decig.graph.cost import count
from decig.graph.inference import inputs_of
from decig.graph.traffic import host_of, traffic

if TYPE_CHECKING:
    from decig.device.cost.table import CostTable

COMPUTE, MEMORY = "compute", "memory"

_SECONDS = 4.0  # of timing a graph, beyond the fewest runs


@dataclass(frozen=True)
class Work:
    """What must be done: multiply-accumulates, and bytes to move."""

    macs: int
    bytes: int


@dataclass(frozen=True)
class Part:
    """A node with what it has absorbed, or a whole graph: its time, its work and its roof.

    Attributes:
        name: of the node.
        op: its operator.
        latency_us: measured.
        work: what it does.
        least_us: what that takes at least; of a whole graph, its nodes' together.
        bound: "compute" or "memory": what the roof of a node is made of, and what the most of a
            whole graph's least time goes to.
    """

    name: str
    op: str
    latency_us: float
    work: Work
    least_us: float
    bound: str

    @property
    def gflops(self) -> float:
        """Achieved 10^9 operations a second."""
        return 2e-3 * self.work.macs / self.latency_us if self.latency_us else 0.0

    @property
    def gbytes_per_s(self) -> float:
        """Achieved 10^9 bytes a second."""
        return 1e-3 * self.work.bytes / self.latency_us if self.latency_us else 0.0

    @property
    def of_limit(self) -> float:
        """Least time as a share of the measured: 1 on the roof."""
        return self.least_us / self.latency_us if self.latency_us else 0.0

    def scaled(self, share: float) -> "Part":
        """Return a share of it."""
        macs, moved = round(share * self.work.macs), round(share * self.work.bytes)
        latency, least = share * self.latency_us, share * self.least_us
        return replace(self, latency_us=latency, work=Work(macs, moved), least_us=least)

    def to_dict(self, limits: Limits) -> dict[str, Any]:
        """Return the JSON object of the reports."""
        return {
            "latency_us": round(self.latency_us, 1),
            "macs": self.work.macs,
            "bytes": self.work.bytes,
            "gflops": round(self.gflops, 3),
            "gbytes_per_s": round(self.gbytes_per_s, 3),
            "of_peak": round(self.gflops / limits.gflops, 4),
            "of_copy": round(self.gbytes_per_s / limits.gbytes_per_s, 4),
            "least_us": round(self.least_us, 1),
            "of_limit": round(self.of_limit, 4),
            "bound": self.bound,
        }


@dataclass(frozen=True)
class Roofline:
    """A graph under the roof of a device.

    Attributes:
        limits: of the device.
        nodes: those that take time, in graph order; their times add up to the latency.
        whole: all of them together.
    """

    limits: Limits
    nodes: list[Part]
    whole: Part

    @classmethod
    def of(
        cls, limits: Limits, nodes: Iterable[tuple[str, str, float]], works: Mapping[str, Work]
    ) -> "Roofline":
        """Judge nodes, given as (name, operator, microseconds), by their work."""
        parts = [
            Part(name, op, us, works[name], *_roof(limits, works[name])) for name, op, us in nodes
        ]
        return cls(limits, [part for part in parts if part.latency_us], cls.together(parts))

    @staticmethod
    def together(parts: Sequence[Part]) -> Part:
        """Add parts up to one without a name."""
        least = {
            bound: sum(part.least_us for part in parts if part.bound == bound)
            for bound in (MEMORY, COMPUTE)
        }
        return Part(
            "",
            "",
            sum(part.latency_us for part in parts),
            Work(sum(part.work.macs for part in parts), sum(part.work.bytes for part in parts)),
            sum(least.values()),
            max(least, key=least.__getitem__),
        )

    def costliest(self, most: int) -> list[Part]:
        """The nodes that take the most time, those first."""
        return sorted(self.nodes, key=lambda part: -part.latency_us)[:most]

    def to_dict(self) -> dict[str, Any]:
        """Return the JSON object of the reports: the whole, and each node."""
        nodes = [{"name": p.name, "op": p.op} | p.to_dict(self.limits) for p in self.nodes]
        return self.whole.to_dict(self.limits) | {"nodes": nodes}


def compare(reference: Roofline, candidate: Roofline) -> dict[str, Any]:
    """Return the JSON object of two graphs on one device."""
    return {
        "limits": reference.limits.to_dict(),
        "reference": reference.to_dict(),
        "candidate": candidate.to_dict(),
    }


def roofline_of(table: "CostTable") -> Roofline | None:
    """Read a cost table's graph under the roof; None for a table without limits."""
    if table.limits is None:
        return None
    works = {node.name: Work(node.macs, node.bytes) for node in table.nodes}
    nodes = [(node.name, node.op, node.latency_us) for node in table.nodes]
    return Roofline.of(table.limits, nodes, works)


def measure_roofline(
    proto: onnx.ModelProto, run: onnx.ModelProto, options: DeviceOptions, limits: Limits
) -> Roofline:
    """Measure the nodes of a graph under the roof.

    Args:
        proto: the graph whose work counts.
        run: the graph to run in its place, rewritten or the same.
        options: the device.
        limits: of that device.

    Raises:
        BadInputError, DecigError: as `decig.device.measure.nodes.measure_nodes`.
    """
    names = [node.name for node in proto.graph.node]
    times = measure_nodes(run, names, options, min_runs=5, max_seconds=_SECONDS)
    scale = times.latency.median / (sum(times.nodes.values()) or 1.0)
    nodes = [(node.name, node.op_type, times.nodes[node.name] * scale) for node in proto.graph.node]
    return Roofline.of(limits, nodes, count_work(proto, times))


def count_work(proto: onnx.ModelProto, times: NodeTimes) -> dict[str, Work]:
    """Count what each node of a graph does, charged to the node that does it.

    Args:
        proto: the graph.
        times: of its nodes, whatever was run in its place.
    """
    hosts = _hosts(proto, times)
    macs = dict.fromkeys((node.name for node in proto.graph.node), 0)
    for name, own in count(proto).by_node.items():
        macs[host_of(name, hosts)] += own
    moved = traffic(proto, hosts)
    return {name: Work(macs[name], moved[name]) for name in macs}


def _hosts(proto: onnx.ModelProto, times: NodeTimes) -> dict[str, str]:
    """Who does the work of each node that took no time.

    Where ONNX Runtime fused a node away, that is known; one that a rewrite took out ends a node
    that it reads, else (a Pad of the input) begins one that reads it.
    """
    hosts = dict(times.absorbed)
    maker = {value: node.name for node in proto.graph.node for value in node.output}
    before: dict[str, list[str]] = {
        node.name: [maker[value] for value in inputs_of(node) if value in maker]
        for node in proto.graph.node
    }
    after: dict[str, list[str]] = {name: [] for name in before}
    for name, makers in before.items():
        for other in makers:
            after[other].append(name)
    for neighbours, order in ((before, list(before)), (after, list(before)[::-1])):
        for name in order:
            if times.nodes[name] or name in hosts:
                continue
            busy = [other for other in neighbours[name] if times.nodes[host_of(other, hosts)]]
            hosts |= {name: busy[-1]} if busy else {}
    return hosts


def _roof(limits: Limits, work: Work) -> tuple[float, str]:
    """Microseconds that work takes at least, and whether "compute" or "memory" says so."""
    compute = 2e-3 * work.macs / limits.gflops
    memory = 1e-3 * work.bytes / limits.gbytes_per_s
    return max((memory, MEMORY), (compute, COMPUTE))
