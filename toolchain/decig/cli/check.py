"""`decig check`: is a model as fast and as good as asked, compared with its reference?"""

from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import click

from decig.cli.options import (
    code_options,
    device_options,
    input_shape_option,
    json_option,
    pixel_options,
)
from decig.cli.process import Command, by_name, debug_option, show
from decig.cli.values import EXISTING_FOLDER, POSITIVE, Number, latency, output_file
from decig.errors import BadInputError, TargetMissedError

if TYPE_CHECKING:
    from onnx import ModelProto
    from rich.table import Table

    from decig.deploy.check import Verdict
    from decig.deploy.likeness import Likeness
    from decig.deploy.real import Real
    from decig.device.run.device import Device
    from decig.source.source import PixelFlags

_COSTLIEST = 15
"""Nodes that the table of --roofline shows."""


@click.command(cls=Command)
@click.argument("candidate")
@click.option("--reference", required=True, metavar="MODEL", help="The model it should replace.")
@click.option("--data", type=EXISTING_FOLDER, help="Folder of images to feed both models.")
@click.option(
    "--max-latency",
    "max_latency_ms",
    type=latency,
    metavar="20ms",
    help="Greatest latency of CANDIDATE.",
)
@click.option(
    "--min-speedup",
    type=POSITIVE,
    metavar="4",
    help="How many times faster than the reference, at least.",
)
@click.option(
    "--min-ssim", type=Number(-1, 1), metavar="0.9", help="Least SSIM to the reference's pictures."
)
@click.option(
    "--min-psnr",
    "min_psnr_db",
    type=POSITIVE,
    metavar="25",
    help="Least PSNR to those pictures, in dB.",
)
@click.option(
    "--max-kid",
    type=Number(min=0),
    metavar="0.01",
    help="Greatest KID, on EfficientNet-Lite0 features: to the pictures of --targets where they "
    "are given, else to the reference's.",
)
@click.option(
    "--targets",
    type=EXISTING_FOLDER,
    metavar="DIR",
    help="Real pictures to compare with; those of the same names as the images are their pairs.",
)
@click.option(
    "--max-unreadable",
    type=click.IntRange(min=0),
    metavar="N",
    help="Most images that may be unreadable, and so not compared; any number by default.",
)
@click.option("--strict", is_flag=True, help="Accept no unreadable image: --max-unreadable 0.")
@click.option(
    "--grid",
    type=output_file,
    metavar="FILE",
    help="Write pictures of both models side by side, PNG or JPEG by its name.",
)
@click.option(
    "--roofline", is_flag=True, help="Show the nodes of both beside the limits of the device."
)
@code_options
@input_shape_option
@pixel_options
@device_options
@json_option
@debug_option
def check(
    candidate: str,
    reference: str,
    data: Path | None,
    flags: "PixelFlags",
    input_shapes: list[tuple[str, list[int]]],
    weights: Path | None,
    batch_statistics: bool | None,
    device: "Device",
    as_json: bool,
    grid: Path | None,
    targets: Path | None,
    roofline: bool,
    strict: bool,
    max_unreadable: int | None,
    **asked: float | None,
) -> None:
    """Compare CANDIDATE with its reference.

    Measures the latency of both in turns and compares their pictures, also with real ones. The
    exit code is 3 if a tolerance is missed.
    """
    from decig.deploy.check import Tolerances, require_packages
    from decig.deploy.check import check as compare
    from decig.source.resolve import resolve_both

    most = 0 if strict and max_unreadable is None else max_unreadable
    wanted = Tolerances(**asked, max_unreadable=most)
    require_packages(wanted, targets)
    shapes = by_name("--input-shape", input_shapes)
    ours, theirs = resolve_both(
        candidate, reference, flags, shapes, weights, batch_statistics=batch_statistics
    )
    if data is None and (ours.needs_folder or theirs.needs_folder):
        raise click.UsageError("Give --data DIR: the models are fed images, or files.")
    verdict = compare(ours, theirs, data, device, wanted, grid, targets=targets, roofline=roofline)
    protos = {"reference": theirs.model.proto, "candidate": ours.model.proto}
    show(verdict, as_json, partial(_print_verdict, protos))
    if verdict.failures:
        raise TargetMissedError(f"{candidate}: {'; '.join(verdict.failures)}")


