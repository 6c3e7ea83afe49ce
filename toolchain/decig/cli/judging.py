"""Options of `decig check` about figures for which networks look at the pictures."""

from collections.abc import Mapping
from typing import Any

import click

from decig.cli.options import Function, with_options
from decig.cli.values import EXISTING_FILE, IMAGES, Number


def judge_options(function: Function) -> Function:
    """Networks, real pictures and limits.

    The command gets files as `inception`, `lpips` and `segmenter`; a folder as `targets`; and
    `max_kid`, `max_fid`, `max_lpips` and `min_iou`, numbers. What is not given is None.
    """
    return with_options(
        function,
        click.option(
            "--max-kid",
            type=Number(min=0),
            metavar="0.01",
            help="Greatest KID, on EfficientNet-Lite0 features: to the pictures of --targets where "
            "they are given, else to the reference's.",
        ),
        click.option(
            "--targets",
            type=IMAGES,
            metavar="DIR",
            help="Real pictures to compare with; those of the same names as the images are their "
            "pairs. DIR:A and DIR:B as for --data.",
        ),
        click.option(
            "--inception",
            type=EXISTING_FILE,
            metavar="FILE",
            help="Network for FID and KID, inception-2015-12-05.pt of StyleGAN2-ADA; or any "
            "network of features, as ONNX or TorchScript, for distances under its own name.",
        ),
        click.option(
            "--max-fid",
            type=Number(min=0),
            metavar="20",
            help="Greatest FID, to the same pictures as --max-kid; with --inception.",
        ),
        click.option(
            "--lpips",
            type=EXISTING_FILE,
            metavar="FILE",
            help="Network for LPIPS: vgg16.pt of StyleGAN2-ADA, or two pictures to a distance, as "
            "ONNX or TorchScript.",
        ),
        click.option(
            "--max-lpips",
            type=Number(min=0),
            metavar="0.2",
            help="Greatest LPIPS to the reference's pictures; with --lpips.",
        ),
        click.option(
            "--segmenter",
            type=EXISTING_FILE,
            metavar="FILE",
            help="Network that finds labels in pictures, as ONNX or TorchScript: how well they "
            "agree with the label maps.",
        ),
        click.option(
            "--min-iou",
            type=Number(0, 1),
            metavar="0.4",
            help="Least mean IoU of those labels in CANDIDATE's pictures; with --segmenter.",
        ),
    )


def require_what_judges_need(asked: Mapping[str, Any]) -> None:
    """Check that packages are installed and networks given, before any model is read.

    Args:
        asked: values of the options of `judge_options`, by name.

    Raises:
        BadInputError: something is missing; the message names the option and what it needs.
    """
    from decig.deploy.judges.panel import Files
    from decig.deploy.tolerances import Tolerances, require_judges

    limits = Tolerances(
        max_kid=asked["max_kid"],
        max_fid=asked["max_fid"],
        max_lpips=asked["max_lpips"],
        min_iou=asked["min_iou"],
    )
    files = Files(asked["inception"], asked["lpips"], asked["segmenter"])
    require_judges(limits, asked["targets"], files)
