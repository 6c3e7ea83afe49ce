"""Grids of pictures to look at: one row per example, one column per model or source."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from decig.files import atomic_path

_MARGIN = 4
_TITLE_HEIGHT = 20
_JPEG = (".jpg", ".jpeg")


def write_sheet(columns: Mapping[str, Sequence[np.ndarray]], path: Path) -> None:
    """Write a grid with a title over every column.

    Args:
        columns: images by title, uint8 H,W,3, all of one size and equally many per column.
        path: the file, written atomically: JPEG if its name ends in .jpg or .jpeg, else PNG.
    """
    height, width = next(iter(columns.values()))[0].shape[:2]
    rows = max(len(images) for images in columns.values())
    sheet = Image.new(
        "RGB",
        (
            len(columns) * (width + _MARGIN) + _MARGIN,
            rows * (height + _MARGIN) + _MARGIN + _TITLE_HEIGHT,
        ),
        "white",
    )
    draw = ImageDraw.Draw(sheet)
    for column, (title, images) in enumerate(columns.items()):
        left = _MARGIN + column * (width + _MARGIN)
        draw.text((left, 3), title, fill="black", font=ImageFont.load_default(13))
        for row, image in enumerate(images):
            top = _TITLE_HEIGHT + _MARGIN + row * (height + _MARGIN)
            sheet.paste(Image.fromarray(image), (left, top))
    with atomic_path(path) as temporary:
        if path.suffix.lower() in _JPEG:
            sheet.save(temporary, format="JPEG", quality=95, subsampling=0)
        else:
            sheet.save(temporary, format="PNG")
