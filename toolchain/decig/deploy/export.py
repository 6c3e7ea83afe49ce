"""`decig export`: the file to deploy: rewritten where it pays, verified, stamped.

A run of `decig compress` is made for the device of its cost table. On any other device nothing is
measured, since latencies would say nothing of that one: the file gets the rewrites that the cost
table was taken with, and it says so.
"""

import importlib.util
import logging
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path

import numpy as np
import onnx

from decig.deploy.export_job import ExportJob, ExportSettings, prepare, with_opset
from decig.deploy.exported import Exported, Size
from decig.deploy.pixel_io import noise_pixels, painter
from decig.deploy.precision import (
    FP32,
    Precision,
    choose_precision,
)
from decig.deploy.verify import (
    Runner,
    before_saturation,
    difference_elsewhere,
    grey_levels,
    noise_feeds,
    relative_difference,
    require_same,
    require_same_pixels,
    runner,
    tolerance_of,
    torch_runner,
)
from decig.device.measure.rewriting import (
    COMPARISON,
    Choice,
    canonical_rules,
    choose_rewrites,
    known_rewrites,
    timed_run,
)
from decig.device.run.device import Device
from decig.device.run.runs import run_session
from decig.device.run.timing import Latency, measure_interleaved, missed
from decig.errors import DecigError
from decig.graph import rewrite
from decig.graph.draws import draws
from decig.graph.model import save_model
from decig.source.source import Source
from decig.source.stamp import stamp

log = logging.getLogger(__name__)

_IMAGES = 4


def export(
    source: Source, output: Path, device: Device, wanted: ExportSettings | None = None
) -> Exported:
    """Write the model that should run on the device.

    Args:
        source: a run of `decig compress`, or any model.
        output: the ONNX file.
        device: where rewrites and precisions are measured, and where the file must run; for a run
            that was planned for another device, only where the file is verified.
        wanted: what the file shall be.

    Raises:
        BadInputError: the file cannot be written, the precision is unknown or lacks images, the
            graph cannot have the operator set, the pixel format is not known, the records of the
            run are damaged, the provider is not installed or has an option that does not go with
            pixels in the graph. Nothing was measured then.
        DecigError: the file would not compute what the source computes.
    """
    job = prepare(source, output, device, wanted or ExportSettings())
    wanted, taken, aim = job.wanted, job.taken, job.aim
    choice = _rewrite(job)
    rewritten = with_opset(choice.proto, wanted.opset)
    precision = Precision(FP32, FP32, rewritten)
    if wanted.precision != FP32:
        plain = with_opset(_for_fewer_bits(taken), wanted.opset)
        precision = choose_precision(
            wanted.precision,
            rewritten,
            plain,
            taken,
            job.calibration,
            device,
            wanted.tolerance,
            aim,
        )
    opened, final = (taken.model.reopen(graph) for graph in (rewritten, precision.proto))
    difference = _difference(job, runner, opened)
    # Proves that the provider alone can run it.
    runner(final, device, "all", given={})(noise_feeds(taken.model.proto, taken.pixels)[0])
    latency = _time(job, final) if aim is None else {}
    exported = Exported(
        choice,
        precision,
        difference,
        _torch_difference(job, opened),
        job.report.predicted_latency_ms,
        Size.of(taken.model.proto),
        Size.of(precision.proto),
        latency,
        (*job.warnings, *_missed(job, latency)),
        _time_from_bytes(job, choice, final) if wanted.pixel_io and aim is None else None,
        job.report.original_latency_ms,
    )
    plan = None if job.plan is None else job.plan.to_dict()
    figures = {
        "device": (source.device if aim and source.device else device.fingerprint()).to_dict(),
        "plan": plan,
        "figures": exported.to_dict(),
    }
    stamp(final, taken.entries() | figures)
    save_model(final, output)
    return exported


