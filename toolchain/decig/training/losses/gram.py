"""Style: what a discriminator sees in two pictures, whatever the place where it sees it.

L. Gatys et al., "Image Style Transfer Using Convolutional Neural Networks" (CVPR 2016), equations 3
to 5, compare Gram matrices of feature maps; the normalisation is that of J. Johnson et al.,
"Perceptual Losses for Real-Time Style Transfer and Super-Resolution" (ECCV 2016), equation 3, and
L1 is taken of the differences, as Y. Ren et al., "Online Multi-Granularity Distillation for GAN
Compression" (ICCV 2021), section 3.2, do for students. Here the features are those of the
discriminator. With F of C channels and H x W places as a C x HW matrix:

    G(F) = F F^T / (C H W)
    L    = mean over scales of  sum over layers of  mean |G(student) - G(teacher)|
"""

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn.functional import l1_loss


def style_loss(fake: Sequence[Sequence[Tensor]], real: Sequence[Sequence[Tensor]]) -> Tensor:
    """Compare the Gram matrices of a discriminator's layers.

    Args:
        fake: N,C,H,W of each layer at each scale, on the student's pictures.
        real: the same on the teacher's; they receive no gradient.
    """
    scales = []
    for on_fake, on_real in zip(fake, real, strict=True):
        layers = zip(on_fake, on_real, strict=True)
        scales.append(torch.stack([l1_loss(gram(f), gram(r.detach())) for f, r in layers]).sum())
    return torch.stack(scales).mean()


def gram(features: Tensor) -> Tensor:
    """Gram matrices N,C,C of features N,C,H,W."""
    flat = features.float().flatten(2)
    with torch.autocast(features.device.type, enabled=False):
        return flat @ flat.transpose(1, 2) / (flat.shape[1] * flat.shape[2])
