"""A small compression: a model, its photos, and a table that tells latency by work."""

import dataclasses
from pathlib import Path
from typing import Any

import onnx

from decig.data.pixels import PixelFormat
from decig.device.cost.designs import first_designs
from decig.device.cost.table import CostTable, NodeCost, Noise, ProfiledModel, SweepPoint
from decig.device.plan.target import Target
from decig.device.run.device import Device
from decig.device.run.timing import Latency
from decig.graph.channels import Port, analyse
from decig.graph.cost import count
from decig.graph.model import Model, input_info, load_model
from decig.graph.plan import plan_from_widths
from decig.graph.scoring import magnitude_scores
from decig.graph.slicing import slice_graph
from decig.train.loop import Budget
from decig.train.request import Request
from decig.train.settings import Settings
from tests.samples import write_photos
from tests.train.tiny import tiny_generator

_OVERHEAD_US = 5.0  # of every node


def node_us(proto: onnx.ModelProto) -> dict[str, float]:
    """Microseconds of every node: a thousand multiply-accumulates take one."""
    work = count(proto).by_node
    return {n.name: _OVERHEAD_US + work.get(n.name, 0) / 1000 for n in proto.graph.node}


def total_ms(proto: onnx.ModelProto) -> float:
    """Milliseconds of a graph by that rule."""
    return sum(node_us(proto).values()) / 1000


def work_table(model: Model) -> CostTable:
    """The table of a device that takes `node_us`."""
    channels = analyse(model.proto)
    groups = {group.name: group.channels for group in channels.prunable}
    scores = magnitude_scores(model.proto, channels)
    points = []
    for widths in first_designs(groups, 24):
        plan = plan_from_widths(channels, widths, scores, model.sha256)
        times = node_us(slice_graph(model.proto, channels, plan))
        points.append(SweepPoint(widths, _exactly(sum(times.values())), times))
    full = node_us(model.proto)
    whole = sum(full.values())
    ports = {
        node: (_port(incoming, groups), _port(outgoing, groups))
        for node, (incoming, outgoing) in channels.ports.items()
    }
    nodes = [
        NodeCost(n.name, n.op_type, us, us / whole, n.name, ports=ports.get(n.name))
        for n, us in zip(model.proto.graph.node, full.values(), strict=True)
    ]
    return CostTable(
        device=Device.of().fingerprint(),
        model=ProfiledModel(
            model.sha256,
            model.path.name,
            {info.name: tuple(info.shape) for info in input_info(model.proto)},
        ),
        latency_us=_exactly(whole),
        kernel_sum_over_latency=1.0,
        noise=Noise(1.0, 0.0),
        groups=groups,
        nodes=tuple(nodes),
        sweep=tuple(points),
    )


def small_request(
    folder: Path, proto: onnx.ModelProto | None = None, *, photos: int = 6, **changes: Any
) -> Request:
    """A request for half the latency of a tiny generator of 48x48 pixels, with its files.

    Args:
        folder: for the files; the run goes to `folder/run`.
        proto: the model, in place of `tiny_generator`.
        photos: how many there are.
        changes: of the request; those under `settings` of its settings.
    """
    path = folder / "model.onnx"
    onnx.save(tiny_generator(size=48, width=16) if proto is None else proto, path)
    model = load_model(path)
    table = work_table(model)
    settings = Settings(crop=32, batch=2, held_out=2, repair_crops=4, precision="fp32")
    settings = dataclasses.replace(settings, **changes.pop("settings", {}))
    request = Request(
        model=model,
        pixels=PixelFormat((0.0, 1.0), (0.0, 1.0)),
        device=Target(table),
        images=write_photos(folder / "photos", photos, 60, 64),
        targets=None,
        output_dir=folder / "run",
        target_ms=table.latency_us.median_ms / 2,
        budget=Budget(steps=4),
        settings=settings,
    )
    return dataclasses.replace(request, **changes)


def quiet(*_: Any) -> None:
    """Progress that nobody looks at."""


def _exactly(us: float) -> Latency:
    return Latency(us, 0.0, us, 20)


def _port(port: Port, groups: dict[str, int]) -> Port:
    """A port in which only prunable groups count as groups."""
    fixed = sum(size for name, size in port.groups.items() if name not in groups)
    known = {name: size for name, size in port.groups.items() if name in groups}
    return Port(known, port.fixed + fixed)
