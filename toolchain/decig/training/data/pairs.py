"""What tasks that learn from pairs share: crops of pairs, a generator that fits, a sheet to see."""

import copy
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from decig.data.crops import fit
from decig.data.layouts import find_layout
from decig.data.pairs import Pairs
from decig.source.recipe import Recipe
from decig.training.data.stages import SHOWN, Common, Course, data_folder, require_trainable
from decig.training.loop.processes import Processes
from decig.training.pytorch.generator import build_generator, check_pictures

_SEEDS = 1 << 63


@dataclass(frozen=True)
class Batch:
    """Crops of one step.

    Attributes:
        source: what the generator takes, N,C,H,W in the range of its input.
        real: what it should make of it, N,3,H,W in the range of its output.
        seed: of whatever else is random in the step.
    """

    source: Tensor
    real: Tensor
    seed: int


def read_data(recipe: Recipe, given: Path | None, settings: Common) -> tuple[Pairs, Pairs]:
    """List the pairs to train on and those to show.

    Where the data set has no part that is held out, what is shown is trained on, too.

    Args:
        recipe: that is trained.
        given: folder of the data set; None takes the one that the recipe names.
        settings: its table [train].

    Raises:
        BadInputError: folders or images are missing or do not match.
    """
    folder = data_folder(recipe, given, settings.data)
    layout = find_layout(folder, joined=settings.data.joined)
    direction, labels = layout.direction(settings.data.direction), recipe.pixels.labels
    training = Pairs(layout.train, direction, labels)
    if layout.held_out is None:
        return training, training
    return training, Pairs(layout.held_out, direction, labels)


def check_generator(generator: nn.Module, recipe: Recipe, course: Course) -> None:
    """Make sure that a generator makes pictures of all sizes that it will be fed.

    Args:
        generator: with fresh weights; what it remembers stays as it is.
        recipe: says the size at which it will be used.
        course: says what it is trained on.

    Raises:
        BadInputError: it makes no pictures of one of them; says what it makes.
    """
    # On copies, as a run in training mode moves running statistics.
    check_pictures(copy.deepcopy(generator).eval(), [1, *recipe.input_shape[1:]])
    for shape in course.shapes(recipe.input_shape[1]):
        check_pictures(copy.deepcopy(generator).train(), shape)


class Examples:
    """Pairs to train on and pairs to show, as the generator of a recipe takes them.

    Attributes:
        course: the stages of the training.
    """

    def __init__(
        self,
        recipe: Recipe,
        settings: Common,
        training: Pairs,
        held_out: Pairs,
        processes: Processes,
    ) -> None:
        """Lay the stages out.

        Args:
            recipe: of the generator.
            settings: its table [train].
            training: pairs to cut crops from.
            held_out: pairs to show.
            processes: that train together.

        Raises:
            BadInputError: a picture is smaller than the crops of a stage.
        """
        self._recipe, self._settings, self._device = recipe, settings, processes.device
        self._training, self._held_out = training, held_out
        self.course = Course(settings.stages_for(recipe), settings.seed, len(training), processes)
        training.require_at_least(self.course.least_side)

    @classmethod
    def open(
        cls, recipe: Recipe, settings: Common, data: Path | None, processes: Processes
    ) -> "Examples":
        """List the pairs that a recipe is trained on.

        Args:
            recipe: of the generator.
            settings: its table [train].
            data: folder of the data set; None takes the one that the recipe names.
            processes: that train together.

        Raises:
            BadInputError: the recipe cannot be trained, or the data does not fit.
        """
        require_trainable(recipe)
        return cls(recipe, settings, *read_data(recipe, data, settings), processes)

    def build_generator(self) -> nn.Module:
        """Make the recipe's generator with fresh weights.

        Raises:
            BadInputError: it makes no pictures of the sizes that it is trained at.
        """
        generator = build_generator(require_trainable(self._recipe), self._recipe.folder)
        check_generator(generator, self._recipe, self.course)
        return generator

    def batch(self, number: int) -> Batch:
        """Cut the crops of a step; they depend on seed, step and process only."""
        draw, pixels = self.course.draw(number), self._recipe.pixels
        pairs = (self._training[example] for example in draw.examples)
        filters = (pixels.resample, "smooth")
        crops = [draw.cut((pair.input, pair.target), self._settings, filters) for pair in pairs]
        sources, targets = (np.stack(images) for images in zip(*crops, strict=True))
        return Batch(
            torch.from_numpy(pixels.to_tensor(sources, self._recipe.input_shape[1])).to(
                self._device
            ),
            torch.from_numpy(pixels.of_pictures().to_tensor(targets)).to(self._device),
            int(draw.rng.integers(_SEEDS)),
        )

    def show(self, generator: nn.Module) -> dict[str, list[np.ndarray]]:
        """Paint held-out examples at the size of the model; input, output and real picture."""
        _, channels, height, width = self._recipe.input_shape
        pixels, resample = self._recipe.pixels, self._recipe.pixels.resample
        pairs = [self._held_out[number] for number in range(min(SHOWN, len(self._held_out)))]
        sources = np.stack([fit(pair.input, height, width, resample=resample) for pair in pairs])
        tensor = torch.from_numpy(pixels.to_tensor(sources, channels))
        with torch.no_grad():
            outputs = generator(tensor.to(self._device)).cpu().numpy()
        seen = sources if pixels.labels is None else map(pixels.labels.show, sources)
        return {
            "input": list(seen),
            "output": list(pixels.from_tensor(outputs)),
            "real": [fit(pair.target, height, width) for pair in pairs],
        }
