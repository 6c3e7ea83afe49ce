"""Folders of single images that hold pix2pix's pairs instead: both sides of a pair in one image."""

import contextlib
import logging
from collections.abc import Sequence
from pathlib import Path

from decig.data.images import image_size
from decig.errors import BadInputError

_log = logging.getLogger(__name__)

_LOOKED_AT = 8
"""Images of a folder whose sizes are read."""


def tell_of_joined_pairs(files: Sequence[Path], size: tuple[int, int]) -> None:
    """Warn of images that look like pairs side by side: all of them are twice as wide as high.

    A model that takes one side would be fed both, squeezed into its input.

    Args:
        files: images of a folder, of which the first ones are looked at.
        size: height and width of the picture that they are fitted to.
    """
    height, width = size
    if not files or width == 2 * height:
        return
    sizes = []
    for file in files[:_LOOKED_AT]:
        with contextlib.suppress(BadInputError):  # said where it is read
            sizes.append(image_size(file))
    if len(sizes) > 1 and all(wide == 2 * high for wide, high in sizes):
        _log.warning(
            "%s: every image is twice as wide as high, as pairs side by side are: both halves "
            "would be taken for one image; if these are pairs, cut them apart first, such as by "
            "mogrify -path LEFT -crop 50%%x100%%+0+0 (ImageMagick)",
            files[0].parent,
        )