def _print_verdict(protos: Mapping[str, "ModelProto"], verdict: "Verdict") -> None:
    """Show a candidate beside its reference."""
    from decig.cli import roofs
    from decig.cli.tables import columns, console
    from decig.graph.channels import analyse
    from decig.report.anatomy import layer_names

    shown = columns("", right=("reference", "candidate", ""))
    ms = {name: latency.median_ms for name, latency in verdict.latency.items()}
    span = "latency from bytes to bytes, ms" if verdict.from_bytes else "latency, ms"
    _add_pair(shown, span, ms, "{:.3f}", f"{verdict.speedup:.2f} times faster")
    _add_pair(shown, "multiply-accumulates", verdict.macs, "{:,}")
    _add_pair(shown, "parameters", verdict.params, "{:,}")
    alike = verdict.likeness
    _add_pair(shown, "colour (max - min of RGB)", alike.colour, "{:.4f}")
    screen = console()
    screen.print(shown)
    _print_pairs(alike)
    _print_distances(alike)
    for name, other in alike.other_pictures.items():
        own = " in its own range" if "range" in other else ""
        screen.print(f"{name}: SSIM {other['ssim']:.4f}, PSNR {other['psnr_db']:.2f} dB{own}")
    for name, roofline in (verdict.roofline or {}).items():
        screen.print(f"\n{name}")
        layers = layer_names(analyse(protos[name]))
        screen.print(roofs.node_table(roofline, _COSTLIEST, layers))
        screen.print(roofs.summary(roofline.to_dict(), roofline.limits.to_dict()))


def _print_pairs(alike: "Likeness") -> None:
    """Show how like the reference's pictures the candidate's are, one by one."""
    from decig.cli.tables import console

    pairs = alike.pairs
    skipped = f", {len(alike.skipped)} unreadable files skipped" if alike.skipped else ""
    multiscale = "" if pairs.ms_ssim is None else f"MS-SSIM {pairs.ms_ssim:.4f}, "
    console().print(
        f"\nSSIM {pairs.ssim:.4f}, {multiscale}PSNR {pairs.psnr_db:.2f} dB, edge difference "
        f"{alike.edges:.4f} on {alike.images} images{skipped}"
    )


def _print_distances(alike: "Likeness") -> None:
    """Show how far the pictures as a whole are from the reference's, and from real ones."""
    from decig.cli.tables import console
    from decig.quality.features import require_features

    screen = console()
    if alike.distance is None:
        try:
            require_features("KID")
        except BadInputError as advice:
            screen.print(f"left out: {advice}", markup=False)
        return
    far = alike.distance
    screen.print(
        f"KID {far.kid:.5f} (standard error {far.kid_standard_error:.5f}), Frechet distance "
        f"{far.frechet_distance:.3f} to the reference's pictures ({alike.protocol})"
    )
    if alike.real is not None:
        screen.print()
        screen.print(_real_table(alike.real))
        screen.print(f"({alike.real.protocol})")


def _real_table(real: "Real") -> "Table":
    """Lay out how near the pictures of both models are to real ones."""
    from decig.cli.tables import columns

    shown = columns("to real pictures", right=("reference", "candidate", ""))
    far = real.distance
    _add_pair(shown, "KID", {name: each.kid for name, each in far.items()}, "{:.5f}")
    errors = {name: each.kid_standard_error for name, each in far.items()}
    _add_pair(shown, "its standard error", errors, "{:.5f}")
    frechet = {name: each.frechet_distance for name, each in far.items()}
    _add_pair(shown, "Frechet distance", frechet, "{:.3f}")
    if real.pairs is None:
        note = f"{real.matched} of {real.inputs} images have a target of their name"
        shown.add_row("SSIM, PSNR", "-", "-", note)
        return shown
    pairs = real.pairs
    _add_pair(shown, "SSIM", {name: each.ssim for name, each in pairs.items()}, "{:.4f}")
    multiscale = {name: each.ms_ssim for name, each in pairs.items() if each.ms_ssim is not None}
    if multiscale:
        _add_pair(shown, "MS-SSIM", multiscale, "{:.4f}")
    _add_pair(shown, "PSNR, dB", {name: each.psnr_db for name, each in pairs.items()}, "{:.2f}")
    return shown


def _add_pair(
    table: "Table", title: str, values: Mapping[str, float], form: str, note: str = ""
) -> None:
    table.add_row(title, form.format(values["reference"]), form.format(values["candidate"]), note)
