"""Training pairs: crops of the user's images and what the teacher makes of them.

The teacher is dear beside a slim student, so it runs at every `refresh`-th step only and its
recent pairs are replayed in between. Every choice follows from the seed and the step number:
a resumed run sees the batches that an uninterrupted one would have seen.
"""

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn

from decig.data.crops import random_crop
from decig.data.pixels import PixelFormat
from decig.errors import BadInputError
from decig.train.losses import picture_of


@dataclass(frozen=True)
class Batch:
    """One training batch.

    Attributes:
        source: model input.
        teacher: the teacher's picture, N,C,H,W scaled to 0..1.
        target: the real picture, N,3,H,W scaled to 0..1, where there is one.
    """

    source: Tensor
    teacher: Tensor
    target: Tensor | None


@dataclass(frozen=True)
class Crops:
    """How crops are cut.

    Attributes:
        height: of a crop, in pixels.
        width: likewise.
        batch: crops a step.
        zoom: windows are up to this much larger than the crop, and shrunk to it.
        nearest: resample inputs without blending, for label maps.
    """

    height: int
    width: int
    batch: int
    zoom: float
    nearest: bool


class TeacherPool:
    """Crops with the teacher's pictures, a bounded number of them replayed."""

    def __init__(
        self,
        images: Sequence[tuple[np.ndarray, ...]],
        teacher: nn.Module,
        pixels: PixelFormat,
        channels: int,
        crops: Crops,
        *,
        refresh: int,
        capacity: int,
        seed: int,
        device: torch.device,
    ) -> None:
        """Set the pool up; no crop is made yet.

        Args:
            images: uint8 H,W,3 inputs, each alone or with its real target of the same size.
            teacher: takes and gives tensors in the model's pixel format; of a tuple, the first.
            pixels: that format.
            channels: the model's input channels.
            crops: how to cut.
            refresh: the teacher makes one new batch at every `refresh`-th step.
            capacity: batches kept for replay.
            seed: of every random choice.
            device: where batches are wanted.

        Raises:
            BadInputError: an image is smaller than a crop.
        """
        small = min(min(group[0].shape[:2]) for group in images)
        if small < max(crops.height, crops.width):
            size = f"{crops.height}x{crops.width}"
            raise BadInputError(
                f"the smallest image side is {small} px, too small for {size} crops"
            )
        self._images, self._teacher, self._pixels, self._channels = (
            images,
            teacher,
            pixels,
            channels,
        )
        self._crops, self._refresh, self._seed, self._device = crops, refresh, seed, device
        self._stored: deque[tuple[list[np.ndarray], Tensor]] = deque(maxlen=capacity)
        self._made = 0

    def batch(self, step: int) -> Batch:
        """Return the batch of a step; steps must be asked for in ascending order."""
        newest = step // self._refresh
        # After a resume the pool is empty: make again what it would hold.
        first = max(self._made, newest + 1 - (self._stored.maxlen or 1))
        for number in range(first, newest + 1):
            self._stored.append(self._make(number))
        self._made = newest + 1
        if step % self._refresh == 0:
            crops, teacher = self._stored[-1]
            return self._assemble(crops, teacher)
        rng = np.random.default_rng([self._seed, 1, step])
        picks = rng.integers(len(self._stored) * self._crops.batch, size=self._crops.batch)
        places = [divmod(int(pick), self._crops.batch) for pick in picks]
        count = len(self._stored[0][0])
        crops = [np.stack([self._stored[b][0][k][i] for b, i in places]) for k in range(count)]
        return self._assemble(crops, torch.stack([self._stored[b][1][i] for b, i in places]))

    def _make(self, number: int) -> tuple[list[np.ndarray], Tensor]:
        """Cut new crops and let the teacher paint them; stored small: bytes and half floats."""
        rng = np.random.default_rng([self._seed, 0, number])
        filters = ["nearest" if self._crops.nearest else "smooth", "smooth"]
        cut = []
        for index in rng.integers(len(self._images), size=self._crops.batch):
            group = self._images[index]
            square = max(self._crops.height, self._crops.width)
            crop = random_crop(
                group, square, rng, shrink=self._crops.zoom, filters=filters[: len(group)]
            )
            cut.append([c[: self._crops.height, : self._crops.width] for c in crop])
        crops = [np.stack(kind) for kind in zip(*cut, strict=True)]
        with torch.no_grad():
            outputs = self._teacher(self._source(crops[0]))
            first = outputs[0] if isinstance(outputs, tuple) else outputs
        return crops, picture_of(first, self._pixels).to(torch.float16)

    def _source(self, crops: np.ndarray) -> Tensor:
        tensor = torch.from_numpy(self._pixels.to_tensor(crops, self._channels))
        return tensor.to(self._device, memory_format=torch.channels_last)

    def _assemble(self, crops: list[np.ndarray], teacher: Tensor) -> Batch:
        target = None
        if len(crops) > 1:
            target = torch.from_numpy(crops[1]).to(self._device).permute(0, 3, 1, 2).float() / 255
            if self._pixels.channel_order == "bgr":
                target = target.flip(1)
        return Batch(self._source(crops[0]), teacher.float(), target)
