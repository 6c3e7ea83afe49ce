"""The game of pix2pix between a generator and a discriminator: the cross-entropy.

I. Goodfellow et al., "Generative Adversarial Nets" (NeurIPS 2014), equation 1, with the generator
maximising log D(G(x)) (their section 3), as pix2pix plays it (Isola et al., CVPR 2017, section
3.3); s is the logistic function, means over all patches of a scale and over the scales:

    discriminator:  -1/2 (mean log s(D(real)) + mean log (1 - s(D(fake))))
    generator:      -mean log s(D(fake))

The halving slows the discriminator down relative to the generator.
"""

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn.functional import binary_cross_entropy_with_logits


def discriminator_loss(on_fake: Sequence[Tensor], on_real: Sequence[Tensor]) -> Tensor:
    """How badly the discriminator tells fake from real, by its logits at each scale."""
    both = zip(on_fake, on_real, strict=True)
    return torch.stack(
        [0.5 * (_wrong(real, 1.0) + _wrong(fake, 0.0)) for fake, real in both]
    ).mean()


def generator_loss(on_fake: Sequence[Tensor]) -> Tensor:
    """How badly fake pictures pass for real, by the logits at each scale."""
    return torch.stack([_wrong(fake, 1.0) for fake in on_fake]).mean()


def _wrong(logits: Tensor, wanted: float) -> Tensor:
    logits = logits.float()
    return binary_cross_entropy_with_logits(logits, torch.full_like(logits, wanted))
