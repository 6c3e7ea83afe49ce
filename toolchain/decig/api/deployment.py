"""What needs no training: profile, slice, export and check."""

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from decig.api.models import (
    File,
    Given,
    as_path,
    as_source,
    as_sources,
    as_table,
    require_apart,
)
from decig.device.cost.deployed import profile_as_deployed
from decig.device.cost.profile import EFFORTS
from decig.device.cost.table import CostTable
from decig.device.plan.target import Target
from decig.device.run.device import Device
from decig.errors import BadInputError
from decig.progress import Progress, silent
from decig.source.source import Source

if TYPE_CHECKING:
    from decig.deploy.check import Verdict
    from decig.deploy.cut import Cut
    from decig.deploy.exported import Exported

Effort = Literal["quick", "standard", "thorough"]
"""How many widths are measured; see `decig.device.cost.profile.EFFORTS`."""


def profile(
    model: Given,
    *,
    device: Device | None = None,
    effort: Effort = "standard",
    progress: Progress = silent,
) -> CostTable:
    """Measure a model on this machine; takes a minute or more.

    Args:
        model: to measure.
        device: where; None for one thread of the processor.
        effort: how many widths are measured.
        progress: told the step, how far it is from 0 to 1, and its latest figures.

    Returns:
        The cost table; `save` writes it for the other functions and commands.

    Raises:
        DecigError: the model cannot be run there.
    """

    def count(done: int, of: int) -> None:
        progress("profile", done / of, {})

    progress("profile", 0.0, {})  # rewrites are tried before the first measurement is counted
    where = device or Device.of(threads=1)
    table = profile_as_deployed(as_source(model).model, where, count, EFFORTS[effort])
    return table.as_written()


def slice(
    model: Given,
    output: File,
    *,
    keep: float | None = None,
    plan: File | None = None,
    target_latency_ms: float | None = None,
    align: int | None = None,
    table: CostTable | File | None = None,
    force: bool = False,
    repair: File | None = None,
    draws: bool = False,
    verify: bool = False,
    progress: Progress = silent,
) -> "Cut":
    """Cut channels out of a model without training, and write the smaller model.

    One of `keep`, `plan` and `target_latency_ms` is given.

    Args:
        model: to cut.
        output: the ONNX file.
        keep: share of every group's channels that stays, above 0 and at most 1.
        plan: file that lists the channels to keep.
        target_latency_ms: latency to reach in milliseconds; needs `table`.
        align: multiples of which `keep` makes widths; None as the device's stairs are, or 4.
        table: cost table of the model.
        force: accept a table of another device, by which latencies are only predicted.
        repair: folder of images by which channels are scored and weights repaired. As for every
            folder of images, DIR:A stands for the left halves of those in DIR, DIR:B for the right.
        draws: score and repair on random draws, for a model that takes no image.
        verify: compare with the model whose removed channels are read as zero.
        progress: told the step, how far it is from 0 to 1, and its latest figures.

    Raises:
        BadInputError: what is asked for does not go together, or does not fit the model.
        TargetMissedError: no plan is that fast.
        DecigError: the verification failed.
    """
    from decig.deploy.cutter import Cutter

    source = as_source(model)
    require_apart(output, source)
    if sum(value is not None for value in (keep, plan, target_latency_ms)) != 1:
        raise BadInputError("give one of keep, plan and target_latency_ms")
    if align is not None and keep is None:
        raise BadInputError("align goes with keep")
    if keep is not None and not 0 < keep <= 1:
        raise BadInputError(f"keep is {keep}; a share is above 0 and at most 1")
    target = None if table is None else Target.of(as_table(table), source.model, force=force)
    cutter = Cutter(source, target, as_path(repair), drawn=draws, progress=progress)
    if plan is not None:
        proposal = cutter.load(Path(plan))
    elif keep is not None:
        proposal = cutter.keep(keep, align)
    else:
        assert target_latency_ms is not None
        proposal = cutter.reach(target_latency_ms)
    cut = cutter.cut(proposal, verify=verify)
    cut.save(Path(output), source)
    return replace(cut, warnings=() if target is None else target.caveats)


