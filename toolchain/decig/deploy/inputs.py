"""What models are fed when they are compared: a folder's images, or seeded noise."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnx

from decig.data.crops import fit
from decig.data.images import ImageFolder
from decig.data.pixels import PixelFormat, check_channels
from decig.errors import BadInputError
from decig.graph.model import ValueInfo, input_info, output_info

Feeds = dict[str, np.ndarray]

_USUAL_RANGES = ((0.0, 1.0), (-1.0, 1.0), (0.0, 255.0))


@dataclass(frozen=True)
class Picture:
    """One image as a model sees it.

    Attributes:
        path: the file.
        pixels: RGB uint8 H,W,3 at the model's input size.
        feeds: the model's inputs by name; the image 1,C,H,W or 1,H,W,C.
    """

    path: Path
    pixels: np.ndarray
    feeds: Feeds


class Pictures:
    """A folder's images at the size and in the pixel format of a model, read one by one.

    Each image is resized until it covers the model's input, then its centre is cut out. What a
    model takes besides (a style code, noise) is the same for all: seeded normal noise, zeros
    where it is whole numbers.
    """

    def __init__(
        self,
        folder: Path,
        proto: onnx.ModelProto,
        pixels: PixelFormat,
        *,
        label_maps: bool = False,
        limit: int | None = None,
    ) -> None:
        """List the folder.

        Args:
            folder: of images.
            proto: the model to feed.
            pixels: its pixel format.
            label_maps: colours may not be blended when an image is resized.
            limit: take that many, spread evenly over the folder.

        Raises:
            BadInputError: the folder is missing or empty, or the model does not take an image
                of 1 or 3 channels.
        """
        self.folder = ImageFolder(folder)
        files = self.folder.files
        if limit is not None and limit < len(files):
            self.folder.files = [files[i * len(files) // limit] for i in range(limit)]
        self.info = image_input(proto)
        self._others = other_feeds(proto, self.info.name)
        self._pixels, self._label_maps = pixels, label_maps
        size = self.info.shape[1:]
        self.channels = size[0] if pixels.layout == "nchw" else size[2]
        check_channels(self.channels, "input")
        self.height, self.width = size[1:] if pixels.layout == "nchw" else size[:2]

    @property
    def skipped(self) -> list[Path]:
        """Unreadable files met so far; each was named in a warning."""
        return self.folder.skipped

    def __iter__(self) -> Iterator[Picture]:
        """Yield every readable image; BadInputError if there is none."""
        resample = "nearest" if self._label_maps else "smooth"
        for path, image in self.folder:
            fitted = fit(image, self.height, self.width, resample=resample)
            yield Picture(path, fitted, self.feed(fitted))

    def feed(self, pixels: np.ndarray) -> Feeds:
        """Turn RGB uint8 H,W,3 of the model's input size into what the model takes."""
        tensor = self._pixels.to_tensor(pixels[None], self.channels)
        return self._others | {self.info.name: tensor.astype(self.info.dtype, copy=False)}


def image_input(proto: onnx.ModelProto) -> ValueInfo:
    """Describe the one image that a model takes, beside other inputs it may have.

    Raises:
        BadInputError: it takes none.
    """
    image = find_image(proto)
    if image is None:
        shown = ", ".join(f"{i.name} {'x'.join(map(str, i.shape))}" for i in input_info(proto))
        raise BadInputError(f"the model takes {shown or 'nothing'}; images can feed no input of it")
    return image


def find_image(proto: onnx.ModelProto) -> ValueInfo | None:
    """Return the input that takes an image: one of 3 channels before one of 1 before any other.

    None if no input takes a batch of one.
    """
    inputs = [info for info in input_info(proto) if _is_picture(info)]
    return min(inputs, key=_by_channels, default=None)


def picture_output(proto: onnx.ModelProto) -> int:
    """Which of the outputs is the picture, by the same rule; the first if none looks like one."""
    outputs = output_info(proto)
    pictures = [place for place, info in enumerate(outputs) if _is_picture(info)]
    return min(pictures, key=lambda place: _by_channels(outputs[place]), default=0)


def output_image(proto: onnx.ModelProto) -> ValueInfo:
    """Describe the output that is the picture."""
    return output_info(proto)[picture_output(proto)]


def _is_picture(info: ValueInfo) -> bool:
    return len(info.shape) == 4 and info.shape[0] == 1 and info.dtype.kind in "fuV"  # V: bfloat16


def _by_channels(info: ValueInfo) -> int:
    return next((rank for rank, n in enumerate((3, 1)) if n in (info.shape[1], info.shape[3])), 2)


def seeded_feeds(
    proto: onnx.ModelProto,
    pixels: PixelFormat | None,
    shapes: Mapping[str, list[int]] | None = None,
) -> list[Feeds]:
    """Uniform noise for every input, three times; where the range is not known, in three ranges.

    Integer inputs get zeros, which is an index or a class that every model has; but bytes, which
    are pixels, get noise too. `shapes` by input name stand for the graph's own.

    Raises:
        BadInputError: an input is no tensor of numbers.
    """
    ranges = (pixels.input_range,) * 3 if pixels else _USUAL_RANGES
    return [_noise(proto, bounds, seed, shapes or {}) for seed, bounds in enumerate(ranges)]


def other_feeds(proto: onnx.ModelProto, image: str) -> Feeds:
    """Feed every input but the image."""
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
    feeds = {}
    for info in input_info(proto):
        _require_numbers(info)
        shape = shapes.get(info.name, info.shape)
        if info.dtype == np.uint8:
            feeds[info.name] = rng.integers(256, size=shape, dtype=np.uint8)
        elif info.dtype.kind in "biu":
            feeds[info.name] = np.zeros(shape, info.dtype)
        else:
            feeds[info.name] = rng.uniform(*bounds, shape).astype(info.dtype)
    return feeds
