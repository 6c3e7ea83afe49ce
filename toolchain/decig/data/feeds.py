"""What a model takes: the image, and the inputs beside it with what feeds each of them."""

import math
import zipfile
import zlib
from collections.abc import Collection
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import onnx

from decig.data.companions import read_companion
from decig.data.declared import (
    FILES,
    NORMAL,
    UNIFORM,
    WAYS,
    ZEROS,
    Declared,
    from_files,
    numbers,
    require_inputs,
    stated_range,
)
from decig.data.halves import Part
from decig.data.images import SUFFIXES, files_below, name_in, photo_of
from decig.data.pixels import PixelFormat
from decig.data.ports import almost_image, only_image, sizes
from decig.errors import BadInputError, first_line
from decig.graph.model import ValueInfo, input_info

Feeds = dict[str, np.ndarray]

_ARRAYS = (".npy", ".npz")
# What numpy raises on files that hold no array, or only a part of one.
_DAMAGED = (OSError, ValueError, EOFError, KeyError, zipfile.BadZipFile, zlib.error)


class UnfedInputError(BadInputError):
    """An input of a model takes no image, and nothing is declared to feed it.

    Attributes:
        name: of the input.
        image_like: whether it has the sizes of an image, so that draws would be no picture.
    """

    def __init__(self, info: ValueInfo) -> None:
        looks = almost_image(info)
        why = f"takes no image: say what feeds it ({WAYS})" if looks is None else looks
        super().__init__(f"input {info.name} ({sizes(info)}) {why}")
        self.name, self.image_like = info.name, looks is not None