def export(
    model: Given,
    output: File,
    *,
    device: Device | None = None,
    precision: Literal["fp32", "fp16", "int8", "auto"] = "fp32",
    calibration: File | None = None,
    min_ssim: float | None = None,
    min_psnr_db: float | None = None,
    pixel_io: bool = False,
    opset: int | None = None,
) -> "Exported":
    """Write the file to deploy: rewritten where that is faster, verified, and stamped.

    Args:
        model: run folder of `compress`, or any model.
        output: the ONNX file.
        device: where it will run; None for that of the run's plan, or else for one thread of the
            processor.
        precision: of weights and activations; "auto" takes the fastest that is good enough.
        calibration: folder of images for fewer bits; None for the images of the run.
        min_ssim: least SSIM of pictures in fewer bits to those of float32.
        min_psnr_db: least PSNR of the same, in dB.
        pixel_io: whether the file takes and gives uint8 NHWC images in RGB.
        opset: operator set of the file; None for that of the model.

    Raises:
        DecigError: what is asked for does not fit, or the verification failed.
    """
    from decig.deploy.export import export as write
    from decig.deploy.export_job import ExportSettings
    from decig.deploy.precision import Tolerance

    source, least = as_source(model), Tolerance()
    require_apart(output, source)
    wanted = ExportSettings(
        precision,
        as_path(calibration),
        Tolerance(
            least.min_ssim if min_ssim is None else min_ssim,
            least.min_psnr_db if min_psnr_db is None else min_psnr_db,
        ),
        opset,
        pixel_io,
    )
    return write(source, Path(output), device or _planned_device(source), wanted)


def check(
    candidate: Given,
    reference: Given,
    *,
    data: File | None = None,
    targets: File | None = None,
    device: Device | None = None,
    max_latency_ms: float | None = None,
    min_speedup: float | None = None,
    min_ssim: float | None = None,
    min_psnr_db: float | None = None,
    max_kid: float | None = None,
    max_fid: float | None = None,
    max_lpips: float | None = None,
    min_iou: float | None = None,
    max_unreadable: int | None = None,
    inception: File | None = None,
    lpips: File | None = None,
    segmenter: File | None = None,
    grid: File | None = None,
    roofline: bool = False,
    strict: bool = False,
    confidence: float = 0.99,
    timing_s: float = 60.0,
) -> "Verdict":
    """Compare the speed and the pictures of a model with those of its reference.

    Args:
        candidate: the model to judge.
        reference: the model that it should replace.
        data: folder of images to feed both; None where they take none.
        targets: folder of real pictures to compare with.
        device: where both run; None for one thread of the processor.
        max_latency_ms: greatest latency of the candidate, in milliseconds.
        min_speedup: how many times faster than the reference, at least.
        min_ssim: least SSIM to the reference's pictures.
        min_psnr_db: least PSNR to them, in dB.
        max_kid: greatest KID to `targets`, or else to the reference's pictures.
        max_fid: greatest FID to the same; needs `inception`.
        max_lpips: greatest LPIPS to the reference's pictures; needs `lpips`.
        min_iou: least mean IoU of the labels in the pictures; needs `segmenter`.
        max_unreadable: most images that may be unreadable.
        inception: file of the network for FID.
        lpips: file of the network for LPIPS.
        segmenter: file of a network that finds labels in pictures.
        grid: file for pictures of both models side by side.
        roofline: whether to measure the nodes of both beside the limits of the device.
        strict: whether a limit of which it cannot be told whether it is met counts as missed.
        confidence: how sure answers about the latency must be, from 0.5 to below 1.
        timing_s: no more runs are timed after so many seconds; the first twelve always are.

    Raises:
        BadInputError: the models cannot be compared on this data, or a limit needs something that
            is missing. A limit that is missed raises nothing: see `Verdict.passed`.
    """
    from decig.deploy.check import check as compare
    from decig.deploy.judges.panel import Files
    from decig.deploy.tolerances import Tolerances, require_judges
    from decig.device.measure.paired import Patience

    if not 0.5 <= confidence < 1:
        raise BadInputError(f"confidence is {confidence}; it goes from 0.5 to below 1")
    wanted = Tolerances(
        max_latency_ms=max_latency_ms,
        min_speedup=min_speedup,
        min_ssim=min_ssim,
        min_psnr_db=min_psnr_db,
        max_kid=max_kid,
        max_fid=max_fid,
        max_lpips=max_lpips,
        min_iou=min_iou,
        max_unreadable=0 if strict and max_unreadable is None else max_unreadable,
    )
    networks = Files(as_path(inception), as_path(lpips), as_path(segmenter))
    require_judges(wanted, as_path(targets), networks)
    ours, theirs = as_sources(candidate, reference)
    if grid is not None:
        require_apart(grid, ours, theirs)
    return compare(
        ours,
        theirs,
        as_path(data),
        device or Device.of(threads=1),
        wanted,
        as_path(grid),
        targets=as_path(targets),
        networks=networks,
        roofline=roofline,
        strict=strict,
        patience=Patience(confidence=confidence, max_seconds=timing_s),
    )


def _planned_device(source: Source) -> Device:
    """The device that a run was planned for, where it is this machine; else the processor."""
    planned = source.device
    if planned is None or Device.elsewhere(planned) is not None:
        return Device.of(threads=1)
    return Device.described_by(planned)
