"""Learning from pairs of pictures: L1 and a PatchGAN, as pix2pix does.

P. Isola et al., "Image-to-Image Translation with Conditional Adversarial Networks" (CVPR 2017),
section 3, with crops that may grow from stage to stage and a running mean of the weights as the
result. The discriminator is updated first, with the generator's picture of the same step.
"""

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from decig.errors import BadInputError
from decig.schema import AtLeastOne, NotNegative
from decig.source.recipe import Recipe
from decig.training.losses.cross_entropy import discriminator_loss, generator_loss
from decig.training.losses.games import frozen
from decig.training.nets.averaging import Averaging
from decig.training.nets.patch_gan import PatchDiscriminator, initialise
from decig.training.pairs import Batch, Examples
from decig.training.precision import Precision
from decig.training.processes import Processes
from decig.training.ranges import LearningRate
from decig.training.schedule import HoldThenFall
from decig.training.stages import Common
from decig.training.tasks import Group, Memory, settings_of

_BETAS = (0.5, 0.999)
"""Of Adam, for both nets (Isola et al., section 3.3)."""


class Settings(Common, frozen=True):
    """The table [train] of a recipe, beside what all tasks share.

    Attributes:
        learning_rate: of Adam for both nets.
        l1: weight of the mean absolute difference to the target.
        adversarial: weight of the PatchGAN term; 0 trains without a discriminator.
        discriminator_width: channels of the discriminator's first layer.
    """

    learning_rate: LearningRate = 2e-4
    l1: NotNegative = 100.0
    adversarial: NotNegative = 1.0
    discriminator_width: AtLeastOne = 64

    def __post_init__(self) -> None:
        """Refuse a training that has nothing to train for.

        Raises:
            BadInputError: both weights are 0.
        """
        if not self.l1 and not self.adversarial:
            raise BadInputError("train: l1 and adversarial are both 0; nothing would be trained")


def open_task(recipe: Recipe, data: Path | None, processes: Processes) -> "Paired":
    """List the pairs and make generator and discriminator with fresh weights.

    Args:
        recipe: with its tables [source] and [train].
        data: folder of pairs; None takes the folder named in [train.data].
        processes: that train together.

    Raises:
        BadInputError: the recipe cannot be trained, or the data does not fit.
    """
    settings = settings_of(recipe, Settings)
    examples = Examples.open(recipe, settings, data, processes)
    return Paired(recipe, settings, examples, processes)


class Paired:
    """The task: see `decig.training.tasks.Original`."""

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
            BadInputError: the generator makes no pictures of the sizes that it is trained at.
        """
        self._examples, self._settings = examples, settings
        self._precision = Precision.named(settings.precision, processes.device.type)
        torch.manual_seed(settings.seed)
        self.generator = self._examples.build_generator()
        channels = recipe.input_shape[1]
        self.discriminator = PatchDiscriminator(channels + 3, settings.discriminator_width)
        for net in (self.generator, self.discriminator):
            initialise(net)
        used = ["generator", *(["discriminator"] if settings.adversarial else [])]
        self.nets = {name: getattr(self, name) for name in used}
        schedule = HoldThenFall(settings.hold)
        self.groups = {
            name: Group((name,), settings.learning_rate, _BETAS, schedule)
            for name in reversed(used)
        }
        self.averages = {"generator": Averaging(settings.ema, head_start=1)}
        self.memories: dict[str, Memory] = {}
        course = self._examples.course
        self.steps, self.sizes, self.seed = course.steps, course.sizes, settings.seed

    def batch(self, number: int) -> Batch:
        """Cut the crops of a step; they depend on seed, step and process only."""
        return self._examples.batch(number)

    def forward(self, batch: Batch) -> Tensor:
        """Let the generator paint."""
        return self.paint(self.nets, batch)["generator"]

    def paint(self, nets: Mapping[str, nn.Module], batch: Batch) -> dict[str, Tensor]:
        """Let a generator paint the crops of a step."""
        with self._precision.autocast():
            return {"generator": nets["generator"](batch.source)}

    def pictures(self, shared: Tensor) -> dict[str, Tensor]:
        """Return what the generator made of a step's crops."""
        return {"generator": shared}

    def losses(self, group: str, batch: Batch, shared: Tensor) -> dict[str, Tensor]:
        """Return the terms of equation 4 of Isola et al. for one of the two nets."""
        settings, autocast = self._settings, self._precision.autocast
        if group == "discriminator":
            with autocast():
                pictures = (shared.detach(), batch.real)
                fake, real = (self.discriminator(batch.source, each) for each in pictures)
            return {"adversarial": discriminator_loss([fake], [real])}
        terms = {"l1": settings.l1 * (shared.float() - batch.real).abs().mean()}
        if settings.adversarial:
            with autocast(), frozen(self.discriminator):
                judged = self.discriminator(batch.source, shared)
            terms["adversarial"] = settings.adversarial * generator_loss([judged])
        return terms

    def show(self, nets: Mapping[str, nn.Module]) -> dict[str, list[np.ndarray]]:
        """Paint held-out examples at the size of the model; input, output and real picture."""
        return self._examples.show(nets["generator"])

    def exports(self, nets: Mapping[str, nn.Module]) -> dict[str, nn.Module]:
        """Return the generator as it is to be written."""
        return {"generator.onnx": nets["generator"]}
