"""What tasks share that learn from pairs of pictures: `paired` and `label_map`."""

from collections.abc import Mapping
from pathlib import Path
from typing import ClassVar, Self

import numpy as np
import torch
from torch import Tensor, nn

from decig.source.recipe import Recipe
from decig.training.data.pairs import Batch, Examples
from decig.training.data.stages import Common
from decig.training.loop.precision import Precision
from decig.training.loop.processes import Processes
from decig.training.nets.augmentation import Augmentation, Kind
from decig.training.nets.averaging import Averaging
from decig.training.tasks import Memory, settings_of


class PairSettings(Common, frozen=True):
    """Settings in the table [train] that tasks share which learn from pairs.

    Attributes:
        augment: how inputs and pictures are changed at random before a discriminator sees them:
            any of "colour", "translation" and "cutout". With few pairs it learns them by heart
            otherwise.
    """

    augment: tuple[Kind, ...] = ()


class PairTask:
    """One generator, with fresh weights, and the pairs that it learns from.

    A task adds its discriminator, `nets`, `groups` and `losses` (`decig.training.tasks.Original`).

    Attributes:
        KIND: record of the task's settings.
        generator: with fresh weights.
        nets: what is trained, by name.
        crops_per_step: of a process, at the end of the training.
    """

    KIND: ClassVar[type[PairSettings]]
    nets: dict[str, nn.Module]

    @classmethod
    def open(cls, recipe: Recipe, data: Path | None, processes: Processes) -> Self:
        """List the pairs and make generator and discriminator with fresh weights.

        Args:
            recipe: with its tables [source] and [train].
            data: folder of the data set; None takes the folder named in [train.data].
            processes: that train together.

        Raises:
            BadInputError: the recipe cannot be trained, or the data does not fit.
        """
        settings = settings_of(recipe, cls.KIND)
        examples = Examples.open(recipe, settings, data, processes)
        return cls(recipe, settings, examples, processes)

    def __init__(
        self, recipe: Recipe, settings: PairSettings, examples: Examples, processes: Processes
    ) -> None:
        """Make the generator; what is drawn after it follows from the seed, too.

        Args:
            recipe: of the generator.
            settings: its table [train], of the task's `KIND`.
            examples: pairs to cut crops from, and pairs to show.
            processes: that train together.

        Raises:
            BadInputError: the generator makes no pictures of the sizes that it is trained at.
        """
        self._examples = examples
        self._precision = Precision.named(settings.precision, processes.device.type)
        self._judged_channels = recipe.input_shape[1] + 3  # an input, and what was made of it
        black, white = recipe.pixels.output_range
        self._augmentation = Augmentation(settings.augment, white - black)
        torch.manual_seed(settings.seed)
        self.generator = examples.build_generator()
        self.averages = {"generator": Averaging(settings.ema, head_start=1)}
        self.memories: dict[str, Memory] = {}
        course = examples.course
        self.steps, self.sizes, self.seed = course.steps, course.sizes, settings.seed
        self.crops_per_step = course.stages[-1].batch

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

    def show(self, nets: Mapping[str, nn.Module]) -> dict[str, list[np.ndarray]]:
        """Paint held-out examples at the size of the model; input, output and real picture."""
        return self._examples.show(nets["generator"])

    def exports(self, nets: Mapping[str, nn.Module]) -> dict[str, nn.Module]:
        """Return the generator as it is to be written."""
        return {"generator.onnx": nets["generator"]}
