"""The numbers, axes and channel order in which a model takes and gives pixels."""

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from decig.data.labels import Labels
from decig.errors import BadInputError

# ITU-R BT.601, the weights of Pillow's "L" mode.
LUMA = np.array([0.299, 0.587, 0.114], np.float32)


@dataclass(frozen=True)
class PixelFormat:
    """How one model represents pixels in its input and in its output.

    Attributes:
        input_range: the values of black and white in the model's input, such as (0, 255).
        output_range: the values of black and white in the model's output.
        layout: "nchw" or "nhwc".
        channel_order: "rgb" or "bgr"; without meaning for a model of one channel.
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
        if self.channel_order not in ("rgb", "bgr"):
            raise BadInputError(f"channel order {self.channel_order!r} is neither rgb nor bgr")

    def fields(self) -> dict[str, Any]:
        """Return all parts of the format by name."""
        return {each.name: getattr(self, each.name) for each in dataclasses.fields(self)}

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
            BadInputError: it has neither 1 nor 3 or, for one-hot label maps, not one per label.
        """
        if self.labels is None or not self.labels.one_hot:
            check_channels(channels, "input")
        elif channels != self.labels.count:
            raise BadInputError(
                f"the model's input has {channels} channels, one-hot label maps of "
                f"{self.labels.count} labels have {self.labels.count}"
            )

    def require_output(self, shape: Sequence[int]) -> None:
        """Check that an output of the model is a picture.

        Raises:
            BadInputError: it is no batch of images of 1 or 3 channels.
        """
        if len(shape) != 4:
            raise BadInputError(
                f"the model's output has shape {tuple(shape)}, not a batch of images"
            )
        check_channels(self.channels_of(shape), "output")

    def to_tensor(self, images: np.ndarray, channels: int = 3) -> np.ndarray:
        """Turn RGB uint8 N,H,W,3 into the float32 tensor that the model takes.

        A model of one input channel is fed the luma (BT.601) of the image, and label maps as
        `Labels` says.

        Raises:
            BadInputError: as in `require_input`.
        """
        self.require_input(channels)
        low, high = self.input_range
        if self.labels is not None and self.labels.one_hot:
            hot = np.where(self.labels.to_one_hot(images), np.float32(high), np.float32(low))
            return np.ascontiguousarray(self._arrange(hot))
        pixels = images.astype(np.float32)
        if channels == 1:
            pixels = (pixels @ LUMA)[..., None]
        elif self.channel_order == "bgr":
            pixels = pixels[..., ::-1]
        scaled = pixels * np.float32((high - low) / 255) + np.float32(low)
        return np.ascontiguousarray(self._arrange(scaled))

    def to_unit(self, tensor: np.ndarray) -> np.ndarray:
        """Turn a batch of model outputs into RGB float32 N,H,W,3 between 0 and 1, clipped.

        A single output channel is grey: it is repeated for R, G and B.

        Raises:
            BadInputError: the output is no batch of images of 1 or 3 channels.
        """
        unit = np.clip(self.scaled(tensor), 0, 1)
        if unit.shape[-1] == 1:
            return np.repeat(unit, 3, axis=-1)
        return np.ascontiguousarray(unit[..., ::-1] if self.channel_order == "bgr" else unit)

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

    def _arrange(self, pixels: np.ndarray) -> np.ndarray:
        return pixels.transpose(0, 3, 1, 2) if self.layout == "nchw" else pixels


BYTES = PixelFormat((0.0, 255.0), (0.0, 255.0), "nhwc", "rgb")
"""The pixels of image files, which a model with pixel I/O takes and gives."""


def check_channels(channels: int, side: str) -> None:
    """Check that a model takes, or gives, RGB or grey images.

    Args:
        channels: how many it has.
        side: "input" or "output", for the message.

    Raises:
        BadInputError: `channels` is neither 1 nor 3.
    """
    if channels not in (1, 3):
        raise BadInputError(
            f"the model's {side} has {channels} channels; images have 1 (luma) or 3 (RGB or BGR). "
            "Is the layout right?"
        )
