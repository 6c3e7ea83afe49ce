"""Refusing pictures that show that a range is stated wrongly, before anything is built on them."""

import logging
from collections.abc import Iterable
from itertools import islice

import numpy as np
import onnx

from decig.data.feeds import Feeds
from decig.data.pixels import PixelFormat
from decig.device.run.device import Device
from decig.device.run.threads import worker_threads
from decig.errors import BadInputError
from decig.quality.plausible import PictureValues
from decig.source.source import Source

log = logging.getLogger(__name__)

_LOOKED_AT = 8
"""Images whose pictures tell whether a range is right."""


def implausible(values: PictureValues, pixels: PixelFormat, whose: str) -> str | None:
    """Say what is wrong with a model's pictures, and which flags could be; None if nothing is.

    What is in doubt counts as wrong.

    Args:
        values: of the pictures.
        pixels: the model's pixel format.
        whose: pictures they are, such as "the reference's".
    """
    fault = values.fault() or values.doubt()
    return None if fault is None else _told(fault, pixels, whose)


def _told(fault: str, pixels: PixelFormat, whose: str) -> str:
    given, made = (f"{low:g},{high:g}" for low, high in (pixels.input_range, pixels.output_range))
    return (
        f"{whose} pictures do not look right: {fault}. Is --output-range {made} right, and "
        f"--input-range {given}?"
    )


def require_plausible_model(source: Source, proto: onnx.ModelProto, feeds: Iterable[Feeds]) -> None:
    """Check on a few images that a model's pictures use the range that is stated for them.

    Args:
        source: the model; one that makes no picture passes.
        proto: its graph, or the same in a wider type.
        feeds: what that takes, for every image; the first ones are looked at.

    Raises:
        BadInputError: they do not, or several outputs could be the picture; names the flags.
    """
    if not source.paints:
        return
    wanted, few = [source.picture().name], list(islice(feeds, _LOOKED_AT))
    shown = Device.of(threads=worker_threads()).run_over(proto, few, wanted)
    require_plausible(shown, source.require_pixels(), f"{source.model.path}: the model's")


def require_plausible(outputs: Iterable[np.ndarray], pixels: PixelFormat, whose: str) -> None:
    """Check that a model's pictures use the range that is stated for them.

    What is in doubt is a warning: models with random weights, on which people try things out, may
    look so, and neither repair nor training clips values.

    Args:
        outputs: batches of pictures as the model makes them.
        pixels: the model's pixel format.
        whose: pictures they are.

    Raises:
        BadInputError: they do not; names the flags that state the ranges.
    """
    values = PictureValues()
    for output in outputs:
        values.add(pixels.scaled(output))
    if fault := values.fault():
        raise BadInputError(_told(fault, pixels, whose))
    if doubt := values.doubt():
        log.warning("%s", _told(doubt, pixels, whose))
