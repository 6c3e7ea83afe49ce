"""Pairs of an input image and the target picture that belongs to it."""

import logging
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from decig.data.images import ImageFolder, UnreadableImageError, name_in, read_image
from decig.data.labels import Labels
from decig.errors import BadInputError

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Pair:
    """One example to train on.

    Attributes:
        name: of the input's file (`decig.data.images.name_in`).
        input: RGB uint8 H,W,3.
        target: RGB uint8 of the same size.
    """

    name: str
    input: np.ndarray
    target: np.ndarray


def side_by_side(
    folder: Path, input_side: str = "right", labels: Labels | None = None
) -> list[Pair]:
    """Read images that hold both halves of a pair, as pix2pix stores facades.

    Args:
        folder: images twice as wide as one half.
        input_side: "left" or "right", the half that is the generator's input.
        labels: how to read the inputs, where they are label maps in the colours of a palette.

    Raises:
        BadInputError: there is no usable image, an image has an odd width, or the label maps hold
            ids.
    """
    if labels is not None and labels.ids:
        raise BadInputError(
            f"{folder}: a photo and ids of labels cannot share an image; give the labels' palette"
        )
    pairs = []
    for file, pixels in ImageFolder(folder):
        height, width = pixels.shape[:2]
        if width % 2:
            raise BadInputError(f"{file}: {width}x{height} cannot hold two halves side by side")
        halves = pixels[:, : width // 2], pixels[:, width // 2 :]
        target, source = halves if input_side == "right" else halves[::-1]
        clean = source if labels is None else labels.clean(source, file)
        pairs.append(Pair(name_in(folder, file), clean, target))
    return pairs


class Targets:
    """The images of a folder of targets, found by the names of the inputs that they belong to.

    a.png belongs to a.jpg. In sub-folders the whole path counts, or the name alone where only one
    target has it.

    Attributes:
        folder: the images.
    """

    def __init__(self, folder: Path) -> None:
        """List the folder; BadInputError if it is missing or holds no image."""
        self.folder = ImageFolder(folder)
        files = self.folder.files
        self._by_name = {name_in(folder, file): file for file in files}
        self._alike = Counter(file.stem for file in files)
        self._by_last = {file.stem: file for file in files if self._alike[file.stem] == 1}

    def of(self, name: str) -> Path | None:
        """Return the target of an input (`decig.data.images.name_in`), or None."""
        return self._by_name.get(name) or self._by_last.get(name.rpartition("/")[2])

    def several(self, name: str) -> bool:
        """Whether targets have the last part of this name, in whatever folder."""
        return self._alike[name.rpartition("/")[2]] > 0


def by_stem(inputs: Path, targets: Path, labels: Labels | None = None) -> Iterator[Pair]:
    """Read two folders whose files match by name without suffix, as `Targets` says.

    Names are compared before the first image is read; then pairs are read one at a time. A pair of
    which one file is unreadable is left out, and a warning names it.

    Args:
        inputs: folder of inputs.
        targets: folder of targets.
        labels: how to read the inputs, where they are label maps.

    Yields:
        Pairs, in the order of the inputs' paths.

    Raises:
        BadInputError: there is no usable image, an input has no target or several, or the two are
            of unequal sizes.
    """
    named = Targets(targets)
    folder = ImageFolder(inputs, labels)
    wanted: dict[Path, Path] = {}
    for file in folder.files:  # all of them before the first is read
        name = name_in(inputs, file)
        target = named.of(name)
        if target is None:
            several = named.several(name)
            called = f"{name}, and several {file.stem}," if several else file.stem
            raise BadInputError(f"{file}: no image called {called} in {targets}")
        wanted[file] = target
    for file, pixels in folder:
        try:
            target_pixels = read_image(wanted[file])
        except UnreadableImageError as error:
            _log.warning("skipped %s", error)
            continue
        if target_pixels.shape != pixels.shape:
            raise BadInputError(
                f"{file}: input is {pixels.shape[1]}x{pixels.shape[0]}, its target "
                f"{target_pixels.shape[1]}x{target_pixels.shape[0]}; make them the same size"
            )
        yield Pair(name_in(inputs, file), pixels, target_pixels)