@dataclass(frozen=True)
class Inputs:
    """The inputs of a model, and what feeds each of them.

    Attributes:
        image: the input that takes the image; None for a model that takes no image.
        others: all other inputs.
        declared: what feeds the others.
        folder: where the files lie that feed some of them.
        order: names of all inputs, in the order of the graph.
        pixels: the model's pixel format, by which images feed inputs beside the photo.
    """

    image: ValueInfo | None
    others: tuple[ValueInfo, ...] = ()
    declared: Declared = field(default_factory=dict)
    folder: Path | None = None
    order: tuple[str, ...] = ()
    pixels: PixelFormat | None = None

    @classmethod
    def of(
        cls,
        proto: onnx.ModelProto,
        pixels: PixelFormat,
        declared: Declared,
        folder: Path | None = None,
    ) -> "Inputs":
        """Find the inputs of a model.

        Inputs of whole numbers for which nothing is declared are fed 0: an index or a class that
        every model has.

        Raises:
            AmbiguousPortError: several inputs could be the image.
            UnfedInputError: a float input beside the image is not declared.
            BadInputError: what is declared is no input, an input is no tensor of numbers, or one
                half of images is named for a model that takes none.
        """
        infos = input_info(proto)
        image = only_image(proto, pixels, declared)
        others = tuple(info for info in infos if image is None or info.name != image.name)
        names = [info.name for info in infos]
        require_inputs(declared, names)
        known = {
            info.name: declared[info.name] if info.name in declared else _default(info)
            for info in others
        }
        part = None if folder is None else Part.of(folder)
        if image is None and part is not None and part.side is not None:
            raise BadInputError(f"{folder}: the model takes no image of which a half could count")
        files = None if part is None else part.folder
        return cls(image, others, known, files, tuple(names), pixels)

    @property
    def reads_files(self) -> bool:
        """Whether some input is fed from files."""
        return bool(self.filed)

    @property
    def filed(self) -> list[str]:
        """Names of the inputs that are fed from files."""
        return [name for name, way in self.declared.items() if from_files(way)]

    @property
    def batch(self) -> int:
        """Images that the model takes at once."""
        return 1 if self.image is None else self.image.shape[0]

    def draw(
        self, rng: np.random.Generator, name: str, size: tuple[int, int] | None = None
    ) -> Feeds:
        """Make the values of all inputs beside the image.

        Args:
            rng: makes every random choice.
            name: of the image's file (`decig.data.images.name_in`), by which the files are found
                that feed other inputs.
            size: height and width of the one crop that is fed instead of the batch of images, for
                inputs that have a value for every pixel; None where whole images are fed.

        Raises:
            BadInputError: a file is missing or has another shape.
        """
        feeds: Feeds = {}
        for info in self.others:
            shape = self._shape(info, size)
            way = self.declared[info.name]
            if from_files(way):
                feeds[info.name] = self._read(info, name, shape)
                continue
            if way == NORMAL:
                values = rng.normal(size=shape)
            elif way == UNIFORM:
                values = rng.uniform(-1, 1, shape)
            else:
                values = _repeated(info, numbers(way) or [0.0], shape)
            feeds[info.name] = values.astype(info.dtype)
        return feeds

    def feed(self, image: np.ndarray | None, pixels: PixelFormat, name: str, *, seed: int) -> Feeds:
        """Make the values of all inputs for one image, the same ones every time.

        Args:
            image: RGB uint8 H,W,3 of the model's size, with which a batch of several is filled;
                None where the model takes no image.
            pixels: the pixel format of the model.
            name: of the image's file, as in `draw`; seeds the random draws together with `seed`.
            seed: another one gives other draws.

        Raises:
            BadInputError: as in `draw`.
        """
        named = name.encode(errors="surrogateescape")  # names of files may be of any bytes
        rng = np.random.default_rng([seed, zlib.crc32(named)])
        tensor = None
        if image is not None and self.image is not None:
            batch = np.repeat(image[None], self.batch, axis=0)
            tensor = pixels.to_tensor(batch, pixels.channels_of(self.image.shape))
        return self.join(tensor, self.draw(rng, name))

    def join(self, image: np.ndarray | None, others: Feeds) -> Feeds:
        """Put the tensor of an image and the other inputs together, in the order of the graph."""
        feeds = dict(others)
        if self.image is not None and image is not None:
            feeds[self.image.name] = as_numbers(image, self.image.dtype)
        return {name: feeds[name] for name in self.order}

    def _shape(self, info: ValueInfo, size: tuple[int, int] | None) -> list[int]:
        """Shape of an input where the image is fed at another size than the graph says."""
        axes, shape = self._plane(info), list(info.shape)
        if size is not None and self.batch > 1 and shape[:1] == [self.batch]:
            shape[0] = 1
        if size is not None and axes is not None:
            shape[axes] = size
        return shape

    def along_image(self, info: ValueInfo) -> bool:
        """Whether an input has a value, or several, for every pixel of the image."""
        return self._plane(info) is not None

    def _plane(self, info: ValueInfo) -> slice | None:
        """Axes of height and width of an input that is as large as the image; None of others."""
        if self.image is None or len(info.shape) != 4:
            return None
        for axes in (slice(2, 4), slice(1, 3)):
            if info.shape[axes] == self.image.shape[axes]:
                return axes
        return None

    def _read(self, info: ValueInfo, name: str, shape: list[int]) -> np.ndarray:
        assert self.folder is not None
        single, several = (self.folder / f"{name}.{suffix}" for suffix in ("npy", "npz"))
        path = single if single.is_file() else several
        if not path.is_file():
            return self._read_images(info, name, shape)
        try:
            with path.open("rb") as file:
                found = np.load(file, allow_pickle=False)
                array = found if isinstance(found, np.ndarray) else found[info.name]
        except _DAMAGED as error:
            raise BadInputError(
                f"{path}: cannot feed input {info.name}: {first_line(error)}"
            ) from error
        if list(array.shape) in (shape[1:], [1, *shape[1:]]) and shape:
            array = np.broadcast_to(array, shape)
        if list(array.shape) != shape or array.dtype.kind not in "biuf":
            raise BadInputError(
                f"{path}: holds {'x'.join(map(str, array.shape))} {array.dtype}, input "
                f"{info.name} takes {sizes(info)}"
            )
        with np.errstate(over="ignore"):
            values = array.astype(info.dtype)
        if not np.isfinite(values.astype(np.float64)).all():
            raise BadInputError(
                f"{path}: holds NaN, infinity, or more than input {info.name} can hold"
            )
        return values

    def _read_images(self, info: ValueInfo, name: str, shape: list[int]) -> np.ndarray:
        """Read an input that lies beside the photo as images."""
        assert self.folder is not None and self.pixels is not None
        pixels, alone = self.pixels, self.image is None
        images = None
        if len(shape) == 4:
            size, channels = pixels.size_of(shape), pixels.channels_of(shape)
            images = read_companion(self.folder, name, info.name, size, channels, alone=alone)
        if images is None:
            raise BadInputError(
                f"{self.folder / name}.npy: no such file for input {info.name}, nor {name}.npz, "
                f"{name}.{info.name}.png or {info.name}/{name}.png"
            )
        stated = stated_range(self.declared[info.name], info.name)
        if stated is None and alone:
            raise BadInputError(
                f"input {info.name}: say which values black and white are: "
                f"{info.name}={FILES}:0,255 or the like"
            )
        low, high = stated or pixels.input_range
        images = in_order(images, pixels.channel_order)
        values = images.astype(np.float32) * np.float32((high - low) / 255) + np.float32(low)
        tensor = pixels.arrange(values[None])
        return as_numbers(np.broadcast_to(tensor, shape), info.dtype)


