"""Folders of single images that hold pix2pix's pairs instead: both sides of a pair in one image."""

import contextlib
import logging

from decig.data.images import ImageFolder
from decig.errors import BadInputError

_log = logging.getLogger(__name__)

_LOOKED_AT = 8
"""Images of a folder whose sizes are read."""


def tell_of_joined_pairs(folder: ImageFolder, size: tuple[int, int]) -> None:
    """Warn of images that look like pairs side by side: all of them are twice as wide as high.

    A model that takes one side would be fed both, squeezed into its input.

    Args:
        folder: of images, of which the first ones are looked at.
        size: height and width of the picture that they are fitted to.
    """
    height, width = size
    if width == 2 * height:
        return
    sizes = []
    for file in folder.files[:_LOOKED_AT]:
        with contextlib.suppress(BadInputError):  # said where it is read
            sizes.append(folder.size(file))
    if len(sizes) > 1 and all(wide == 2 * high for wide, high in sizes):
        _log.warning(
            "%s: every image is twice as wide as high, as pairs side by side are: both halves "
            "are taken for one image; if these are pairs, name the half that counts: %s:A for "
            "the left ones, %s:B for the right ones",
            *[folder.path] * 3,
        )
