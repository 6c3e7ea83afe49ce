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
    """Refuse a folder that holds both sides of a data set, and warn of images that look like pairs.

    A model that takes one side would be fed both. Images look like pairs where all of them are
    twice as wide as high: they would be squeezed into the model's input.

    Args:
        folder: of images, of which the first ones are looked at.
        size: height and width of the picture that they are fitted to.

    Raises:
        BadInputError: images of both sides lie there, in folders of their own.
    """
    if message := _both_sides(folder):
        raise BadInputError(message)
    _tell_of_joined_pairs(folder, size)


def tell_of_two_sides(folder: ImageFolder, size: tuple[int, int]) -> None:
    """Warn of all that `require_one_side` refuses or warns of; it has the arguments."""
    if message := _both_sides(folder):
        _log.warning("%s", message)
    _tell_of_joined_pairs(folder, size)


def _both_sides(folder: ImageFolder) -> str:
    """A line that says so if images of both sides of a data set lie in a folder."""
    sides = find_sides(folder.path)
    both = () if sides is None else (sides.a, sides.b)
    if not both or not all(any(f.is_relative_to(side) for f in folder.files) for side in both):
        return ""
    one, other = both
    return (
        f"{folder.path}: holds both sides of a data set; name the folder of one side: {one} or "
        f"{other}"
    )


def _tell_of_joined_pairs(folder: ImageFolder, size: tuple[int, int]) -> None:
    if not _looks_joined(folder, size):
        return
    where = folder.path / "train" if (folder.path / "train").is_dir() else folder.path
    _log.warning(
        "%s: every image is twice as wide as high, as pairs side by side are: both halves "
        "are taken for one image; if these are pairs, name the half that counts: %s:A for "
        "the left ones, %s:B for the right ones",
        *(folder.path, where, where),
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
