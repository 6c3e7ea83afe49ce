"""What `decig export` is asked for, read and checked before anything is measured."""

import logging
from dataclasses import dataclass, field
from pathlib import Path

import msgspec
import onnx

from decig.data.halves import Part
from decig.deploy.convert import at_opset
from decig.deploy.pixel_io import with_pixel_io
from decig.deploy.precision import AUTO, FP32, Tolerance, require_precision
from decig.device.run.device import Device
from decig.errors import BadInputError
from decig.files import require_writable
from decig.graph.plan import Plan
from decig.schema import read_json
from decig.source.resolve import RUN_FILE
from decig.source.source import Source

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class ExportSettings:
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


class _Asked(msgspec.Struct, frozen=True):
    """What an export reads of the run.json of a run."""

    target_ms: float | None = None


class _Report(msgspec.Struct, frozen=True):
    """What an export reads of the report.json of a run."""

    rewrites: list[str] = []
    predicted_latency_ms: float | None = None
    original_latency_ms: float | None = None


@dataclass(frozen=True)
class ExportJob:
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
        aim: the device that a run was planned for, where that is another one than `device`; None
            where the file is for `device`.
        warnings: what whoever uses the file should know, one line each.
        target_ms: latency that was asked of the run, in milliseconds; None where none was.
    """

    source: Source
    taken: Source
    device: Device
    wanted: ExportSettings
    calibration: Path | None
    images: Path | None
    report: _Report
    plan: Plan | None
    aim: Device | None = None
    warnings: tuple[str, ...] = ()
    target_ms: float | None = None


def prepare(source: Source, output: Path, device: Device, wanted: ExportSettings) -> ExportJob:
    """Read and check everything before anything is measured; errors as `export`."""
    require_writable(output)
    if wanted.pixel_io:
        device.require_unbound()
    aim, elsewhere = _aim(source, device, wanted)
    images, gone = _images(source)
    calibration = wanted.calibration or images
    require_precision(wanted.precision, source, calibration, wanted.opset)
    taken = with_pixel_io(source) if wanted.pixel_io else source
    # The graph as it is stands for the one to come: what it uses cannot be converted either.
    with_opset(taken.model.proto, wanted.opset)
    report, plan, asked = _Report(), None, _Asked()
    if source.run is not None:
        asked = read_json(source.run / RUN_FILE, _Asked, "run description")
        report = read_json(source.run / "report.json", _Report, "report of a run")
        plan = Plan.load(source.run / "plan.json")
    if images is None and wanted.calibration is not None and source.pixels is not None:
        images = wanted.calibration  # these prove more than noise
        next(iter(source.pictures(images, limit=1)))  # what does not fit must fail now
    warnings = (*elsewhere, *gone)
    return ExportJob(
        source,
        taken,
        device,
        wanted,
        calibration,
        images,
        report,
        plan,
        aim,
        warnings,
        asked.target_ms,
    )


def _aim(
    source: Source, device: Device, wanted: ExportSettings
) -> tuple[Device | None, tuple[str, ...]]:
    """The device that a run was planned for, where it is another one, and a line that says so.

    Raises:
        BadInputError: `--precision auto` was asked for, which measures, or the provider of that
            device is not known.
    """
    reason = source.device and device.fingerprint().difference(source.device)
    if source.device is None or not reason:
        return None, ()
    text = f"{source.run}: planned for another device: {reason}"
    if wanted.precision == AUTO:
        raise BadInputError(f"{text}; --precision auto measures on it: give fp32, fp16 or int8")
    warning = (
        f"{text}; the file has the rewrites of the run's cost table, its latency was not measured, "
        "and it was not run there"
    )
    log.warning("%s", warning)
    return Device.described_by(source.device), (warning,)


def _images(source: Source) -> tuple[Path | None, tuple[str, ...]]:
    """Folder of the run's images; None, and a line that says so, where it is gone."""
    if source.images is None or Part.of(source.images).exists:
        return source.images, ()
    warning = f"{source.images}: the images of the run are not there; noise stands in for them"
    log.warning("%s", warning)
    return None, (warning,)


def with_opset(proto: onnx.ModelProto, opset: int | None) -> onnx.ModelProto:
    """Convert a graph to an operator set, where one was asked for."""
    return proto if opset is None else at_opset(proto, opset)
