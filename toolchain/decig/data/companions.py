"""Images that feed inputs beside the photo: masks, second pictures, pictures stacked in channels.

For the input "mask" and the photo street/1.png they are street/1.mask.png or mask/street/1.png in
the same folder. Several pictures that share one input are 1.mask.1.png, 1.mask.2.png and so on, or
lie in mask.1/, mask.2/.
"""

from pathlib import Path

import numpy as np

from decig.data.crops import fit
from decig.data.images import SUFFIXES, read_image
from decig.data.pixels import LUMA
from decig.errors import BadInputError

_MODES = (1, 2, 3, 4)
"""Channels that one image can give: grey, grey and alpha, RGB, RGB and alpha."""


def read_companion(
    folder: Path,
    name: str,
    info_name: str,
    size: tuple[int, int],
    channels: int,
    *,
    alone: bool,
) -> np.ndarray | None:
    """Read the image, or images, that feed an input beside a photo.

    Args:
        folder: of the photos.
        name: of the photo.
        info_name: name of the input.
        size: height and width to which they are fitted as the photo is.
        channels: of the input: those of one image, or as many times 1, 3 or 4 as there are images.
        alone: whether the model takes no photo, so that the file may have the photo's name.

    Returns:
        uint8 H,W,C; None if there is no such file.

    Raises:
        BadInputError: a file is unreadable, or the channels cannot be shared among the images.
    """
    single = _first(folder, f"{name}.{info_name}", f"{info_name}/{name}", *[name] * alone)
    files = [] if single is None else [single]
    while single is None:
        number = len(files) + 1
        file = _first(folder, f"{name}.{info_name}.{number}", f"{info_name}.{number}/{name}")
        if file is None:
            break
        files.append(file)
    if not files:
        return None
    each, rest = divmod(channels, len(files))
    if rest or each not in _MODES:
        raise BadInputError(
            f"{files[-1]}: input {info_name} has {channels} channels, which {len(files)} images "
            f"cannot share; several pictures are {name}.{info_name}.1.png, "
            f"{name}.{info_name}.2.png, ..."
        )
    parts = [_fitted(file, size, each) for file in files]
    return np.concatenate(parts, axis=-1)


def _first(folder: Path, *stems: str) -> Path | None:
    """The first file that is there, with any suffix of an image."""
    for stem in stems:
        for suffix in SUFFIXES:
            for written in (suffix, suffix.upper()):
                if (file := folder / f"{stem}{written}").is_file():
                    return file
    return None


def _fitted(file: Path, size: tuple[int, int], channels: int) -> np.ndarray:
    """Read an image as H,W,C; grey ones, mostly masks, are resized without new levels."""
    pixels = read_image(file, alpha=channels in (2, 4))
    if channels < 3:
        grey = np.round(pixels[..., :3].astype(np.float32) @ LUMA).astype(np.uint8)
        pixels = np.stack([grey, pixels[..., 3]], axis=-1) if channels == 2 else grey
    fitted = fit(pixels, *size, resample="nearest" if channels == 1 else "smooth")
    return fitted.reshape(*size, channels)
