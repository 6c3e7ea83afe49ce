"""Likeness to real pictures: L1, and a discriminator that cannot tell the difference.

Isola et al., "Image-to-Image Translation with Conditional Adversarial Networks" (CVPR 2017),
equation 4, here with weights for both terms.
"""

from torch import Tensor, nn
from torch.nn.functional import l1_loss

from decig.train.losses.adversarial import generator_loss


def target_loss(
    picture: Tensor,
    target: Tensor,
    *,
    l1: float,
    adversarial: float = 0.0,
    discriminator: nn.Module | None = None,
    source: Tensor | None = None,
) -> Tensor:
    """Return l1 |y - t|_1 + adversarial L_GAN(y | source), for pictures N,3,H,W.

    Args:
        picture: y, what the generator made.
        target: t, the real picture.
        l1: weight of the mean absolute difference.
        adversarial: weight of the other term; without a discriminator it is left out.
        discriminator: judges whether pictures of `source` are real.
        source: what the pictures were made from, N,C,H,W.
    """
    loss = l1 * l1_loss(picture, target)
    if discriminator is None or source is None:
        return loss
    return loss + adversarial * generator_loss(discriminator, source, picture)