def as_numbers(values: np.ndarray, dtype: np.dtype) -> np.ndarray:
    """Values of pixels as numbers of a type; whole numbers are the nearest ones."""
    nearest = np.rint(values) if dtype.kind in "iu" else values
    return nearest.astype(dtype, copy=False)


def in_order(images: np.ndarray, order: str) -> np.ndarray:
    """Companion pictures H,W,C in RGB, one or several behind each other, in a model's order."""
    each = 4 if order == "bgra" and images.shape[-1] % 4 == 0 else 3
    if not order.startswith("bgr") or images.shape[-1] % each:
        return images
    parts = images.reshape(*images.shape[:2], -1, each)
    swapped: np.ndarray = parts[..., [2, 1, 0, 3][:each]].reshape(images.shape)
    return swapped


def drawn_names(inputs: Inputs, draws: int, limit: int | None = None) -> list[str]:
    """Name inputs of a model that takes no image: by its files, or by numbers.

    Args:
        inputs: of the model.
        draws: how many there are where all of it is drawn.
        limit: how many to name at most, spread evenly over the files; None for all.

    Raises:
        BadInputError: the model is fed from files, and there are none.
    """
    if not inputs.reads_files:
        return [str(number) for number in range(min(draws, limit or draws))]
    folder = inputs.folder
    names = [] if folder is None else _files_in(folder, inputs.filed)
    if not names:
        if folder is None:
            raise BadInputError("no folder is given of the .npy or .npz files that feed the model")
        raise BadInputError(f"{folder}: no .npy or .npz files or images there to feed the model")
    count = min(limit or len(names), len(names))
    return [names[i * len(names) // count] for i in range(count)]


def _files_in(folder: Path, filed: Collection[str]) -> list[str]:
    """Names by which files in a folder and its sub-folders feed a model that takes no image.

    Images count by their own names only where there is nothing else.
    """
    found: dict[bool, set[str]] = {True: set(), False: set()}
    for path in files_below(folder):
        name = name_in(folder, path)
        photo = photo_of(name, filed) if path.suffix.lower() in SUFFIXES else None
        if photo is not None or path.suffix in _ARRAYS:
            found[True].add(photo or name)
        elif path.suffix.lower() in SUFFIXES:
            found[False].add(name)
    return sorted(found[True] or found[False])


def _default(info: ValueInfo) -> str:
    """Feed an input of whole numbers with 0; for any other, somebody has to say what feeds it."""
    if info.dtype == np.object_:
        raise BadInputError(f"input {info.name} is no tensor of numbers: cannot run the model")
    if info.dtype.kind not in "biu":
        raise UnfedInputError(info)
    return ZEROS


def _repeated(info: ValueInfo, given: list[float], shape: list[int]) -> np.ndarray:
    """Lay one number, or as many as an input has elements, into its shape."""
    if len(given) not in (1, math.prod(shape)):
        raise BadInputError(f"input {info.name} ({sizes(info)}) is fed {len(given)} numbers")
    return np.full(shape, given[0]) if len(given) == 1 else np.reshape(given, shape)
