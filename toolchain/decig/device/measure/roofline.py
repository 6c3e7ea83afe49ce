"""How far a graph is from what the device allows: the roofline model.

A node that multiplies and adds F times and moves B bytes takes at least F / peak and at least
B / bandwidth; the larger of the two is its roof (S. Williams, A. Waterman and D. Patterson,
"Roofline: an insightful visual performance model for multicore architectures", 2009: attainable
FLOP/s are min(peak, bandwidth * F / B)). Both limits are measured (`decig.device.measure.limits`).

The work of a node is counted in the graph that was given, whatever was run instead of it: two
operations for each true multiply-accumulate (`decig.graph.cost`), and the bytes that the node must
move (`decig.graph.traffic`). So a node may exceed the peak where a rewrite needs fewer
multiplications (Winograd's method) or in lower precision, and the bandwidth where values stay in
the caches. Operations that are no multiply-accumulates (norms, activations) count as none: those
nodes are limited by their bytes. Nodes that were fused into others, or that a rewrite removed, are
counted with the nodes that do their work.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import onnx

from decig.device.measure.limits import Limits
from decig.device.measure.nodes import NodeTimes, measure_nodes
from decig.device.run.device import Device
from decig.device.run.timing import Timing
from decig.graph.cost import count
from decig.graph.inference import inputs_of
from decig.graph.traffic import host_of, traffic

COMPUTE, MEMORY = "compute", "memory"

_TIMING = Timing(min_runs=5, max_seconds=4.0)
"""How long a graph is timed."""


@dataclass(frozen=True)
class Work:
    """Work to do: multiply-accumulates, and bytes to move."""

    macs: int
    bytes: int


@dataclass(frozen=True)
class RooflineEntry:
    """A node with those it has absorbed, or a whole graph: its time, its work and its roof.

    Attributes:
        name: name of the node; "" for a whole graph.
        op: operator of the node; "" for a whole graph.
        latency_us: measured microseconds.
        work: the work that it does.
        least_us: microseconds that the work takes at least; those of a whole graph are the sum
            over its nodes.
        bound: "compute" or "memory": which limit sets the least time of a node; for a whole graph,
            the limit that sets most of it.
    """

    name: str
    op: str
    latency_us: float
    work: Work
    least_us: float
    bound: str

    @property
    def gflops(self) -> float:
        """Achieved 10^9 operations per second."""
        return 2e-3 * self.work.macs / self.latency_us if self.latency_us else 0.0

    @property
    def gbytes_per_s(self) -> float:
        """Achieved 10^9 bytes per second."""
        return 1e-3 * self.work.bytes / self.latency_us if self.latency_us else 0.0

    @property
    def of_limit(self) -> float:
        """Least time as a share of the measured time: 1 on the roof."""
        return self.least_us / self.latency_us if self.latency_us else 0.0

    def scaled(self, share: float) -> "RooflineEntry":
        """Return an entry with a share of the time and of the work."""
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
        limits: limits of the device.
        nodes: nodes that take time, in graph order; their times add up to the latency.
        whole: all nodes together.
    """

    limits: Limits
    nodes: list[RooflineEntry]
    whole: RooflineEntry

    @classmethod
    def of(
        cls, limits: Limits, nodes: Iterable[tuple[str, str, float]], works: Mapping[str, Work]
    ) -> "Roofline":
        """Judge nodes, given as (name, operator, microseconds), by their work."""
        entries = []
        for name, op, us in nodes:
            least_us, bound = _roof(limits, works[name])
            entries.append(RooflineEntry(name, op, us, works[name], least_us, bound))
        return cls(limits, [each for each in entries if each.latency_us], cls.together(entries))

    @staticmethod
    def together(entries: Sequence[RooflineEntry]) -> RooflineEntry:
        """Add entries up to one without a name."""
        least = {
            bound: sum(each.least_us for each in entries if each.bound == bound)
            for bound in (MEMORY, COMPUTE)
        }
        return RooflineEntry(
            "",
            "",
            sum(each.latency_us for each in entries),
            Work(sum(each.work.macs for each in entries), sum(each.work.bytes for each in entries)),
            sum(least.values()),
            max(least, key=least.__getitem__),
        )

    def costliest(self, most: int) -> list[RooflineEntry]:
        """The nodes that take the most time, the most expensive first."""
        return sorted(self.nodes, key=lambda entry: -entry.latency_us)[:most]

    def to_dict(self) -> dict[str, Any]:
        """Return the JSON object of the reports: the whole graph, and each node."""
        nodes = [{"name": n.name, "op": n.op} | n.to_dict(self.limits) for n in self.nodes]
        return self.whole.to_dict(self.limits) | {"nodes": nodes}


def compare(reference: Roofline, candidate: Roofline) -> dict[str, Any]:
    """Return the JSON object of two graphs on one device."""
    return {
        "limits": reference.limits.to_dict(),
        "reference": reference.to_dict(),
        "candidate": candidate.to_dict(),
    }


def measure_roofline(
    proto: onnx.ModelProto, run: onnx.ModelProto, device: Device, limits: Limits
) -> Roofline:
    """Measure the nodes of a graph under the roof.

    Args:
        proto: the graph whose work counts.
        run: the graph that is run: the same one, or what rewrites made of it.
        device: the device.
        limits: limits of that device.

    Raises:
        BadInputError, DecigError: as `decig.device.measure.nodes.measure_nodes`.
    """
    names = [node.name for node in proto.graph.node]
    times = measure_nodes(run, names, device, _TIMING)
    scale = times.latency.median / (sum(times.nodes.values()) or 1.0)
    nodes = [(node.name, node.op_type, times.nodes[node.name] * scale) for node in proto.graph.node]
    return Roofline.of(limits, nodes, count_work(proto, times))


def count_work(proto: onnx.ModelProto, times: NodeTimes) -> dict[str, Work]:
    """Count the work of a graph by the node that does it.

    Args:
        proto: the graph.
        times: times of its nodes, whatever was run instead of it.
    """
    hosts = _hosts(proto, times)
    macs = dict.fromkeys((node.name for node in proto.graph.node), 0)
    for name, own in count(proto).by_node.items():
        macs[host_of(name, hosts)] += own
    moved = traffic(proto, hosts)
    return {name: Work(macs[name], moved[name]) for name in macs}


def _hosts(proto: onnx.ModelProto, times: NodeTimes) -> dict[str, str]:
    """Find which node does the work of each node that took no time.

    Where ONNX Runtime fused a node into another one, that is known. A node that a rewrite removed
    is done by a node whose result it reads, else (a Pad of the input) by a node that reads its own.
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
    """Microseconds that work takes at least, and the limit that sets them."""
    compute = 2e-3 * work.macs / limits.gflops
    memory = 1e-3 * work.bytes / limits.gbytes_per_s
    return max((memory, MEMORY), (compute, COMPUTE))
