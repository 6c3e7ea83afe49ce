"""Pairs of an input image and the target picture that belongs to it."""

import contextlib
from collections import Counter
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from decig.data.gallery import require_side
from decig.data.halves import Part
from decig.data.images import (
    ImageFolder,
    UnreadableImageError,
    image_size,
    name_in,
    read_image,
    read_labels,
)
from decig.data.labels import Labels
from decig.data.layouts import Split
from decig.errors import BadInputError

ROOM_BYTES = 2**31
"""Memory that the pairs of one part of a data set may keep once they were read."""


@dataclass(frozen=True)
class Pair:
    """One example to train on.

    Attributes:
        file: of the input.
        name: of that file (`decig.data.images.name_in`).
        input: RGB uint8 H,W,3.
        target: RGB uint8 of the same size, or of a whole number of times that size.
    """

    file: Path
    name: str
    input: np.ndarray
    target: np.ndarray


class Pairs:
    """The pairs in one part of a data set, by number; each is read when it is first asked for.

    Pairs that were read stay in memory while there is room for them. One that has an unreadable
    file is replaced by the next that is readable, so that a number always gives the same pair; a
    warning names the file.
    """

    def __init__(self, split: Split, direction: str, labels: Labels | None = None) -> None:
        """List the files, match their names, and look at the first pair.

        Args:
            split: where the sides A and B lie.
            direction: "AtoB" takes A as the input and B as its target, "BtoA" the other way round.
            labels: how to read the inputs, where they are label maps.

        Raises:
            BadInputError: there is no usable image, names do not match (see `by_stem`), the
                inputs are no label maps where they should be, or hold ids beside a photo.
        """
        if split.joined and labels is not None and labels.ids:
            raise BadInputError(
                f"{split.a}: a photo and ids of labels cannot share an image; give the labels' "
                "palette"
            )
        self._backwards, self._labels = direction == "BtoA", labels
        folders = (split.b, split.a) if self._backwards else (split.a, split.b)
        self.folder, self._joined = folders[0], split.joined
        self._half = Part(folders[0], "A" if split.joined else None)
        self._inputs = ImageFolder(split.a if split.joined else folders[0])
        if split.joined:
            self._files = [(file, file) for file in self._inputs.files]
        else:
            self._files = list(_matched(self._inputs, Targets(folders[1])).items())
        self._read: dict[int, Pair] = {}
        self._room = ROOM_BYTES
        self._unreadable: set[int] = set()
        self._require_label_maps()
        self[0]

    def __len__(self) -> int:
        """Return the number of pairs, readable or not."""
        return len(self._files)

    def __iter__(self) -> Iterator[Pair]:
        """Yield all pairs in the order of the inputs' paths."""
        return (self[number] for number in range(len(self)))

    def __getitem__(self, number: int) -> Pair:
        """Return a pair.

        Args:
            number: from 0 on, below the number of pairs.

        Raises:
            BadInputError: no pair is readable, its two images are of unequal sizes, or its label
                map holds an id that is no label.
        """
        for offset in range(len(self)):
            place = (number + offset) % len(self)
            if place in self._read:
                return self._read[place]
            if place in self._unreadable:
                continue
            try:
                pair = self._open(*self._files[place])
            except UnreadableImageError as error:
                self._unreadable.add(place)
                self._inputs.skip(self._files[place][0], error)
                continue
            size = pair.input.nbytes + pair.target.nbytes
            if size <= self._room:
                self._room -= size
                self._read[place] = pair
            return pair
        raise BadInputError(f"{self.folder}: none of its {len(self)} pairs is readable")

    def require_at_least(self, side: int) -> None:
        """Check the sizes of all pairs by the headers of their files, before any is decoded.

        Raises:
            BadInputError: a pair is smaller than side x side pixels, cannot be halved, or its
                images are of unequal sizes.
        """
        for file, target in self._files:
            with contextlib.suppress(UnreadableImageError):  # named when it is read
                width, height = size = image_size(file)
                if not self._joined:
                    _require_equal(file, size, image_size(target))
                require_side(file, (self._half.width(width, height, file), height), side)

    def _open(self, file: Path, target_file: Path) -> Pair:
        """Read a pair; its name is that of the input's file."""
        name, labels = name_in(self.folder, file), self._labels
        if not self._joined:
            source = read_image(file) if labels is None else read_labels(file, labels)
            target = read_image(target_file)
            _require_equal(file, source.shape[1::-1], target.shape[1::-1])
            return Pair(file, name, source, target)
        pixels = read_image(file)
        height, width = pixels.shape[:2]
        middle = self._half.width(width, height, file)
        halves = pixels[:, :middle], pixels[:, middle:]
        source, target = halves[::-1] if self._backwards else halves
        return Pair(file, name, source if labels is None else labels.clean(source, file), target)

    def _require_label_maps(self) -> None:
        """Look whether the first readable input is a label map, where it should be one."""
        if self._labels is None:
            return
        file, pixels = next(iter(ImageFolder(self.folder)))
        if self._joined:
            middle = pixels.shape[1] // 2
            pixels = pixels[:, middle:] if self._backwards else pixels[:, :middle]
        self._labels.require_like(pixels, file)


