"""The game of GauGAN between a generator and a discriminator of several scales: the hinge.

T. Miyato et al., "Spectral Normalization for Generative Adversarial Networks" (ICLR 2018),
equations 16 and 17, as GauGAN uses it (Park et al., CVPR 2019, appendix A); means over all patches
of a scale and over the scales:

    discriminator:  mean max(0, 1 - D(real)) + mean max(0, 1 + D(fake))
    generator:      -mean D(fake)
"""

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn.functional import relu


def discriminator_loss(on_fake: Sequence[Tensor], on_real: Sequence[Tensor]) -> Tensor:
    """How badly the discriminator tells fake from real, by its judgements at each scale."""
    both = zip(on_fake, on_real, strict=True)
    scales = [relu(1 - real.float()).mean() + relu(1 + fake.float()).mean() for fake, real in both]
    return torch.stack(scales).mean()


def generator_loss(on_fake: Sequence[Tensor]) -> Tensor:
    """How badly fake pictures pass for real, by the judgements at each scale."""
    return -torch.stack([judged.float().mean() for judged in on_fake]).mean()
