"""The images of a folder one by one, by number: as many as there are, and none kept in memory."""

import logging
from pathlib import Path

import numpy as np

from decig.data.images import ImageFolder, UnreadableImageError, read_image, read_labels
from decig.data.labels import Labels
from decig.errors import BadInputError

_log = logging.getLogger(__name__)


class Gallery:
    """The images of a folder and its sub-folders, in the order of their paths, read when asked for.

    An unreadable file is replaced by the next one that is readable, so that a number always gives
    the same image; a warning names the file once.
    """

    def __init__(self, folder: Path, labels: Labels | None = None) -> None:
        """List the folder and look at its first image.

        Args:
            folder: of the images.
            labels: how to read them, where they are label maps.

        Raises:
            BadInputError: the folder is missing, holds no image or no readable one, or its first
                image is no label map that fits `labels`.
        """
        self.path, self._labels = folder, labels
        images = ImageFolder(folder)
        self._files = images.files
        self._unreadable: set[Path] = set()
        file, pixels = next(iter(images))
        if labels is not None:
            labels.require_like(pixels, file)
            self[0]

    def __len__(self) -> int:
        """Return the number of files, readable or not."""
        return len(self._files)

    def __getitem__(self, number: int) -> np.ndarray:
        """Read an image as RGB uint8 H,W,3.

        Args:
            number: from 0 on; after the last image the first one follows again.

        Raises:
            BadInputError: no image is readable, or a label map holds an id that is no label.
        """
        for offset in range(len(self)):
            file = self._files[(number + offset) % len(self)]
            try:
                return read_image(file) if self._labels is None else read_labels(file, self._labels)
            except UnreadableImageError as error:
                if file not in self._unreadable:
                    self._unreadable.add(file)
                    _log.warning("skipped %s", error)
        raise BadInputError(f"{self.path}: none of its {len(self)} images is readable")
