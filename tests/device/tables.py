"""Cost tables of a device that is known exactly."""

import math

from decig.device.cost.designs import first_designs
from decig.device.cost.table import CostTable, NodeCost, Noise, ProfiledModel, SweepPoint
from decig.device.run.device import Device
from decig.device.run.timing import Latency
from decig.graph.channels import Port

GROUPS = {"a": 64, "b": 128, "c": 64}
NODES = {
    "stem": (Port({}, 3), Port({"a": 64}, 0)),
    "norm": (Port({"a": 64}, 0), Port({"a": 64}, 0)),
    "mid": (Port({"a": 64}, 0), Port({"b": 128}, 0)),
    "skip": (Port({"b": 128}, 0), Port({"c": 64}, 0)),
    "head": (Port({"c": 64, "a": 64}, 0), Port({}, 3)),
}


def true_us(name: str, x: int, y: int) -> float:
    """Stairs of 16 outputs for the convolutions, smooth for the others."""
    if name == "norm":
        return 30.0 + 8.0 * y
    if name == "skip":
        return 40.0 + 0.4 * x * y
    return 60.0 + 0.5 * x * 16 * math.ceil(y / 16)


def true_nodes(widths: dict[str, int]) -> dict[str, float]:
    return {
        name: true_us(name, *(port.width(widths, GROUPS) for port in ports))
        for name, ports in NODES.items()
    }


def latency(us: float) -> Latency:
    return Latency(us, us / 100, us * 1.05, 20)


def make_table(*, sweep: bool = True, beyond: float = 1.02, drift: float = 1.1) -> CostTable:
    """A table whose runs take `beyond` times their kernels, the whole model `drift` times that."""
    points = [
        SweepPoint(widths, latency(beyond * sum(true_nodes(widths).values())), true_nodes(widths))
        for widths in (first_designs(GROUPS, 26) if sweep else [])
    ]
    full = true_nodes(GROUPS)
    total = sum(full.values())
    nodes = [
        NodeCost(
            name=name,
            op="Conv",
            latency_us=beyond * drift * us,
            share=us / total,
            signature=name,
            ports=NODES[name],
        )
        for name, us in full.items()
    ]
    nodes.append(NodeCost("relu", "Relu", 0.0, 0.0, "Relu", "stem", NODES["norm"]))
    return CostTable(
        device=Device.of().fingerprint(),
        model=ProfiledModel("ab" * 32, "m.onnx", {"x": (1, 3, 64, 64)}),
        latency_us=latency(beyond * drift * total),
        kernel_sum_over_latency=1 / beyond,
        noise=Noise(1.0, 0.01),
        groups=dict(GROUPS),
        nodes=tuple(nodes),
        sweep=tuple(points),
    )
