"""A discriminator that judges a student's pictures, and how the two play against each other.

GAN Compression (Li et al., CVPR 2020, section 3.1 and equation 3) trains students of conditional
GANs with the loss of the original task, and lets the discriminator begin with the weights that it
was trained to beside the original generator. Real are the targets where there are pairs, pictures
of the target domain where there are none, and the teacher's own pictures where there are no real
ones at all.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import torch
from torch import Tensor

from decig.data.pixels import PixelFormat
from decig.errors import BadInputError
from decig.training.data.pool import Batch
from decig.training.losses.games import GAMES, GameName, frozen
from decig.training.losses.output import condition_of
from decig.training.nets.judged import Judged, verdicts
from decig.training.nets.multiscale import MultiscaleDiscriminator, normalise_spectrally
from decig.training.nets.patch_gan import PatchDiscriminator, initialise
from decig.training.nets.recognise import Discriminator
from decig.training.pytorch.discriminator import load_discriminator

_WIDTH, _NARROWEST = 64, 8
"""Channels of the first layer of the discriminator of a whole teacher, and of any at least."""
_COLOURS = 3
"""Channels of a picture, where it is not said."""

AUTO: Literal["auto"] = "auto"
"""Name of the game that the authors of the kind of discriminator play; see `game_of`."""
Real = Literal["target", "teacher", "real"]
"""Which pictures of a batch are taken for real: see `decig.training.data.pool.Batch`."""
View = Callable[[Batch, Tensor], tuple[Tensor, ...]]
"""What a discriminator is shown of a batch and a picture in 0..1: N,C,H,W each."""


@dataclass(frozen=True)
class Adversary:
    """A discriminator, and how its game with the student goes.

    Attributes:
        net: judges patches of pictures.
        game: name of the game, one of `GAMES`.
        real: which pictures of a batch are taken for real.
        view: what the discriminator is shown.
        weight: of the student's loss in the game; may be 0 where only features are looked at.
    """

    net: Discriminator
    game: GameName
    real: Real
    view: View
    weight: float

    def loss(self, batch: Batch, picture: Tensor) -> Tensor:
        """The discriminator's loss for the student's picture N,C,H,W in 0..1."""
        real: Tensor | None = getattr(batch, self.real)
        assert real is not None, f"batches have no {self.real}"
        on_real, on_fake = (
            self.net.judge(*self.view(batch, each)) for each in (real, picture.detach())
        )
        return GAMES[self.game].discriminator(verdicts(on_fake), verdicts(on_real))

    def judge(self, batch: Batch, picture: Tensor) -> Judged:
        """Judge a picture N,C,H,W in 0..1; the discriminator's weights receive no gradient."""
        with frozen(self.net):
            return self.net.judge(*self.view(batch, picture))

    def student_loss(self, judged: Judged) -> Tensor:
        """The student's loss for its picture as it was judged, before it is weighted."""
        return GAMES[self.game].generator(verdicts(judged))


def width_for(widths: Sequence[int], whole: Sequence[int]) -> int:
    """Width of the discriminator for a student: as narrow as the student is of its teacher.

    (A discriminator of full width learns to tell a slim generator's pictures at once, and then
    says nothing that the generator could learn from.)

    Args:
        widths: channels of the student's groups.
        whole: channels of the teacher's.
    """
    return max(_NARROWEST, round(_WIDTH * sum(widths) / max(1, sum(whole))))


def fresh_discriminator(
    inputs: int, width: int, seed: int, *, colours: int = _COLOURS
) -> PatchDiscriminator:
    """Make a PatchGAN with random weights.

    Args:
        inputs: channels of what is shown beside the picture, 0 for nothing.
        width: channels of its first layer.
        seed: of the weights.
        colours: channels of a picture.
    """
    torch.manual_seed(seed)
    net = PatchDiscriminator(inputs + colours, width)
    initialise(net)
    return net


def trained_discriminator(
    file: Path, inputs: int, real: Real, seed: int = 0, *, colours: int = _COLOURS
) -> Discriminator:
    """Read the discriminator that a generator was trained with, to be trained on.

    One of several scales is put under spectral norm again, as its authors train it.

    Args:
        file: as for `load_discriminator`.
        inputs: channels of the generator's image input; 0 where it takes none, or one of another
            size than its pictures, so that the two cannot be shown beside each other.
        real: which pictures will be taken for real.
        seed: of the vectors with which spectral norms begin to look for the greatest stretch.
        colours: channels of a picture.

    Raises:
        BadInputError: the file holds no discriminator of a known kind, or one that judges
            something else than this generator's pictures, alone or beside their input.
    """
    net = load_discriminator(file)
    beside = net.channels - colours
    fits = f"{colours} (the picture alone)"
    if inputs and real != "real":
        fits += f" or {inputs + colours} (beside the model's input)"
    if beside not in (0, inputs):
        raise BadInputError(
            f"{file}: this discriminator judges {net.channels} channels; the model's pictures "
            f"need one of {fits}"
        )
    if beside and real == "real":
        raise BadInputError(
            f"{file}: this discriminator judges pictures beside their input ({net.channels} "
            f"channels), and unpaired pictures belong to no input: give one of {fits}, or pairs"
        )
    if isinstance(net, MultiscaleDiscriminator):
        torch.manual_seed(seed)
        normalise_spectrally(net, net.NORMED)
    return net


def game_of(net: Discriminator, colours: int = _COLOURS) -> GameName:
    """The game that is played with a kind of discriminator.

    That is the hinge with one of several scales (GauGAN), the cross-entropy where pictures are
    judged beside their input (pix2pix), and least squares where they are judged alone (CycleGAN).
    """
    if isinstance(net, MultiscaleDiscriminator):
        return "hinge"
    return "cross-entropy" if net.channels > colours else "least-squares"


def adversary_of(
    net: Discriminator,
    pixels: PixelFormat,
    *,
    real: Real,
    weight: float,
    trained: bool,
    game: GameName | Literal["auto"] = AUTO,
    colours: int = _COLOURS,
) -> Adversary:
    """Let a discriminator judge a student.

    Args:
        net: of as many channels as a picture has, or as picture and input have together.
        pixels: the model's pixel format.
        real: which pictures of a batch are taken for real.
        weight: of the student's loss in the game.
        trained: whether it was trained beside the model. Then it is shown pictures in the ranges
            of the model, otherwise in 0..1.
        game: that they play.
        colours: channels of a picture.
    """
    beside = net.channels > colours
    view = _view(pixels, beside=beside, trained=trained)
    return Adversary(net, game_of(net, colours) if game == AUTO else game, real, view, weight)


def _view(pixels: PixelFormat, *, beside: bool, trained: bool) -> View:
    """What a discriminator is shown; arguments as for `adversary_of`."""
    low, high = pixels.output_range

    def view(batch: Batch, picture: Tensor) -> tuple[Tensor, ...]:
        shown = low + (high - low) * picture if trained else picture
        if not beside:
            return (shown,)
        assert batch.source is not None
        if not trained:
            return condition_of(batch.source, pixels), shown
        source = batch.source
        return (source.permute(0, 3, 1, 2) if pixels.layout == "nhwc" else source), shown

    return view
