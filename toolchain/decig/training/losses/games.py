"""The games that a generator and a discriminator can play, by their names in settings."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Literal

from torch import Tensor, nn

from decig.training.losses import cross_entropy, hinge, least_squares

GameName = Literal["cross-entropy", "least-squares", "hinge"]


@dataclass(frozen=True)
class Game:
    """The two losses of a game, and how fast its discriminator learns.

    Attributes:
        discriminator: how badly the discriminator tells fake from real, by what it says of each
            at every scale.
        generator: how badly fake pictures pass for real, by what is said of them.
        learning_rate: of Adam for the discriminator.
        betas: likewise.
    """

    discriminator: Callable[[Sequence[Tensor], Sequence[Tensor]], Tensor]
    generator: Callable[[Sequence[Tensor]], Tensor]
    learning_rate: float = 2e-4
    betas: tuple[float, float] = (0.5, 0.999)


GAMES: dict[GameName, Game] = {
    "cross-entropy": Game(cross_entropy.discriminator_loss, cross_entropy.generator_loss),
    "least-squares": Game(least_squares.discriminator_loss, least_squares.generator_loss),
    "hinge": Game(hinge.discriminator_loss, hinge.generator_loss, 4e-4, (0.0, 0.9)),
}
"""Pix2pix plays the first one, CycleGAN the second, at the same rate and betas (Isola et al.,
section 3.3); GauGAN the third, at those of its authors' code."""


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
