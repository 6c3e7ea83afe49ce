"""The numbers, axes and channel order in which a model takes and gives pixels."""

import dataclasses
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from decig.data.labels import Labels
from decig.errors import BadInputError

# ITU-R BT.601, the weights of Pillow's "L" mode.
LUMA = np.array([0.299, 0.587, 0.114], np.float32)


CHANNELS = {"rgb": (1, 3), "bgr": (1, 3), "rgba": (1, 3, 4), "bgra": (1, 3, 4), "lab": (1, 2, 3)}
"""How many channels images may have, by their order: a is alpha; two of Lab are a and b."""
_AB = 2
"""Channels of a picture without lightness, as nets that colour photos make it."""
_WITH_ALPHA = 4
_LAB_SCALE = np.array([100, 255, 255], np.float32)
_LAB_SHIFT = np.array([0, 128 / 255, 128 / 255], np.float32)
"""Lab to shares of bytes: L / 100, (a + 128) / 255, (b + 128) / 255."""
_MIDDLE = 0.5
"""Lightness at which such a picture is looked at, as a share of 100."""


@dataclass(frozen=True)
class PixelFormat:
    """How one model represents pixels in its input and in its output.

    Attributes:
        input_range: the values of black and white in the model's input, such as (0, 255).
        output_range: the values of black and white in the model's output.
        layout: "nchw" or "nhwc".
        channel_order: one of `CHANNELS`; without meaning for a model of one channel, unless it is
            "lab", whose single channel is L. Lab is CIE L*a*b* (D65) as bytes hold it: 255 L / 100,
            a + 128, b + 128, and bytes become values as those of RGB do.
        labels: how the images fed to the model are read, where they are label maps.
        image: name of the input that takes the image; None where only one could.
        picture: name of the output that is the picture; None where only one could be.
    """

    input_range: tuple[float, float]
    output_range: tuple[float, float]
    layout: str = "nchw"
    channel_order: str = "rgb"
    labels: Labels | None = None
    image: str | None = None
    picture: str | None = None

    def __post_init__(self) -> None:
        """Refuse what cannot be meant.

        Raises:
            BadInputError: a range is not low < high, the layout or the channel order is unknown.
        """
        for name in ("input_range", "output_range"):
            bounds = getattr(self, name)
            if len(bounds) != 2 or not bounds[0] < bounds[1]:
                raise BadInputError(f"{name} {bounds} must be two numbers, low before high")
        if self.layout not in ("nchw", "nhwc"):
            raise BadInputError(f"layout {self.layout!r} is neither nchw nor nhwc")
        if self.channel_order not in CHANNELS:
            known = ", ".join(CHANNELS)
            raise BadInputError(f"channel order {self.channel_order!r} is none of {known}")

    def fields(self) -> dict[str, Any]:
        """Return all parts of the format by name."""
        return {each.name: getattr(self, each.name) for each in dataclasses.fields(self)}

    def of_pictures(self, bounds: tuple[float, float] | None = None) -> "PixelFormat":
        """The format in which `to_tensor` turns real pictures into what the model makes.

        Args:
            bounds: black and white; those of the model's output where None.
        """
        return dataclasses.replace(self, input_range=bounds or self.output_range, labels=None)

    def channels_of(self, shape: Sequence[int]) -> int:
        """Channels of a batch of images of a shape."""
        return shape[1 if self.layout == "nchw" else 3]

    def size_of(self, shape: Sequence[int]) -> tuple[int, int]:
        """Height and width of a batch of images of a shape."""
        height, width = shape[2:4] if self.layout == "nchw" else shape[1:3]
        return height, width

    @property
    def resample(self) -> str:
        """How inputs are resized: "nearest" for label maps, as a blend of labels is no label."""
        return "smooth" if self.labels is None else "nearest"

    def require_input(self, channels: int) -> None:
        """Check how many channels the model's image input has.

        Raises:
            BadInputError: images have other channels or, for one-hot label maps, it has not one
                per label.
        """
        if self.labels is None or not self.labels.one_hot:
            self.check_channels(channels, "input")
        elif channels != self.labels.count:
            raise BadInputError(
                f"the model's input has {channels} channels, one-hot label maps of "
                f"{self.labels.count} labels have {self.labels.count}"
            )

    def require_output(self, shape: Sequence[int]) -> None:
        """Check that an output of the model is a picture.

        Raises:
            BadInputError: it is no batch of images.
        """
        if len(shape) != 4:
            raise BadInputError(
                f"the model's output has shape {tuple(shape)}, not a batch of images"
            )
        self.check_channels(self.channels_of(shape), "output")

    def check_channels(self, channels: int, side: str) -> None:
        """Check that a model takes, or gives, images.

        Args:
            channels: how many it has.
            side: "input" or "output", for the message.

        Raises:
            BadInputError: images in this order have other channels.
        """
        known = CHANNELS[self.channel_order]
        if channels not in known or (channels == _AB and side == "input"):
            colours = "4 (RGBA)" if 4 in known else "3 (RGB or BGR)"
            raise BadInputError(
                f"the model's {side} has {channels} channels; images have 1 (luma) or {colours}. "
                "Is the layout right?"
            )

    def to_tensor(self, images: np.ndarray, channels: int = 3) -> np.ndarray:
        """Turn RGB uint8 N,H,W,3, or RGBA N,H,W,4, into the float32 tensor that the model takes.

        A model of one input channel is fed the luma (BT.601) of the image, and label maps as
        `Labels` says.

        Raises:
            BadInputError: as in `require_input`.
        """
        self.require_input(channels)
        low, high = self.input_range
        if self.labels is not None and self.labels.one_hot:
            hot = np.where(self.labels.to_one_hot(images), np.float32(high), np.float32(low))
            return np.ascontiguousarray(self.arrange(hot))
        pixels = self._bytes(images, channels)
        scaled = pixels * np.float32((high - low) / 255) + np.float32(low)
        return np.ascontiguousarray(self.arrange(scaled))

    def to_unit(self, tensor: np.ndarray) -> np.ndarray:
        """Turn a batch of model outputs into RGB float32 N,H,W,3 between 0 and 1, clipped.

        A single output channel is grey: it is repeated for R, G and B. What is transparent is laid
        over white; a and b without L are shown at the middle lightness.

        Raises:
            BadInputError: the output is no batch of images.
        """
        unit = np.clip(self.scaled(tensor), 0, 1)
        if self.channel_order == "lab":
            return _from_lab(unit)
        if unit.shape[-1] == 1:
            return np.repeat(unit, 3, axis=-1)
        colours = unit[..., 2::-1] if self.channel_order.startswith("bgr") else unit[..., :3]
        if unit.shape[-1] == _WITH_ALPHA:
            alpha = unit[..., 3:]
            colours = colours * alpha + (1 - alpha)
        return np.ascontiguousarray(colours)

    def scaled(self, tensor: np.ndarray) -> np.ndarray:
        """Scale a batch of model outputs to float32 N,H,W,C: black is 0, white 1; not clipped.

        Raises:
            BadInputError: as in `to_unit`.
        """
        self.require_output(tensor.shape)
        pixels = tensor.transpose(0, 2, 3, 1) if self.layout == "nchw" else tensor
        low, high = self.output_range
        scaled: np.ndarray = (pixels.astype(np.float32) - low) / np.float32(high - low)
        return scaled

    def from_tensor(self, tensor: np.ndarray) -> np.ndarray:
        """Turn a batch of model outputs into RGB uint8 N,H,W,3; errors as in `to_unit`."""
        return np.round(self.to_unit(tensor) * 255).astype(np.uint8)

    def _bytes(self, images: np.ndarray, channels: int) -> np.ndarray:
        """Return the channels of images as the model takes them, as float32 from 0 to 255."""
        pixels = images.astype(np.float32)
        colours = pixels[..., :3]
        if self.channel_order == "lab":
            return _to_lab(colours)[..., :channels] * 255
        if channels == 1:
            return (colours @ LUMA)[..., None]
        if self.channel_order.startswith("bgr"):
            colours = colours[..., ::-1]
        if channels < _WITH_ALPHA:
            return colours
        opaque = np.full_like(colours[..., :1], 255)
        alpha = pixels[..., 3:] if pixels.shape[-1] == _WITH_ALPHA else opaque
        return np.concatenate([colours, alpha], axis=-1)

    def arrange(self, pixels: np.ndarray) -> np.ndarray:
        """Give N,H,W,C the axes of the model's images."""
        return pixels.transpose(0, 3, 1, 2) if self.layout == "nchw" else pixels


