"""Folders of images to feed that hold both sides of pairs: data sets of pix2pix and CycleGAN."""

import contextlib
import logging

from decig.data.images import ImageFolder
from decig.data.layouts import find_sides
from decig.errors import BadInputError

_log = logging.getLogger(__name__)

_LOOKED_AT = 8
"""Images of a folder whose sizes are read."""


def require_one_side(folder: ImageFolder, size: tuple[int, int]) -> None:
    """Refuse a data set with a folder for each side, and warn of images that look like pairs.

    A model that takes one side would be fed both. Images look like pairs where all of them are
    twice as wide as high: they would be squeezed into the model's input.

    Args:
        folder: of images, of which the first ones are looked at.
        size: height and width of the picture that they are fitted to.

    Raises:
        BadInputError: the folder holds both sides of a data set in folders of their own.
    """
    path = folder.path
    if sides := find_sides(path):
        one, other = (side.relative_to(path).as_posix() for side in (sides.a, sides.b))
        raise BadInputError(
            f"{path}: holds both sides of a data set, {one} and {other}; name the folder of one "
            f"side, such as {sides.a}"
        )
    if _looks_joined(folder, size):
        where = path / "train" if (path / "train").is_dir() else path
        _log.warning(
            "%s: every image is twice as wide as high, as pairs side by side are: both halves "
            "are taken for one image; if these are pairs, name the half that counts: %s:A for "
            "the left ones, %s:B for the right ones",
            *(path, where, where),
        )


def _looks_joined(folder: ImageFolder, size: tuple[int, int]) -> bool:
    """Whether all of several images are twice as wide as high, and the model takes none such."""
    height, width = size
    if width == 2 * height:
        return False
    sizes = []
    for file in folder.files[:_LOOKED_AT]:
        with contextlib.suppress(BadInputError):  # said where it is read
            sizes.append(folder.size(file))
    return len(sizes) > 1 and all(wide == 2 * high for wide, high in sizes)
