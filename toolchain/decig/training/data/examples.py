"""The user's images: those that students are trained on, and those held out to judge them."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch

from decig.data.crops import bound, fit
from decig.data.feeds import Feeds, Inputs, drawn_names
from decig.data.gallery import Gallery
from decig.data.images import ImageFolder
from decig.data.pairs import by_stem
from decig.data.ports import output_image
from decig.data.two_sided import require_one_side
from decig.errors import BadInputError
from decig.training.compression.adversary import AUTO, Real
from decig.training.compression.teacher import Teacher
from decig.training.data.pool import Example
from decig.training.pytorch.discriminator import digest, load_discriminator
from decig.training.tasks.distil import Settings
from decig.training.trainable.memory import free_bytes

_WITH_ALPHA = 4
"""Channels of images whose transparency is fed."""
_WHOLE = (1, 3)
"""Channels of pictures that are opaque, and of more than a and b."""
_LEAST = 2
"""Images that a folder must have: one to train on, and one to judge by."""
_TOO_FEW = "{folder}: one image is not enough; give at least two"
_SAMPLED = 256
"""Images by which the memory is told that all of a folder take."""
_DRAWS = 64
"""Pictures of a model that takes no image."""
JUDGED, SHOWN = 8, 12
"""Images held out where nobody says how many: to judge by, and, where they are few, to show."""
_SHARE, _SHARE_SHOWN = 5, 8
"""One of so many images is held out at most, to judge by and to show."""


@dataclass(frozen=True)
class Folders:
    """Where a compression finds its images, and the judge of those that students paint.

    Attributes:
        images: what the model is fed; None where it takes no image.
        targets: real pictures for them, by the same names, or None.
        unpaired: real pictures of what the model is to paint, of whatever they are made, or None.
        discriminator: file of the discriminator that the model was trained with, or None.
    """

    images: Path | None
    targets: Path | None = None
    unpaired: Path | None = None
    discriminator: Path | None = None

    def record(self) -> dict[str, Any]:
        """Return what the file of a run says of them; of a discriminator, the weights count.

        Raises:
            BadInputError: the file of the discriminator holds none.
        """
        judge = self.discriminator
        weights = None if judge is None else digest(load_discriminator(judge))
        found = {"discriminator": judge and {"path": str(judge), "sha256": weights}}
        return found | {
            name: None if path is None else str(path)
            for name, path in (
                ("images", self.images),
                ("targets", self.targets),
                ("unpaired", self.unpaired),
            )
        }


class Examples:
    """Images in a seeded order, read once, when they are first asked for.

    Images are stored no larger than crops can make use of, so that a folder of photos straight
    from a camera fits into memory, and crops show things as large as the model will see them. More
    of them than memory holds are refused once the first ones are read.

    Attributes:
        folders: where the images are.
        inputs: the teacher's inputs, and where each gets its values from.
        paired: whether every image has a real target.
        unpaired: real pictures that belong to no image, where there are some.
        discriminator: file of the discriminator that the model was trained with, or None.
    """

    def __init__(
        self, teacher: Teacher, folders: Folders, settings: Settings, *, seed: int, whole: bool
    ) -> None:
        """List the images; none is read yet.

        Args:
            teacher: what they are for.
            folders: where they are.
            settings: sizes of the crops, and how many images are held out.
            seed: of the order.
            whole: whether crops as large as the model's input will be asked for.

        Raises:
            BadInputError: the images do not fit the model, or are too few.
        """
        self._teacher, self._settings, self._seed = teacher, settings, seed
        proto = teacher.model.proto
        self.inputs = Inputs.of(proto, teacher.pixels, teacher.feeds, folders.images)
        self.paired = folders.targets is not None
        self.unpaired = None if folders.unpaired is None else Gallery(folders.unpaired)
        self.discriminator = folders.discriminator
        self.folders, self._whole = folders, whole
        if self.inputs.image is None:
            if self.paired:
                raise BadInputError("--targets needs a model that takes images")
            return
        teacher.pixels.require_input(self.input_channels)
        if self.scale is None and self.paired:
            raise BadInputError(
                "--targets needs a model whose pictures are a whole number of times as large as "
                "its inputs"
            )
        if self.picture_channels not in _WHOLE and not self.only_teacher:
            order = teacher.pixels.channel_order.upper()
            raise BadInputError(
                f"real pictures (--targets, --unpaired) are opaque and whole: the model makes "
                f"{self.picture_channels} channels ({order}), and they go with 1 or 3"
            )
        self._require_croppable()
        self._require_several()
        self._require_one_side()

    @property
    def folder(self) -> Path | None:
        """Where the images lie; None where the model takes none."""
        return self.folders.images

    @property
    def training(self) -> list[Example]:
        """What crops are cut from; errors as for the class where images are read only now."""
        return self._parts[0]

    @property
    def held_out(self) -> list[Example]:
        """What students are judged by; training never sees these. Errors as for `training`."""
        return self._parts[1]

    @cached_property
    def first(self) -> Example:
        """The first readable image of the folder, read before all others. Errors as for these."""
        return next(self._read())[1]

    @cached_property
    def _parts(self) -> tuple[list[Example], list[Example]]:
        """Training and held-out examples.

        They are drawn from all files that are listed: one that cannot be read today, as on a
        network disk, must not move others from one part to the other when a run goes on.
        """
        found = dict(self._read())
        order = np.random.default_rng(self._seed).permutation(len(self._listed))
        shuffled = [self._listed[place] for place in order]
        held_out = shuffled[-kept_of(len(shuffled), self._settings.held_out) :]
        kept = max(1, sum(each in found for each in held_out))
        readable = [found[each] for each in shuffled if each in found]
        if len(readable) <= kept:
            raise BadInputError(_TOO_FEW.format(folder=self.folders.images))
        return readable[:-kept], readable[-kept:]

    @cached_property
    def _listed(self) -> Sequence[Path | str]:
        """What there is to read: files of images, or the names of what is drawn."""
        drawn = self.inputs.image is None
        return drawn_names(self.inputs, _DRAWS) if drawn else self._folder.files

    @cached_property
    def _folder(self) -> ImageFolder:
        """The folder of the images, without the files that feed other inputs."""
        images, labels = self.folders.images, self._teacher.pixels.labels
        assert images is not None, "a folder was asked for"
        alpha = self.input_channels == _WITH_ALPHA and not self.paired
        return ImageFolder(images, labels, beside=self.inputs.filed, alpha=alpha)

    def _read(self) -> Iterator[tuple[Path | str, Example]]:
        """Read what is listed one by one, each image no larger than crops can make use of."""
        if self.inputs.image is None:
            yield from ((str(name), Example(str(name))) for name in self._listed)
            return
        filters = [self._teacher.pixels.resample, "smooth"]
        smallest = max(self.crop(whole=self._whole) or self.size)
        largest = round(self._settings.zoom * max(self.size))
        taken = 0
        for number, (file, images) in enumerate(self._images(), 1):
            bounded = bound(images, smallest, largest, filters=filters[: len(images)])
            taken += sum(image.nbytes for image in bounded)
            if number == _SAMPLED:
                self._require_room(taken)
            yield file, Example(self._folder.name(file), bounded)

    def _require_room(self, taken: int) -> None:
        """Refuse more images than the memory holds, by the bytes that the first ones take."""
        count = len(self._listed)
        expected = taken * count / _SAMPLED
        free = taken + free_bytes(torch.device("cpu"))
        if expected > free:
            raise BadInputError(
                f"{self.folder}: {count} images take about {expected / 2**30:.1f} GB of memory, "
                f"and {free / 2**30:.1f} GB are free: give fewer of them"
            )

    def _require_several(self) -> None:
        """Refuse a folder that cannot be parted into training and held-out images, and none."""
        images = self.folders.images
        if images is None:
            raise BadInputError("give a folder of images to feed the model: --data")
        if len(ImageFolder(images)) < _LEAST:
            raise BadInputError(_TOO_FEW.format(folder=images))

    def _require_one_side(self) -> None:
        """Refuse folders that hold both sides of a data set, or warn where that may be so."""
        for folder in (self.folders.images, self.folders.targets, self.folders.unpaired):
            if folder is not None:
                require_one_side(ImageFolder(folder), self.size)

    def _images(self) -> Iterator[tuple[Path, tuple[np.ndarray, ...]]]:
        """Yield the file of each input, and its pixels with its real target if there is one."""
        if self.folders.targets is None:
            return ((file, (pixels,)) for file, pixels in self._folder)
        images, labels, scale = self.folders.images, self._teacher.pixels.labels, self.scale or 1
        assert images is not None, "a folder was asked for"
        beside = self.inputs.filed
        pairs = by_stem(images, self.folders.targets, labels, beside=beside, scale=scale)
        return ((pair.file, (pair.input, pair.target)) for pair in pairs)

    def _require_croppable(self) -> None:
        """Refuse maps that come from files: they would have to be cut as the image is."""
        for info in self.inputs.others:
            if info.name in self.inputs.filed and self.inputs.along_image(info):
                raise BadInputError(
                    f"input {info.name} is a map as large as the image: compress crops the image "
                    "alone, so it cannot come from files"
                )

    @cached_property
    def size(self) -> tuple[int, int]:
        """Height and width of the model's input; of its picture where it takes no image."""
        proto, pixels = self._teacher.model.proto, self._teacher.pixels
        return pixels.size_of((self.inputs.image or output_image(proto, pixels)).shape)

    @cached_property
    def _painted(self) -> tuple[int, int]:
        """Height and width of the model's picture of an input of `size`."""
        proto, pixels = self._teacher.model.proto, self._teacher.pixels
        return pixels.size_of(output_image(proto, pixels).shape)

    @cached_property
    def scale(self) -> int | None:
        """How many times as large as its input a picture is: 4 of a model that enlarges by 4.

        None where that is no whole number, or another one for height than for width.
        """
        (rows, rest), (columns, other) = map(divmod, self._painted, self.size)
        return rows if rows == columns and not rest and not other else None

    def pictures(self, *, whole: bool = False) -> tuple[int, int]:
        """Height and width of the pictures that the model makes of crops; `whole` as for `crop`.

        Where that is no whole number of times the crop's, it is about so.
        """
        cut = self.crop(whole=whole) or self.size
        height, width = (
            round(side * made / given)
            for side, made, given in zip(cut, self._painted, self.size, strict=True)
        )
        return height, width

    @property
    def only_teacher(self) -> bool:
        """Whether students learn from nothing but the teacher's pictures."""
        return not self.paired and self.unpaired is None

    @property
    def real(self) -> Real:
        """Which pictures of a batch a discriminator takes for real."""
        if self.unpaired is not None:
            return "real"
        return "target" if self.paired else "teacher"

    @property
    def input_channels(self) -> int:
        """Channels of the model's image input; 0 where it takes no image."""
        image = self.inputs.image
        return 0 if image is None else self._teacher.pixels.channels_of(image.shape)

    @property
    def picture_channels(self) -> int:
        """Channels of the model's pictures."""
        picture = output_image(self._teacher.model.proto, self._teacher.pixels)
        return self._teacher.pixels.channels_of(picture.shape)

    @property
    def condition_channels(self) -> int:
        """Channels of the image that a discriminator can be shown beside a picture.

        0 where it takes none, or one of another size than the picture.
        """
        return self.input_channels if self.scale == 1 else 0

    def crop(self, *, whole: bool = False) -> tuple[int, int] | None:
        """Height and width of the training crops; None where there is no image to crop.

        Args:
            whole: make them as large as the model's input.
        """
        if self.inputs.image is None:
            return None
        side = (0 if whole else self._settings.crop) or max(self.size)
        return min(side, self.size[0]), min(side, self.size[1])

    def feeds(self, examples: Sequence[Example]) -> list[Feeds]:
        """Fit images to the model's input, and add what goes in beside them."""
        pixels = self._teacher.pixels

        def fitted(example: Example) -> np.ndarray | None:
            if not example.images:
                return None
            return fit(example.images[0], *self.size, resample=pixels.resample)

        return [
            self.inputs.feed(fitted(each), pixels, each.name, seed=self._seed) for each in examples
        ]

    @cached_property
    def for_repair(self) -> list[Feeds]:
        """Training images on which channels are scored and weights repaired."""
        return self.feeds(self.training[: self._settings.repair_crops])


def kept_of(count: int, asked: int | Literal["auto"]) -> int:
    """How many of so many images are held out, at least one.

    Args:
        count: of all images.
        asked: by the settings.
    """
    wanted = max(JUDGED, min(SHOWN, count // _SHARE_SHOWN)) if asked == AUTO else asked
    return max(1, min(wanted, count // _SHARE))
