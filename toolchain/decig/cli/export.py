"""`decig export`: write the file to deploy."""

import logging
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from decig.cli.options import (
    asked_device,
    device_options,
    json_option,
    output_option,
    source_options,
)
from decig.cli.process import Command, debug_option, show
from decig.cli.values import IMAGES, POSITIVE, Number, Whole

if TYPE_CHECKING:
    from decig.device.run.device import Device
    from decig.source.source import Source

_log = logging.getLogger(__name__)

PRECISIONS = ("fp32", "fp16", "int8", "auto")
"""Those of `decig.deploy.precision`, which takes too long to import for `decig --help`."""


@click.command(cls=Command)
@output_option("The model to deploy.")
@click.option(
    "--precision",
    type=click.Choice(PRECISIONS),
    default="fp32",
    help="fp32 (default), fp16, int8, or auto: the fastest of them that is good enough.",
)
@click.option(
    "--calibration",
    type=IMAGES,
    help="Folder of images for fp16, int8 and auto; without it, the images of the run. DIR:A and "
    "DIR:B stand for the left and the right halves of those in DIR.",
)
@click.option(
    "--min-ssim",
    type=Number(-1, 1),
    metavar="0.98",
    help="Least SSIM of pictures in fewer bits to those of fp32; 0.98 by default.",
)
@click.option(
    "--min-psnr", type=POSITIVE, metavar="32", help="Least PSNR of the same in dB; 32 by default."
)
@click.option("--pixel-io", is_flag=True, help="The file takes and gives uint8 NHWC images in RGB.")
@click.option("--opset", type=Whole(min=1), metavar="N", help="Version of the ONNX operator set.")
@source_options(pixels=True)
@device_options
@json_option
@debug_option
def export(
    source: "Source",
    output: Path,
    device: "Device",
    as_json: bool,
    min_psnr: float | None,
    **asked: Any,
) -> None:
    """Write the file to deploy.

    MODEL is a run folder of compress or train, or any model. Exact rewrites and lower precisions
    are used where they measure faster; the file is verified against the original and stamped.
    """
    from decig.api.deployment import export as write
    from decig.cli.exported import print_export

    if asked["precision"] == "fp32" and (asked["min_ssim"] or min_psnr):
        _log.warning("--min-ssim and --min-psnr judge fewer bits: they change nothing in fp32")
    exported = write(source, output, device=asked_device(device), min_psnr_db=min_psnr, **asked)
    show(exported, as_json, partial(print_export, output))
