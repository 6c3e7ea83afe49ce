"""`decig export`: the file to deploy: rewritten where it pays, verified, stamped."""

import importlib.util
import logging
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import msgspec
import onnx

from decig.data.inputs import seeded_feeds
from decig.deploy.convert import at_opset
from decig.deploy.pixel_io import noise_pixels, painter, with_pixel_io
from decig.deploy.precision import (
    FP32,
    Precision,
    Tolerance,
    choose_precision,
    require_precision,
)
from decig.deploy.verify import (
    Runner,
    before_saturation,
    difference_elsewhere,
    grey_levels,
    relative_difference,
    require_same,
    require_same_pixels,
    runner,
    tolerance_of,
    torch_runner,
)
from decig.device.measure.rewriting import Choice, canonical_rules, choose_rewrites
from decig.device.run.device import Device
from decig.device.run.timing import Latency, measure_interleaved
from decig.files import require_writable
from decig.graph import rewrite
from decig.graph.cost import count
from decig.graph.model import save_model
from decig.graph.plan import Plan
from decig.schema import read_json
from decig.source.source import Source
from decig.source.stamp import stamp

log = logging.getLogger(__name__)

_IMAGES = 4


@dataclass(frozen=True)
class Exported:
    """What an export did and found; differences are shares of the output range.

    Attributes:
        choice: the rewrites, with the latency before and after.
        precision: the precision used, and what was tried.
        difference: of the float32 graph to the source without any rewrite.
        torch_difference: of the float32 graph to the trained module; None where there is no
            PyTorch or no run.
        predicted_ms: latency that the run's cost table predicted; None where there is no run.
        params: parameters of the file.
        macs: multiply-accumulates of the file.
        from_bytes: latency from the bytes of an image to those of the picture, with pre- and
            postprocessing outside and inside the graph; None where the file takes no bytes.
    """

    choice: Choice
    precision: Precision
    difference: float
    torch_difference: float | None
    predicted_ms: float | None
    params: int
    macs: int
    from_bytes: dict[str, Latency] | None = None

    @property
    def exported_ms(self) -> float:
        """Latency of the file."""
        # The variants were timed in turns with float32, so their ratio holds here too.
        return self.choice.rewritten.median_ms / self.precision.speedup

    def to_dict(self) -> dict[str, Any]:
        """Return the JSON object of `decig export --json`, which is also stamped into the file."""
        found: dict[str, Any] = {
            "latency_ms": {
                "plain": round(self.choice.plain.median_ms, 4),
                "exported": round(self.exported_ms, 4),
            },
            "rewrites": {
                "canonical": self.choice.canonical,
                "kept": self.choice.kept,
                "dropped": self.choice.dropped,
            },
            "precision": self.precision.to_dict(),
            "max_abs_diff": self.difference,
            "params": self.params,
            "macs": self.macs,
        }
        if self.torch_difference is not None:
            found["torch_max_abs_diff"] = self.torch_difference
        if self.predicted_ms is not None:
            found["predicted_latency_ms"] = self.predicted_ms
        if self.from_bytes is not None:
            found["bytes_to_bytes_ms"] = {
                name: round(latency.median_ms, 4) for name, latency in self.from_bytes.items()
            }
        return found


@dataclass(frozen=True)
class Wanted:
    """What the file shall be.

    Attributes:
        precision: "fp32", "fp16", "int8" or "auto".
        calibration: folder of images to calibrate and judge with; None for the images of the run,
            or for draws where the model takes no image.
        tolerance: least likeness to float32.
        opset: operator set of the file; None for that of the source.
        pixel_io: whether the graph takes and gives bytes.
    """

    precision: str = FP32
    calibration: Path | None = None
    tolerance: Tolerance = field(default_factory=Tolerance)
    opset: int | None = None
    pixel_io: bool = False


def export(source: Source, output: Path, device: Device, wanted: Wanted | None = None) -> Exported:
    """Write the model that should run on the device.

    Args:
        source: a run of `decig compress`, or any model.
        output: the ONNX file.
        device: where rewrites and precisions are measured, and where the file must run.
        wanted: what the file shall be.

    Raises:
        BadInputError: the file cannot be written, the precision is unknown or lacks images, the
            graph cannot have the operator set, the pixel format is not known, the records of the
            run are damaged, the provider is not installed or has an option that does not go with
            pixels in the graph. Nothing was measured then.
        DecigError: the file would not compute what the source computes.
    """
    job = _prepare(source, output, device, wanted or Wanted())
    wanted, taken = job.wanted, job.taken
    choice = choose_rewrites(
        taken.model.proto,
        device,
        any_size=taken.model.axes is not None,
        known=job.report.rewrites,
    )
    rewritten = _at_opset(choice.proto, wanted.opset)
    precision = Precision(FP32, FP32, rewritten)
    if wanted.precision != FP32:
        plain = _at_opset(_for_fewer_bits(taken), wanted.opset)
        precision = choose_precision(
            wanted.precision, rewritten, plain, taken, job.calibration, device, wanted.tolerance
        )
    opened, final = (taken.model.reopen(graph) for graph in (rewritten, precision.proto))
    difference = _difference(job, runner, opened)
    # Proves that the provider alone can run it.
    runner(final, device, "all")(seeded_feeds(taken.model.proto, taken.pixels)[0])
    cost = count(precision.proto)
    exported = Exported(
        choice,
        precision,
        difference,
        _torch_difference(job, opened),
        job.report.predicted_latency_ms,
        cost.params,
        cost.macs,
        _time_from_bytes(job, choice, final) if wanted.pixel_io else None,
    )
    plan = None if job.plan is None else job.plan.to_dict()
    figures = {
        "device": device.fingerprint().to_dict(),
        "plan": plan,
        "figures": exported.to_dict(),
    }
    stamp(final, taken.entries() | figures)
    save_model(final, output)
    return exported


