"""Real pictures of what a generator paints, which belong to none of its inputs."""

from functools import lru_cache

import numpy as np
from torch import Tensor

from decig.data.crops import bound, random_crop
from decig.data.gallery import Gallery
from decig.data.pixels import PixelFormat
from decig.training.data.pool import Crops, as_pictures

_KEPT = 256
"""Real pictures that are kept in memory."""


class RealPictures:
    """Crops of real pictures of the target domain; which ones, follows from seed, step and rank."""

    def __init__(
        self,
        gallery: Gallery,
        crops: Crops,
        pixels: PixelFormat,
        *,
        channels: int = 3,
        seed: int,
        rank: int = 0,
    ) -> None:
        """Prepare.

        Args:
            gallery: the pictures.
            crops: how to cut them.
            pixels: the model's pixel format, whose channel order crops have.
            channels: of the model's pictures.
            seed: of every choice.
            rank: of this process among those that train together.
        """
        self._crops, self._pixels, self._channels = crops, pixels, channels
        self._seed, self._rank = seed, rank
        self._count = len(gallery)
        side = max(crops.height, crops.width)
        largest = round(crops.zoom * side)

        @lru_cache(maxsize=_KEPT)
        def picture(number: int) -> np.ndarray:
            return bound((gallery[number],), side, largest, filters=["smooth"])[0]

        self._picture = picture

    def batch(self, number: int) -> Tensor:
        """Return the crops of a step, N,C,H,W in 0..1."""
        rng = np.random.default_rng([self._seed, 3, number, self._rank])
        picks = rng.integers(self._count, size=self._crops.batch)
        found = np.stack([self._cut(int(pick), rng) for pick in picks])
        return as_pictures(found, self._pixels, self._channels)

    def _cut(self, number: int, rng: np.random.Generator) -> np.ndarray:
        height, width = self._crops.height, self._crops.width
        side = max(height, width)
        picture = (self._picture(number),)
        (crop,) = random_crop(picture, side, rng, shrink=self._crops.zoom, filters=["smooth"])
        return crop[:height, :width]
