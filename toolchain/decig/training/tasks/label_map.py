"""Painting label maps: GauGAN's losses for any generator that takes label maps.

T. Park, M. Liu, T. Wang, J. Zhu, "Semantic Image Synthesis with Spatially-Adaptive Normalization"
(CVPR 2019), section 3 and appendix A:

    generator:      hinge + feature_matching * L_FM + l1 * L1
    discriminator:  hinge

L1 is not the paper's and is left out unless asked for: the discriminator normalises its layers, and
so hardly sees wrong colours, which a weak L1 to the real picture does. The term of the paper that
compares features of a VGG net trained on ImageNet is not there, as its weights are not ours to
bring. The generator is updated first; both nets are shown the same picture of a step, which the
public code paints anew for the discriminator.
"""

import copy
from collections.abc import Mapping

import torch
from torch import Tensor, nn

from decig.errors import BadInputError
from decig.schema import AtLeastOne, NotNegative
from decig.source.recipe import Recipe
from decig.training.data.pairs import Batch, Examples
from decig.training.loop.processes import Processes
from decig.training.loop.schedule import HoldThenFall
from decig.training.losses.feature_matching import feature_matching_loss
from decig.training.losses.games import frozen
from decig.training.losses.hinge import discriminator_loss, generator_loss
from decig.training.nets.judged import Judged, features_of, verdicts
from decig.training.nets.multiscale import (
    MultiscaleDiscriminator,
    initialise_xavier,
    normalise_spectrally,
)
from decig.training.originals.pair_task import PairSettings, PairTask
from decig.training.pytorch.reparametrise import resolve_module
from decig.training.ranges import LearningRate
from decig.training.tasks import Group

_BETAS = (0.0, 0.9)
"""Of Adam, for both nets: those of the authors' code; their paper prints 0.999 for the second."""


class Settings(PairSettings, frozen=True):
    """The table [train] of a recipe, beside what all tasks share.

    Attributes:
        learning_rate: of Adam for the generator.
        discriminator_learning_rate: of Adam for the discriminator.
        feature_matching: weight of the difference between fake and real pictures in the layers
            of the discriminator; 0 leaves that term out.
        l1: weight of the mean absolute difference to the real picture; 0 leaves that term out.
        discriminator_width: channels of the discriminator's first layer.
        scales: sizes at which the discriminator judges, each half of the one before.
        spectral_norm: layers of the generator that are trained under spectral norm, by their
            names in PyTorch, with "*" for any characters; exported weights are plain.
    """

    learning_rate: LearningRate = 1e-4
    discriminator_learning_rate: LearningRate = 4e-4
    feature_matching: NotNegative = 10.0
    l1: NotNegative = 0.0
    discriminator_width: AtLeastOne = 64
    scales: AtLeastOne = 2
    spectral_norm: tuple[str, ...] = ()


class LabelMap(PairTask):
    """The task: see `decig.training.tasks.Original`."""

    KIND = Settings

    def __init__(
        self, recipe: Recipe, settings: Settings, examples: Examples, processes: Processes
    ) -> None:
        """Make the nets with fresh weights.

        Args:
            recipe: of the generator.
            settings: its table [train].
            examples: pairs to cut crops from, and pairs to show.
            processes: that train together.

        Raises:
            BadInputError: the generator makes no pictures of the sizes that it is trained at, or
                has no layer of a name in `spectral_norm`, or crops are too small for `scales`.
        """
        super().__init__(recipe, settings, examples, processes)
        self._settings = settings
        self.discriminator = MultiscaleDiscriminator(
            self._judged_channels, settings.discriminator_width, settings.scales
        )
        smallest, least = min(map(min, self.sizes)), self.discriminator.smallest
        if smallest < least:
            raise BadInputError(
                f"{recipe.folder}/recipe.toml: train.scales = {settings.scales} needs crops of at "
                f"least {least} pixels, and a stage has crops of {smallest}"
            )
        for net in (self.generator, self.discriminator):
            initialise_xavier(net)
        normalise_spectrally(self.discriminator, self.discriminator.NORMED)
        try:
            normalise_spectrally(self.generator, settings.spectral_norm)
        except BadInputError as error:
            file = recipe.folder / "recipe.toml"
            raise BadInputError(f"{file}: train.spectral_norm: {error}") from error
        self.nets: dict[str, nn.Module] = {
            "generator": self.generator,
            "discriminator": self.discriminator,
        }
        schedule = HoldThenFall(settings.hold)
        rates = (settings.learning_rate, settings.discriminator_learning_rate)
        self.groups = {
            name: Group((name,), rate, _BETAS, schedule)
            for name, rate in zip(self.nets, rates, strict=True)
        }

    def losses(self, group: str, batch: Batch, shared: Tensor) -> dict[str, Tensor]:
        """Return the terms for one of the two nets."""
        if group == "discriminator":
            fake, real = self._judge(batch, shared.detach())
            return {"hinge": discriminator_loss(verdicts(fake), verdicts(real))}
        with frozen(self.discriminator):
            fake, real = self._judge(batch, shared)
        terms = {"hinge": generator_loss(verdicts(fake))}
        if weight := self._settings.feature_matching:
            features = (features_of(judged) for judged in (fake, real))
            terms["features"] = weight * feature_matching_loss(*features)
        if weight := self._settings.l1:
            terms["l1"] = weight * (shared.float() - batch.real).abs().mean()
        return terms

    def _judge(self, batch: Batch, painted: Tensor) -> tuple[Judged, Judged]:
        """Show fake and real pictures to the discriminator, in one pass as the authors do."""
        shown = [painted.to(batch.real.dtype), batch.real]
        source, pictures = self._augmentation(batch.source, shown, batch.seed)
        with self._precision.autocast():
            found = self.discriminator(source.repeat(2, 1, 1, 1), torch.cat(pictures))
        halves = [[value.chunk(2) for value in layers] for layers in found]
        fake, real = ([[both[k] for both in layers] for layers in halves] for k in (0, 1))
        return fake, real

    def exports(self, nets: Mapping[str, nn.Module]) -> dict[str, nn.Module]:
        """Return the generator as it is to be written, with plain weights."""
        plain = copy.deepcopy(nets["generator"])
        resolve_module(plain)
        return {"generator.onnx": plain}


open_task = LabelMap.open
