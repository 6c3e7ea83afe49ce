"""Refusing pictures that show that a range is stated wrongly, before anything is built on them."""

from collections.abc import Iterable

import numpy as np

from decig.data.pixels import PixelFormat
from decig.errors import BadInputError
from decig.quality.plausible import PictureValues


def implausible(values: PictureValues, pixels: PixelFormat, whose: str) -> str | None:
    """Say what is wrong with a model's pictures, and which flags could be; None if nothing is.

    Args:
        values: of the pictures.
        pixels: the model's pixel format.
        whose: pictures they are, such as "the reference's".
    """
    fault = values.fault()
    if fault is None:
        return None
    given, made = (f"{low:g},{high:g}" for low, high in (pixels.input_range, pixels.output_range))
    return (
        f"{whose} pictures do not look right: {fault}. Is --output-range {made} right, and "
        f"--input-range {given}?"
    )


def require_plausible(outputs: Iterable[np.ndarray], pixels: PixelFormat, whose: str) -> None:
    """Check that a model's pictures use the range that is stated for them.

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
    fault = implausible(values, pixels, whose)
    if fault is not None:
        raise BadInputError(fault)
