"""What models are fed when they are compared: the images of a folder, or seeded noise."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import onnx

from decig.data.crops import fit
from decig.data.declared import Declared
from decig.data.feeds import Feeds, Inputs, drawn_names
from decig.data.images import ImageFolder
from decig.data.pixels import PixelFormat
from decig.data.two_sided import tell_of_two_sides
from decig.errors import BadInputError
from decig.graph.model import ValueInfo, input_info
from decig.graph.size_inputs import value_arrays

_SEED = 2**31
"""Seed of what is drawn to compare models. Nobody trains with it, so that a model is never judged
on the draws that it was repaired or trained on."""
_DRAWS = 16
"""Number of pictures that a model is compared on if it takes no image."""
_WITH_ALPHA = 4
"""Channels of images whose transparency is fed."""
_USUAL_RANGES = ((0.0, 1.0), (-1.0, 1.0), (0.0, 255.0))


@dataclass(frozen=True)
class Picture:
    """One image as a model sees it.

    Attributes:
        name: of the file (`decig.data.images.name_in`); a number where everything is drawn.
        pixels: RGB uint8 H,W,3 at the model's input size, or RGBA where the model takes that; None
            where it takes no image.
        feeds: values of the model's inputs by name; the image is 1,C,H,W or 1,H,W,C.
    """

    name: str
    pixels: np.ndarray | None
    feeds: Feeds


class Pictures:
    """A folder's images at the size and in the pixel format of a model, read one by one.

    Each image is resized until it covers the model's input, then its centre is cut out. The other
    inputs are fed as declared: draws differ from image to image, and are the same in every pass.
    A model that takes no image is fed by draws and files alone.

    Attributes:
        inputs: the inputs of the model, and what feeds them.
        skipped: image files that turned out to be unreadable.
    """

    def __init__(
        self,
        folder: Path | None,
        proto: onnx.ModelProto,
        pixels: PixelFormat,
        *,
        declared: Declared | None = None,
        limit: int | None = None,
    ) -> None:
        """List the folder.

        Args:
            folder: of images; where the model takes no image, of the files that feed it, or None.
            proto: the model to feed.
            pixels: its pixel format.
            declared: what feeds the inputs beside the image.
            limit: take at most this many, spread evenly over the folder.

        Raises:
            BadInputError: the folder is missing or empty, the model does not take such images, or
                nothing feeds one of its inputs.
        """
        self.inputs = Inputs.of(proto, pixels, declared or {}, folder)
        self.skipped: list[Path] = []
        self._pixels = pixels
        image = self.inputs.image
        if image is None:
            if folder is not None and not folder.is_dir():
                raise BadInputError(f"{folder}: no such folder")
            self.names = drawn_names(self.inputs, _DRAWS, limit)
            return
        if folder is None:
            raise BadInputError(f"input {image.name} takes images, and no folder of them is given")
        alpha = pixels.channels_of(image.shape) == _WITH_ALPHA
        filed = self.inputs.filed
        self.folder = ImageFolder(folder, pixels.labels, beside=filed, alpha=alpha)
        files = self.folder.files
        tell_of_two_sides(self.folder, pixels.size_of(image.shape))
        if limit is not None and limit < len(files):
            self.folder.files = [files[i * len(files) // limit] for i in range(limit)]
        self.skipped = self.folder.skipped
        pixels.require_input(pixels.channels_of(image.shape))
        self.height, self.width = pixels.size_of(image.shape)

    @property
    def listed(self) -> list[str]:
        """Names of all pictures, with those of files that turn out to be unreadable."""
        if self.inputs.image is None:
            return list(self.names)
        return [self.folder.name(file) for file in self.folder.files]

    def __iter__(self) -> Iterator[Picture]:
        """Yield every readable image as the model takes it; BadInputError if there is none."""
        if self.inputs.image is None:
            for name in self.names:
                yield self.feed(Picture(name, None, {}))
            return
        for path, image in self.folder:
            fitted = fit(image, self.height, self.width, resample=self._pixels.resample)
            yield self.feed(Picture(self.folder.name(path), fitted, {}))

    def feed(self, picture: Picture) -> Picture:
        """Turn a picture, which may have been read for another model, into what this one takes."""
        feeds = self.inputs.feed(picture.pixels, self._pixels, picture.name, seed=_SEED)
        return replace(picture, feeds=feeds)


def seeded_feeds(
    proto: onnx.ModelProto,
    pixels: PixelFormat | None,
    shapes: Mapping[str, list[int]] | None = None,
) -> list[Feeds]:
    """Return uniform noise for every input, three times.

    Inputs of whole numbers get zeros, an index or a class that every model has; but bytes, which
    are pixels, get noise too. Inputs that set sizes get the values at which the model was analysed.

    Args:
        proto: the model.
        pixels: its pixel format; where it is not known, the three are in three usual ranges.
        shapes: shapes of inputs, by name, that replace those of the graph.

    Raises:
        BadInputError: an input is no tensor of numbers.
    """
    ranges = (pixels.input_range,) * 3 if pixels else _USUAL_RANGES
    return [_noise(proto, bounds, seed, shapes or {}) for seed, bounds in enumerate(ranges)]


def other_feeds(proto: onnx.ModelProto, image: str) -> Feeds:
    """Return values for every input but the image: the same normal noise every time, whole zeros.

    Raises:
        BadInputError: an input is no tensor of numbers.
    """
    rng = np.random.default_rng(0)
    feeds = {}
    for info in input_info(proto):
        if info.name != image:
            _require_numbers(info)
            whole = info.dtype.kind in "biu"
            values = np.zeros(info.shape) if whole else rng.normal(size=info.shape)
            feeds[info.name] = values.astype(info.dtype)
    return feeds


def _require_numbers(info: ValueInfo) -> None:
    if info.dtype == np.object_:
        raise BadInputError(f"input {info.name} is no tensor of numbers: cannot run the model")


def _noise(
    proto: onnx.ModelProto,
    bounds: tuple[float, float],
    seed: int,
    shapes: Mapping[str, list[int]],
) -> Feeds:
    rng = np.random.default_rng(seed)
    feeds, sizes = {}, value_arrays(proto)
    for info in input_info(proto):
        _require_numbers(info)
        shape = shapes.get(info.name, info.shape)
        if info.name in sizes:
            feeds[info.name] = sizes[info.name]
        elif info.dtype == np.uint8:
            feeds[info.name] = rng.integers(256, size=shape, dtype=np.uint8)
        elif info.dtype.kind in "biu":
            feeds[info.name] = np.zeros(shape, info.dtype)
        else:
            feeds[info.name] = rng.uniform(*bounds, shape).astype(info.dtype)
    return feeds
