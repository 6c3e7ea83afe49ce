"""Folders of images, read as RGB uint8 arrays of shape H,W,3."""

import logging
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps

from decig.errors import BadInputError

SUFFIXES = (".png", ".jpg", ".jpeg", ".webp", ".bmp")

_log = logging.getLogger(__name__)


def read_image(path: Path) -> np.ndarray:
    """Read one image as RGB uint8 H,W,3, turned upright as its EXIF orientation says.

    Transparency is laid over white, as a browser would show it on a page.

    Raises:
        BadInputError: the file is missing, truncated or no image.
    """
    try:
        with Image.open(path) as opened:
            upright = ImageOps.exif_transpose(opened)
            if upright.has_transparency_data:
                rgba = upright.convert("RGBA")
                upright = Image.alpha_composite(Image.new("RGBA", rgba.size, "white"), rgba)
            return np.array(upright.convert("RGB"))
    # Pillow's decoders raise these on damaged files; DecompressionBombError guards the memory.
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        raise BadInputError(f"{path}: not a readable image: {error}") from error


class ImageFolder:
    """The images of a folder and its sub-folders, in the order of their paths.

    Iterating gives `(path, pixels)` for every readable image. An unreadable one is named in a
    warning, left out and kept in `skipped`; it ends the run only if no image is readable.
    """

    def __init__(self, path: Path) -> None:
        """List the folder without opening any image.

        Raises:
            BadInputError: the folder is missing, or holds no file with one of `SUFFIXES`.
        """
        self.path = Path(path)
        if not self.path.is_dir():
            raise BadInputError(f"{path}: no such folder of images")
        self.files = sorted(
            file
            for file in self.path.rglob("*")
            if file.suffix.lower() in SUFFIXES and not file.name.startswith(".")
        )
        if not self.files:
            raise BadInputError(f"{path}: no images there (looked for {', '.join(SUFFIXES)})")
        self.skipped: list[Path] = []

    def __len__(self) -> int:
        """Count the files listed, the unreadable ones included until they have been met."""
        return len(self.files)

    def __iter__(self) -> Iterator[tuple[Path, np.ndarray]]:
        """Yield the path and the RGB uint8 H,W,3 pixels of every readable image.

        Raises:
            BadInputError: no image of the folder is readable.
        """
        readable = 0
        for file in self.files:
            try:
                pixels = read_image(file)
            except BadInputError as error:
                if file not in self.skipped:
                    self.skipped.append(file)
                    _log.warning("skipped %s", error)
                continue
            readable += 1
            yield file, pixels
        if not readable:
            raise BadInputError(f"{self.path}: none of its {len(self.files)} images is readable")