BYTES = PixelFormat((0.0, 255.0), (0.0, 255.0), "nhwc", "rgb")
"""The pixels of image files, which a model with pixel I/O takes and gives."""


def channels_of_order(order: str | None) -> tuple[int, ...]:
    """Return how many channels images may have in an order, or in any usual one for None."""
    return CHANNELS.get(order or "rgb", CHANNELS["rgb"])


def _to_lab(colours: np.ndarray) -> np.ndarray:
    """Turn RGB 0..255 N,H,W,3 into L, a and b as shares of what bytes can hold."""
    from skimage.color import rgb2lab

    shares: np.ndarray = rgb2lab(colours / np.float32(255)) / _LAB_SCALE + _LAB_SHIFT
    return shares.astype(np.float32)


def _from_lab(unit: np.ndarray) -> np.ndarray:
    """Turn L, a and b as shares of what bytes can hold into RGB 0..1; one or two may be missing."""
    from skimage.color import lab2rgb

    channels = unit.shape[-1]
    whole = np.empty((*unit.shape[:-1], 3), np.float32)
    whole[...] = [_MIDDLE, 128 / 255, 128 / 255]
    whole[..., slice(1, 3) if channels == _AB else slice(channels)] = unit
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # colours that no screen shows are clipped
        rgb: np.ndarray = np.clip(lab2rgb((whole - _LAB_SHIFT) * _LAB_SCALE), 0, 1)
    return rgb.astype(np.float32)