def _require_equal(
    file: Path, size: tuple[int, ...], target: tuple[int, ...], scale: int = 1
) -> None:
    """Compare the sizes of an input, times `scale`, and its target, width before height."""
    wanted = scale * size[0], scale * size[1]
    if wanted != target:
        mend = f"make the target {wanted[0]}x{wanted[1]}, as the model's pictures are {scale} times"
        raise BadInputError(
            f"{file}: input is {size[0]}x{size[1]}, its target {target[0]}x{target[1]}; "
            + ("make them the same size" if scale == 1 else f"{mend} as large as its inputs")
        )


class Targets:
    """The images of a folder of targets, found by the names of the inputs that they belong to.

    a.png belongs to a.jpg. In sub-folders the whole path counts, or the name alone where only one
    target has it. Of two that differ by nothing but their suffix, neither belongs to an input.

    Attributes:
        folder: the images.
    """

    def __init__(self, folder: Path) -> None:
        """List the folder; BadInputError if it is missing or holds no image."""
        self.folder = ImageFolder(folder)
        files = self.folder.files
        times = Counter(self.folder.name(file) for file in files)
        by_name = {self.folder.name(file): file for file in files}
        # a.jpg and a.png beside each other: nobody knows which of them is meant.
        self._by_name = {name: file for name, file in by_name.items() if times[name] == 1}
        self._alike = Counter(file.stem for file in files)
        self._by_last = {file.stem: file for file in files if self._alike[file.stem] == 1}

    def of(self, name: str) -> Path | None:
        """Return the target of an input (`decig.data.images.name_in`), or None."""
        return self._by_name.get(name) or self._by_last.get(name.rpartition("/")[2])

    def several(self, name: str) -> bool:
        """Whether targets have the last part of this name, in whatever folder."""
        return self._alike[name.rpartition("/")[2]] > 0


def by_stem(
    inputs: Path,
    targets: Path,
    labels: Labels | None = None,
    *,
    beside: Collection[str] = (),
    scale: int = 1,
) -> Iterator[Pair]:
    """Read two folders whose files match by name without suffix, as `Targets` says.

    Names are compared before the first image is read; then pairs are read one at a time. A pair of
    which one file is unreadable is left out, and a warning names it.

    Args:
        inputs: folder of inputs.
        targets: folder of targets.
        labels: how to read the inputs, where they are label maps.
        beside: names of inputs that other files in the folder of inputs feed, as in `ImageFolder`.
        scale: how many times as large as its input a target must be.

    Yields:
        Pairs, in the order of the inputs' paths.

    Raises:
        BadInputError: there is no usable image, an input has no target or several, or the two do
            not have the sizes that they should have.
    """
    folder = ImageFolder(inputs, labels, beside=beside)
    named = Targets(targets)
    wanted = _matched(folder, named)
    for file, pixels in folder:
        try:
            target_pixels = named.folder.read(wanted[file])
        except UnreadableImageError as error:
            named.folder.skip(wanted[file], error)
            continue
        _require_equal(file, pixels.shape[1::-1], target_pixels.shape[1::-1], scale)
        yield Pair(file, folder.name(file), pixels, target_pixels)


def _matched(inputs: ImageFolder, targets: Targets) -> dict[Path, Path]:
    """The target's file for each input's, as `by_stem` says; errors as there."""
    wanted: dict[Path, Path] = {}
    for file in inputs.files:
        name = inputs.name(file)
        target = targets.of(name)
        if target is None:
            called = f"{name}, and several {file.stem}," if targets.several(name) else file.stem
            raise BadInputError(f"{file}: no image called {called} in {targets.folder.path}")
        wanted[file] = target
    return wanted