class _Report(msgspec.Struct, frozen=True):
    """What an export reads of the report.json of a run."""

    rewrites: list[str] = []
    predicted_latency_ms: float | None = None


@dataclass(frozen=True)
class _Job:
    """One export, checked.

    Attributes:
        source: the model.
        taken: the same, with pixels at its ends where these are wanted.
        device: where it shall run.
        wanted: what the file shall be.
        calibration: images to calibrate and judge with.
        images: images to verify on; None where noise must do.
        report: of the run.
        plan: of the run; None where the model is no run.
    """

    source: Source
    taken: Source
    device: Device
    wanted: Wanted
    calibration: Path | None
    images: Path | None
    report: _Report
    plan: Plan | None


def _prepare(source: Source, output: Path, device: Device, wanted: Wanted) -> _Job:
    """Read and check everything before anything is measured; errors as `export`."""
    require_writable(output)
    if wanted.pixel_io:
        device.require_unbound()
    images = _images(source)
    calibration = wanted.calibration or images
    require_precision(wanted.precision, source, calibration, wanted.opset)
    taken = with_pixel_io(source) if wanted.pixel_io else source
    # The graph as it is stands for the one to come: what it uses cannot be converted either.
    _at_opset(taken.model.proto, wanted.opset)
    report, plan = _Report(), None
    if source.run is not None:
        report = read_json(source.run / "report.json", _Report, "report of a run")
        plan = Plan.load(source.run / "plan.json")
    return _Job(source, taken, device, wanted, calibration, images, report, plan)


def _images(source: Source) -> Path | None:
    """Folder of the run's images; None, and a warning, where it is not there any more."""
    if source.images is None or source.images.is_dir():
        return source.images
    log.warning("%s: the images of the run are not there; noise stands in for them", source.images)
    return None


def _for_fewer_bits(source: Source) -> onnx.ModelProto:
    """Rewrite the graph with the rules that do not need float32."""
    any_size = source.model.axes is not None
    rules = canonical_rules(any_size=any_size) if any_size else tuple(rewrite.RULES)
    kept = [rule for rule in rules if rule not in rewrite.NEED_FLOAT32]
    return rewrite.apply(source.model.proto, kept)[0]


def _difference(
    job: _Job, run: Callable[[onnx.ModelProto], Runner], candidate: onnx.ModelProto
) -> float:
    """Compare the rewritten graph with what it was made from, on a few of the run's images.

    On noise where there are none. With pixels in the graph, pictures are compared in bytes; with
    dynamic axes, they are compared at another size too.

    Args:
        job: the export.
        run: runs the graph before export.
        candidate: the graph after it.

    Raises:
        DecigError: they differ by more than rounding.
    """
    source, taken = job.source, job.taken
    pictures = [] if job.images is None else list(source.pictures(job.images, limit=_IMAGES))
    what, original = f"{source.model.path}: the graph after and before export", source.model.proto
    if taken.pixel_io and not source.pixel_io:
        images = [p.pixels[None] for p in pictures if p.pixels is not None] or [noise_pixels(taken)]
        painters = painter(source, run(original)), painter(taken, runner(candidate))
        levels = grey_levels(*painters, images)
        require_same_pixels(levels, what)
        return levels / 255
    feeds = [p.feeds for p in pictures] or seeded_feeds(original, source.pixels)
    before, after = before_saturation(original, candidate)
    difference = max(
        relative_difference(run(before), runner(after), feeds),
        difference_elsewhere(source.model, source.model.reopen(original), candidate, source.pixels),
    )
    require_same(difference, what, tolerance_of(original))
    return difference


def _time_from_bytes(job: _Job, choice: Choice, final: onnx.ModelProto) -> dict[str, Latency]:
    """Time the file, and the same model with pre- and postprocessing outside, from bytes."""
    source, taken, device = job.source, job.taken, job.device
    rules = [*choice.canonical, *choice.kept]
    outside = painter(source, runner(rewrite.apply(source.model.proto, rules)[0], device, "all"))
    inside = painter(taken, runner(final, device, "all"))
    image = noise_pixels(taken)
    calls = {"outside": partial(outside, image), "inside": partial(inside, image)}
    return measure_interleaved({name: device.undisturbed(call) for name, call in calls.items()})


def _at_opset(proto: onnx.ModelProto, opset: int | None) -> onnx.ModelProto:
    return proto if opset is None else at_opset(proto, opset)


def _torch_difference(job: _Job, rewritten: onnx.ModelProto) -> float | None:
    """Compare the graph with the trained module, where there is a run and torch to run it."""
    if job.source.run is None:
        return None
    if importlib.util.find_spec("torch") is None:
        log.warning("torch is not installed: the file is not compared with the trained module")
        return None
    return _difference(job, torch_runner, rewritten)
