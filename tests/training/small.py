"""A small compression: a model, its photos, and a table that tells latency by work."""

from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any

import msgspec
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
from decig.progress import Progress
from decig.training.compression import pipeline, preview
from decig.training.compression.job import Job
from decig.training.compression.planner import Goal
from decig.training.compression.teacher import Teacher
from decig.training.config import Config
from decig.training.data.examples import Folders
from decig.training.loop.processes import Processes
from decig.training.loop.schedule import Budget
from decig.training.runs.run import RunFolder
from tests.samples import write_photos
from tests.training.tiny import tiny_generator

TABLES = ("train", "distil", "of_method")
"""Tables of the settings, by their names in `Config`."""
_OVERHEAD_US = 5.0
"""Of every node."""


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
    full, work = node_us(model.proto), count(model.proto).by_node
    whole = sum(full.values())
    ports = {
        node: (_port(incoming, groups), _port(outgoing, groups))
        for node, (incoming, outgoing) in channels.ports.items()
    }
    nodes = [
        NodeCost(
            n.name,
            n.op_type,
            us,
            us / whole,
            n.name,
            ports=ports.get(n.name),
            macs=work.get(n.name, 0),
        )
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


def write_table(path: Path, model: Path) -> Path:
    """Write the table of a device that is another one, which takes `node_us`.

    Plans by such a table need --force, and nothing is measured for them.
    """
    return write_model_table(path, load_model(model))


def write_model_table(path: Path, model: Model) -> Path:
    """The same for a model that was read already."""
    table = work_table(model)
    replace(table, device=replace(table.device, cpu="another")).save(path)
    return path


@dataclass(frozen=True)
class Asked:
    """What `decig.training.compression.pipeline.compress` is asked."""

    teacher: Teacher
    folders: Folders
    goal: Goal
    config: Config
    output_dir: Path
    resume: bool = False
    tensorboard: bool = False

    def compress(self, progress: Progress | None = None) -> dict[str, Any]:
        """Run it; returns the report."""
        told = progress or quiet
        what = (self.teacher, self.folders, self.goal, self.config, self.output_dir)
        figures = pipeline.compress(
            *what, resume=self.resume, tensorboard=self.tensorboard, progress=told
        )
        assert figures is not None
        return figures

    def preview(self) -> dict[str, Any]:
        """Plan alone."""
        return preview.preview(self.teacher, self.folders, self.goal, self.config)

    def record(self) -> dict[str, Any]:
        """What run.json says."""
        parts = (self.teacher, self.folders, self.goal, self.config)
        return {key: value for part in parts for key, value in part.record().items()}

    def job(self, progress: Progress | None = None) -> Job:
        """What the steps share, with the run folder opened."""
        run = RunFolder.open(self.output_dir, self.record(), resume=self.resume)
        what = (self.teacher, self.folders, self.goal, self.config)
        return pipeline.prepare(*what, run, Processes(), progress or quiet)

    def but(self, **changes: Any) -> "Asked":
        """The same with other fields, of this record or of those inside; `settings` by key."""
        settings = changes.pop("settings", {})
        found = replace(self, config=with_settings(self.config, **settings))
        for name, value in changes.items():
            for part in ("teacher", "folders", "goal", "config"):
                if name in {field.name for field in fields(getattr(self, part))}:
                    changed = replace(getattr(found, part), **{name: value})
                    found = replace(found, **{part: changed})
                    break
            else:
                found = replace(found, **{name: value})
        return found


def with_settings(config: Config, **settings: Any) -> Config:
    """The same settings with other values, whatever table they stand in; ranges do not count."""
    for key, value in settings.items():
        table = next(t for t in TABLES if key in getattr(config, t).__struct_fields__)
        changed = msgspec.structs.replace(getattr(config, table), **{key: value})
        config = replace(config, **{table: changed})
    return config


def small(
    folder: Path, proto: onnx.ModelProto | None = None, *, photos: int = 6, **changes: Any
) -> Asked:
    """Ask for half the latency of a tiny generator of 48x48 pixels, in 4 steps.

    Args:
        folder: for the files; the run goes to `folder/run`.
        proto: the model, instead of `tiny_generator`.
        photos: how many there are.
        changes: as for `Asked.but`.
    """
    path = folder / "model.onnx"
    onnx.save(tiny_generator(size=48, width=16) if proto is None else proto, path)
    model = load_model(path)
    table = work_table(model)
    settings = {"crop": 32, "batch": 2, "held_out": 2, "repair_crops": 4, "precision": "fp32"}
    return Asked(
        Teacher(model, PixelFormat((0.0, 1.0), (0.0, 1.0))),
        Folders(write_photos(folder / "photos", photos, 60, 64)),
        Goal(Target(table), table.latency_us.median_ms / 2, Budget(steps=4)),
        with_settings(Config.read(None), **settings),
        folder / "run",
    ).but(**changes)


def quiet(*_: Any) -> None:
    """Progress that nobody looks at."""


def _exactly(us: float) -> Latency:
    return Latency(us, 0.0, us, 20)


def _port(port: Port, groups: dict[str, int]) -> Port:
    """A port in which only prunable groups count as groups."""
    fixed = sum(size for name, size in port.groups.items() if name not in groups)
    known = {name: size for name, size in port.groups.items() if name in groups}
    return Port(known, port.fixed + fixed)
