"""The images of a folder one by one, by number: as many as there are, and none kept in memory."""

import contextlib
from pathlib import Path

import numpy as np

from decig.data.images import ImageFolder, UnreadableImageError
from decig.errors import BadInputError


class Gallery:
    """The images of a folder and its sub-folders, in the order of their paths, read when asked for.

    An unreadable file is replaced by the next one that is readable, so that a number always gives
    the same image; a warning names the file once.
    """

    def __init__(self, folder: Path) -> None:
        """List the folder and read its first image.

        Args:
            folder: of the images.

        Raises:
            BadInputError: the folder is missing, or holds no image or no readable one.
        """
        self.path = folder
        self._folder = ImageFolder(folder)
        self._files = self._folder.files
        self[0]  # so that an unusable folder is refused before training begins

    def __len__(self) -> int:
        """Return the number of files, readable or not."""
        return len(self._files)

    def __getitem__(self, number: int) -> np.ndarray:
        """Read an image as RGB uint8 H,W,3.

        Args:
            number: from 0 on; after the last image the first one follows again.

        Raises:
            BadInputError: no image is readable.
        """
        for offset in range(len(self)):
            file = self._files[(number + offset) % len(self)]
            try:
                return self._folder.read(file)
            except UnreadableImageError as error:
                self._folder.skip(file, error)
        raise BadInputError(f"{self.path}: none of its {len(self)} images is readable")

    def require_at_least(self, side: int) -> None:
        """Check the sizes of all images by the headers of their files, before any is decoded.

        A side of one pixel every image has, so that no file is opened.

        Raises:
            BadInputError: an image is smaller than side x side pixels.
        """
        if side <= 1:
            return
        for file in self._files:
            with contextlib.suppress(UnreadableImageError):  # named when it is read
                require_side(file, self._folder.size(file), side)


def require_side(file: Path, size: tuple[int, int], side: int) -> None:
    """Check that crops of a side fit into an image.

    Args:
        file: for the message.
        size: width and height of the image, in pixels.
        side: of the crops, in pixels.

    Raises:
        BadInputError: they do not.
    """
    if min(size) < side:
        raise BadInputError(
            f"{file}: a {size[0]}x{size[1]} image is too small for {side}x{side} crops"
        )