def _rewrite(job: ExportJob) -> Choice:
    """Rewrite where it pays; for a device that is not here, where it paid in its cost table."""
    proto, any_size = job.taken.model.proto, job.taken.model.axes is not None
    known = job.report.rewrites
    if job.aim is not None:
        return known_rewrites(proto, known, any_size=any_size)
    return choose_rewrites(proto, job.device, any_size=any_size, known=known)


def _missed(job: ExportJob, latency: Mapping[str, Latency]) -> tuple[str, ...]:
    """Say that a file takes longer than was asked of its run."""
    if not latency or not missed(found := latency["exported"].median_ms, job.target_ms):
        return ()
    warning = f"{job.source.run}: takes {found:.4g} ms, and {job.target_ms:.4g} ms were asked for"
    log.warning("%s", warning)
    return (warning,)


def _time(job: ExportJob, final: onnx.ModelProto) -> dict[str, Latency]:
    """Time the file as it is written, in turns with the model without rewrites.

    Whatever is done to a graph after its rewrites are chosen may change its latency: another
    operator set, fewer bits, dynamic axes.
    """
    model, device = job.taken.model, job.device
    runs = {"exported": timed_run(final, device, model.proto)}
    try:
        plain = timed_run(model.reopen(model.proto), device, model.proto)
        plain()
        runs = {"plain": plain} | runs
    except DecigError as error:
        log.warning("%s: not timed without rewrites: %s", model.path, error)
    return measure_interleaved(runs, COMPARISON)


def _for_fewer_bits(source: Source) -> onnx.ModelProto:
    """Rewrite the graph with the rules that do not need float32."""
    any_size = source.model.axes is not None
    rules = canonical_rules(any_size=any_size) if any_size else tuple(rewrite.RULES)
    kept = [rule for rule in rules if rule not in rewrite.NEED_FLOAT32]
    return rewrite.apply(source.model.proto, kept)[0]


def _difference(
    job: ExportJob, run: Callable[[onnx.ModelProto], Runner], candidate: onnx.ModelProto
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
    given = draws(source.model.proto)  # shapes of the candidate may be open
    what, original = f"{source.model.path}: the graph after and before export", source.model.proto
    if taken.pixel_io and not source.pixel_io:
        noise = noise_pixels(taken)
        single = [p.pixels[None] for p in pictures if p.pixels is not None]
        images = [np.repeat(image, len(noise), axis=0) for image in single] or [noise]
        painters = painter(source, run(original)), painter(taken, runner(candidate, given=given))
        levels = grey_levels(*painters, images)
        require_same_pixels(levels, what)
        return levels / 255
    feeds = [p.feeds for p in pictures] or noise_feeds(original, source.pixels)
    before, after = before_saturation(original, candidate)
    difference = max(
        relative_difference(run(before), runner(after, given=given), feeds),
        difference_elsewhere(source.model, source.model.reopen(original), candidate, source.pixels),
    )
    require_same(difference, what, tolerance_of(original))
    return difference


def _time_from_bytes(job: ExportJob, choice: Choice, final: onnx.ModelProto) -> dict[str, Latency]:
    """Time the file, and the same model with pre- and postprocessing outside, from bytes."""
    source, taken, device = job.source, job.taken, job.device
    rules = [*choice.canonical, *choice.kept]
    plain = with_opset(rewrite.apply(source.model.proto, rules)[0], job.wanted.opset)
    sessions = [device.unbound.open(proto, optimisation="all") for proto in (plain, final)]
    outside = painter(source, partial(run_session, sessions[0]))
    inside = painter(taken, partial(run_session, sessions[1]))
    image = noise_pixels(taken)
    calls = {"outside": partial(outside, image), "inside": partial(inside, image)}
    return measure_interleaved({name: device.undisturbed(call) for name, call in calls.items()})


def _torch_difference(job: ExportJob, rewritten: onnx.ModelProto) -> float | None:
    """Compare the graph with the trained module, where there is a run and torch to run it."""
    if job.source.run is None:
        return None
    if importlib.util.find_spec("torch") is None:
        log.warning("torch is not installed: the file is not compared with the trained module")
        return None
    return _difference(job, torch_runner, rewritten)
