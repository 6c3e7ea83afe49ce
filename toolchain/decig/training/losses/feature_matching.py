"""Feature matching: fake and real pictures shall look alike to every layer of the discriminator.

T. Wang et al., "High-Resolution Image Synthesis and Semantic Manipulation with Conditional GANs"
(CVPR 2018), equation 4, with the mean over the scales of the discriminator as in GauGAN:

    L = mean over scales k of  sum over layers i of  mean |D_k^i(real) - D_k^i(fake)|
"""

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn.functional import l1_loss


def feature_matching_loss(
    fake: Sequence[Sequence[Tensor]], real: Sequence[Sequence[Tensor]]
) -> Tensor:
    """Compare what the layers of a discriminator make of fake pictures and of real ones.

    Args:
        fake: values of each layer at each scale, without the judgement itself.
        real: the same of the real pictures; they receive no gradient.
    """
    scales = []
    for on_fake, on_real in zip(fake, real, strict=True):
        layers = zip(on_fake, on_real, strict=True)
        scales.append(torch.stack([l1_loss(f.float(), r.detach().float()) for f, r in layers]))
    return torch.stack([layers.sum() for layers in scales]).mean()
