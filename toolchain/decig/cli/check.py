"""`decig check`: is a model as fast and as good as asked, compared with its reference?"""

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from decig.cli.gate import GateCommand, gate_options
from decig.cli.judging import judge_options, require_what_judges_need
from decig.cli.options import (
    code_options,
    device_options,
    input_shape_option,
    json_option,
    pixel_options,
)
from decig.cli.process import by_name, debug_option, show
from decig.cli.values import IMAGES, POSITIVE, Number, Whole, latency, output_file
from decig.errors import TargetMissedError

if TYPE_CHECKING:
    from decig.cli.gate import Gate
    from decig.device.run.device import Device
    from decig.source.flags import PixelFlags


@click.command(cls=GateCommand)
@click.argument("candidate")
@click.option("--reference", required=True, metavar="MODEL", help="The model it should replace.")
@click.option(
    "--data",
    type=IMAGES,
    help="Folder of images to feed both models; DIR:A and DIR:B stand for the left and the right "
    "halves of those in DIR.",
)
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
@judge_options
@click.option(
    "--max-unreadable",
    type=Whole(min=0),
    metavar="N",
    help="Most images that may be unreadable, and so not compared; any number by default.",
)
@gate_options
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
    gate: "Gate",
    **asked: Any,
) -> None:
    """Compare CANDIDATE with its reference.

    Measures the latency of both in turns and compares their pictures, also with real ones. The
    exit code is 3 if a limit is surely missed.
    """
    from decig.api.deployment import check as compare
    from decig.cli.verdict import print_verdict
    from decig.source.both import resolve_both

    require_what_judges_need(asked)
    shapes = by_name("--input-shape", input_shapes)
    ours, theirs = resolve_both(
        candidate, reference, flags, shapes, weights, batch_statistics=batch_statistics
    )
    if data is None and (ours.needs_folder or theirs.needs_folder):
        raise click.UsageError("Give --data DIR: the models are fed images, or files.")
    verdict = compare(
        ours, theirs, data=data, device=device, grid=grid, **gate.measuring(), **asked
    )
    gate.write(verdict, candidate)
    protos = {"reference": theirs.model.proto, "candidate": ours.model.proto}
    show(verdict, as_json, partial(print_verdict, protos))
    if verdict.failures:
        raise TargetMissedError(f"{candidate}: {'; '.join(verdict.failures)}")
