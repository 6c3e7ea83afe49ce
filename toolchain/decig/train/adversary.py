"""A discriminator that judges a student's pictures, and the pictures that it takes for real.

GAN Compression (Li et al., CVPR 2020, section 3.1 and equation 3) trains students of conditional
GANs with the loss of the original task: against real targets where there are pairs, against real
pictures of the target domain where there are none. Where there are no real pictures at all, those
of the teacher can be taken for real.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import torch
from torch import Tensor, nn

from decig.data.crops import bound, random_crop
from decig.data.gallery import Gallery
from decig.data.pixels import PixelFormat
from decig.train.losses import adversarial, least_squares
from decig.train.losses.output import condition_of
from decig.train.nets.patch_gan import PatchDiscriminator, initialise
from decig.train.pool import Batch, Crops

_WIDTH, _NARROWEST = 64, 8
"""Channels of the first layer of the discriminator of a whole teacher, and of any at least."""
_COLOURS = 3
"""Channels of a real picture."""
_KEPT = 256
"""Real pictures that are kept in memory."""


@dataclass(frozen=True)
class Adversary:
    """A discriminator, and how its game with the student goes.

    Attributes:
        net: judges patches of pictures.
        weight: of the student's loss.
        loss: of the discriminator, by the batch and the student's picture N,3,H,W in 0..1.
        student_loss: of the student, by the same, before it is weighted.
    """

    net: nn.Module
    weight: float
    loss: Callable[[Batch, Tensor], Tensor]
    student_loss: Callable[[Batch, Tensor], Tensor]


class RealPictures:
    """Crops of real pictures of the target domain; which ones, follows from seed, step and rank."""

    def __init__(
        self, gallery: Gallery, crops: Crops, pixels: PixelFormat, *, seed: int, rank: int = 0
    ) -> None:
        """Prepare.

        Args:
            gallery: the pictures.
            crops: how to cut them.
            pixels: the model's pixel format, whose channel order crops have.
            seed: of every choice.
            rank: of this process among those that train together.
        """
        self._crops, self._pixels, self._seed, self._rank = crops, pixels, seed, rank
        self._count = len(gallery)
        side = max(crops.height, crops.width)
        largest = round(crops.zoom * side)

        @lru_cache(maxsize=_KEPT)
        def picture(number: int) -> np.ndarray:
            return bound((gallery[number],), side, largest, filters=["smooth"])[0]

        self._picture = picture

    def batch(self, number: int) -> Tensor:
        """Return the crops of a step, N,3,H,W in 0..1."""
        rng = np.random.default_rng([self._seed, 3, number, self._rank])
        picks = rng.integers(self._count, size=self._crops.batch)
        found = torch.from_numpy(np.stack([self._cut(int(pick), rng) for pick in picks]))
        picture = found.permute(0, 3, 1, 2).float() / 255
        return picture.flip(1) if self._pixels.channel_order == "bgr" else picture

    def _cut(self, number: int, rng: np.random.Generator) -> np.ndarray:
        height, width = self._crops.height, self._crops.width
        side = max(height, width)
        picture = (self._picture(number),)
        (crop,) = random_crop(picture, side, rng, shrink=self._crops.zoom, filters=["smooth"])
        return crop[:height, :width]


def width_for(widths: Sequence[int], whole: Sequence[int]) -> int:
    """Width of the discriminator for a student: as narrow as the student is of its teacher.

    (A discriminator of full width learns to tell a slim generator's pictures at once, and then
    says nothing that the generator could learn from.)

    Args:
        widths: channels of the student's groups.
        whole: channels of the teacher's.
    """
    return max(_NARROWEST, round(_WIDTH * sum(widths) / max(1, sum(whole))))


def against_pairs(
    real: Callable[[Batch], Tensor | None],
    pixels: PixelFormat,
    *,
    inputs: int,
    width: int,
    weight: float,
    seed: int,
) -> Adversary:
    """Judge pictures beside the input that they were made from, as pix2pix does.

    Args:
        real: what is real in a batch: the target, or the teacher's picture.
        pixels: the model's pixel format.
        inputs: channels of the model's image input; 0 where it takes no image.
        width: channels of the discriminator's first layer.
        weight: of the student's loss.
        seed: of the discriminator's first weights.
    """
    net = _fresh(inputs + _COLOURS, width, seed)

    def seen(batch: Batch) -> Tensor:
        if batch.source is None:
            return batch.teacher[:, :0]  # nothing is seen beside the picture
        return condition_of(batch.source, pixels)

    def loss(batch: Batch, picture: Tensor) -> Tensor:
        wanted = real(batch)
        assert wanted is not None
        return adversarial.discriminator_loss(net, seen(batch), picture, wanted)

    def student_loss(batch: Batch, picture: Tensor) -> Tensor:
        return adversarial.generator_loss(net, seen(batch), picture)

    return Adversary(net, weight, loss, student_loss)


def against_domain(*, width: int, weight: float, seed: int) -> Adversary:
    """Judge pictures alone, beside real ones of the target domain, as CycleGAN does.

    Arguments as for `against_pairs`. Batches hold the real pictures.
    """
    net = _fresh(_COLOURS, width, seed)

    def loss(batch: Batch, picture: Tensor) -> Tensor:
        assert batch.real is not None
        return least_squares.discriminator_loss(net, picture, batch.real)

    def student_loss(batch: Batch, picture: Tensor) -> Tensor:
        return least_squares.generator_loss(net, picture)

    return Adversary(net, weight, loss, student_loss)


def _fresh(channels: int, width: int, seed: int) -> PatchDiscriminator:
    torch.manual_seed(seed)
    net = PatchDiscriminator(channels, width)
    initialise(net)
    return net
