"""The game between a generator and a discriminator: its two losses (Isola et al., equation 1).

Both are the cross-entropy of Goodfellow et al., "Generative Adversarial Nets" (NeurIPS 2014),
with the generator maximising log D(G(x)) (their section 3), as pix2pix does.
"""

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn
from torch.nn.functional import binary_cross_entropy_with_logits


def discriminator_loss(
    discriminator: nn.Module, source: Tensor, fake: Tensor, real: Tensor
) -> Tensor:
    """How badly the discriminator tells `fake` from `real`, both made for `source` (N,3,H,W).

    No gradient reaches the generator. The halving slows the discriminator down relative to the
    generator (Isola et al., section 3.3).
    """
    on_real = discriminator(source, real).float()
    on_fake = discriminator(source, fake.detach()).float()
    loss: Tensor = binary_cross_entropy_with_logits(on_real, torch.ones_like(on_real))
    return 0.5 * (loss + binary_cross_entropy_with_logits(on_fake, torch.zeros_like(on_fake)))


def generator_loss(discriminator: nn.Module, source: Tensor, fake: Tensor) -> Tensor:
    """How badly `fake` passes for real. The discriminator's weights receive no gradient."""
    with frozen(discriminator):
        logits = discriminator(source, fake).float()
    return binary_cross_entropy_with_logits(logits, torch.ones_like(logits))


@contextmanager
def frozen(module: nn.Module) -> Iterator[None]:
    """Record no gradient for the weights of a module inside the block.

    A generator's loss then reaches the generator alone, and a third of the backward pass through
    its discriminator is saved.
    """
    module.requires_grad_(False)
    try:
        yield
    finally:
        module.requires_grad_(True)
