"""The game of CycleGAN between a generator and a discriminator, in least squares.

X. Mao et al., "Least Squares Generative Adversarial Networks" (ICCV 2017), equation 9, as CycleGAN
uses it (Zhu et al., ICCV 2017, section 4, "Training details"); means over all patches:

    discriminator:  1/2 (mean (D(real) - 1)^2 + mean D(fake)^2)
    generator:      mean (D(fake) - 1)^2
"""

from torch import Tensor, nn

from decig.train.losses.adversarial import frozen


def discriminator_loss(discriminator: nn.Module, fake: Tensor, real: Tensor) -> Tensor:
    """How badly the discriminator tells `fake` from `real` (N,3,H,W).

    No gradient reaches the generator.
    """
    on_real = discriminator(real).float()
    on_fake = discriminator(fake.detach()).float()
    loss: Tensor = 0.5 * ((on_real - 1).square().mean() + on_fake.square().mean())
    return loss


def generator_loss(discriminator: nn.Module, fake: Tensor) -> Tensor:
    """How badly `fake` passes for real. The discriminator's weights receive no gradient."""
    with frozen(discriminator):
        on_fake = discriminator(fake).float()
    loss: Tensor = (on_fake - 1).square().mean()
    return loss
