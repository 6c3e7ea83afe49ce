"""The game of CycleGAN between a generator and a discriminator, in least squares.

X. Mao et al., "Least Squares Generative Adversarial Networks" (ICCV 2017), equation 9, as CycleGAN
uses it (Zhu et al., ICCV 2017, section 4, "Training details"); means over all patches of a scale
and over the scales:

    discriminator:  1/2 (mean (D(real) - 1)^2 + mean D(fake)^2)
    generator:      mean (D(fake) - 1)^2
"""

from collections.abc import Sequence

import torch
from torch import Tensor


def discriminator_loss(on_fake: Sequence[Tensor], on_real: Sequence[Tensor]) -> Tensor:
    """How badly the discriminator tells fake from real, by its judgements at each scale."""
    both = zip(on_fake, on_real, strict=True)
    return torch.stack([0.5 * (_off(real, 1.0) + _off(fake, 0.0)) for fake, real in both]).mean()


def generator_loss(on_fake: Sequence[Tensor]) -> Tensor:
    """How badly fake pictures pass for real, by the judgements at each scale."""
    return torch.stack([_off(fake, 1.0) for fake in on_fake]).mean()


def _off(judged: Tensor, wanted: float) -> Tensor:
    return (judged.float() - wanted).square().mean()
