"""Stretches of the training of an original: which examples each step takes, and how they are cut.

What a step takes is a pure function of the seed, the number of the step and the rank of the
process, so that a run that was killed goes on with what it would have seen.
"""

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Annotated, Literal, TypeVar

import msgspec
import numpy as np

from decig.data.crops import load_and_crop, random_crop
from decig.errors import BadInputError
from decig.schema import AtLeastOne, Count, NotNegative, Seed, Share, WrittenByHand, convert
from decig.source.recipe import Code, Recipe
from decig.training.loop.precision import Name as PrecisionName
from decig.training.loop.processes import Processes
from decig.training.ranges import Decay, Zoom

SMALLEST_CROP = 32
"""Pixels; of smaller crops the convolutions of a discriminator leave nothing."""
SHOWN = 4
"""Held-out examples on a sheet of samples."""
_LOAD = 286 / 256
"""Side of the loaded image to that of the crop, as pix2pix, CycleGAN and GauGAN have it."""
_EPOCHS = 200
"""Of the usual training: half of them at the full learning rate, half while it falls to zero."""
_ORDER = 1
"""Tells the random order of the examples from the crops, which follow from the same seed."""

Direction = Literal["AtoB", "BtoA"]


class Stage(WrittenByHand, frozen=True):
    """A stretch of training, as long as `steps` or `epochs` say; one of the two is given.

    Attributes:
        crop: side of the random crops, in pixels.
        load: side of the square to which images are resized before they are cut, in pixels; 0
            cuts them as large as they are.
        batch: crops per step and process.
        steps: updates of all nets; each takes any of the examples, whichever were taken before.
        epochs: passes through all examples, in an order drawn anew for each.
    """

    crop: Annotated[int, msgspec.Meta(ge=SMALLEST_CROP)]
    load: Annotated[int, msgspec.Meta(ge=0)] = 0
    batch: AtLeastOne = 1
    steps: AtLeastOne | None = None
    epochs: AtLeastOne | None = None

    def __post_init__(self) -> None:
        """Refuse a stage without a length, or with two, and crops larger than the image.

        Raises:
            BadInputError: not one of `steps` and `epochs` is given, or `load` is less than `crop`.
        """
        if (self.steps is None) == (self.epochs is None):
            raise BadInputError("train.stages: give one of steps and epochs for each stage")
        if 0 < self.load < self.crop:
            raise BadInputError(
                f"train.stages: load is {self.load}, less than crop, which is {self.crop}"
            )

    def length(self, examples: int, processes: int) -> int:
        """How many steps it takes with so many examples and processes."""
        if self.steps is not None:
            return self.steps
        assert self.epochs is not None
        return math.ceil(self.epochs * examples / (self.batch * processes))


Stages = Annotated[tuple[Stage, ...], msgspec.Meta(min_length=1)]


class Data(WrittenByHand, frozen=True):
    """The table [train.data] of a recipe: where the data set is.

    Attributes:
        folder: of the data set, relative to the recipe; empty if the caller gives it.
        layout: "side-by-side" (both halves in each image), "folders" (one for each side), or
            "auto", which takes what is there; `decig.data.layouts` has all names of folders.
        direction: "AtoB" makes B of A; "BtoA" makes A of B.
    """

    folder: str = ""
    layout: Literal["auto", "side-by-side", "folders"] = "auto"
    direction: Direction = "AtoB"

    @property
    def joined(self) -> bool | None:
        """Whether each image holds both sides; None where that is to be seen from the data."""
        return None if self.layout == "auto" else self.layout == "side-by-side"


class Condensing(WrittenByHand, frozen=True):
    """The table [train.condense] of a recipe: how a generator is condensed while it is trained.

    It counts where a cost table or a target is given, for the method decig; see
    `decig.training.originals.from_scratch`.

    Attributes:
        share: of the steps that stage I takes; stage II trains the slim generator in the others.
        weighting: f(j) of stage I, how the penalty grows over the sorted channels.
        teacher: weight of the mean absolute difference between a slim generator's picture and that
            of the condensed one, in the range of the output; 0 leaves that term out.
    """

    share: Annotated[float, msgspec.Meta(gt=0, lt=1)] = 0.5
    weighting: Literal["uniform", "linear", "exponential"] = "linear"
    teacher: NotNegative = 10.0


class Latents(WrittenByHand, frozen=True):
    """The table [train.hypernet] of a recipe: how latent numbers shrink while a net is trained.

    It counts where a target is given, for the method hypernet; see
    `decig.training.narrowing.latents`.

    Attributes:
        shrink: share of the steps in which latents shrink; in the others what is left is trained.
        least: share of the channels which all groups would keep alike for the target; so many stay
            of each group, whatever its latents say.
        embedding: size of the embeddings of the paper's hypernetworks, which has 8; 0 trains
            weights as they are, with a tenth of the parameters.
    """

    shrink: Annotated[float, msgspec.Meta(gt=0, lt=1)] = 0.5
    least: Share = 0.5
    embedding: Count = 0


class Common(WrittenByHand, frozen=True):
    """Settings in the table [train] that all tasks of `decig train` share.

    Attributes:
        task: name of the task.
        stages: run one after the other; None trains as the authors do: 200 epochs of one crop per
            step, as large as the model's input, from images that are a little larger.
        data: where the data set is.
        condense: how the method decig condenses generators, where that is asked for.
        hypernet: how the method hypernet makes them narrower, where that is asked for.
        seed: of the initial weights and of every crop.
        hold: share of the training after which the learning rate begins to fall to zero, in a
            straight line.
        flip: whether half of the crops are mirrored.
        zoom: crops of images that are not resized are enlarged by a random factor up to this.
        ema: share of the running mean of the generator's weights that stays at each step; the
            mean is what is exported. At 0 the weights themselves are.
        precision: "fp32", "bf16" (products in bfloat16), or "auto": bf16 where that is native.
    """

    task: str = ""
    stages: Stages | None = None
    data: Data = Data()
    condense: Condensing = Condensing()
    hypernet: Latents = Latents()
    seed: Seed = 0
    hold: Share = 0.5
    flip: bool = True
    zoom: Zoom = 1.0
    ema: Decay = 0.0
    precision: PrecisionName = "fp32"

    def stages_for(self, recipe: Recipe) -> tuple[Stage, ...]:
        """The stages, or the usual one for the size of the recipe's input."""
        if self.stages is not None:
            return self.stages
        crop = max(SMALLEST_CROP, min(recipe.input_shape[2:]))
        return (Stage(crop=crop, load=round(_LOAD * crop), epochs=_EPOCHS),)


S = TypeVar("S", bound=WrittenByHand)


def table_of(recipe: Recipe, name: str, kind: type[S]) -> S:
    """Read a table in the table [train] of a recipe, such as [train.condense].

    Args:
        recipe: with the table [train] as it was written.
        name: of the table in there.
        kind: its record.

    Raises:
        BadInputError: it does not fit.
    """
    where = f"{recipe.folder / 'recipe.toml'}: [train.{name}]"
    return convert((recipe.train or {}).get(name, {}), kind, where)


@dataclass(frozen=True)
class Draw:
    """What one process takes in one step.

    Attributes:
        stage: to which the step belongs.
        examples: their numbers.
        rng: for everything else that is random in the step.
    """

    stage: Stage
    examples: Sequence[int]
    rng: np.random.Generator

    def cut(
        self, images: Sequence[np.ndarray], settings: Common, filters: Sequence[str]
    ) -> list[np.ndarray]:
        """Cut the same random window out of aligned images, as stage and settings say.

        Args:
            images: uint8 H,W,3, all of one size.
            settings: of the task.
            filters: "nearest" (label maps) or "smooth" for each image.

        Raises:
            BadInputError: an image is smaller than the crop.
        """
        crop, load, flip = self.stage.crop, self.stage.load, settings.flip
        if load:
            return load_and_crop(images, load, crop, self.rng, flip=flip, filters=filters)
        zoom = settings.zoom
        return random_crop(images, crop, self.rng, zoom=zoom, flip=flip, filters=filters)


class Course:
    """All stages of a training, one after the other.

    Attributes:
        stages: in their order.
        steps: how many there are in all.
    """

    def __init__(
        self, stages: Sequence[Stage], seed: int, examples: int, processes: Processes
    ) -> None:
        """Lay the stages out.

        Args:
            stages: in their order.
            seed: of every choice.
            examples: how many there are.
            processes: that train together, each on examples of its own.
        """
        self.stages, self._seed, self._examples = tuple(stages), seed, examples
        self._processes = processes
        lengths = [stage.length(examples, processes.count) for stage in stages]
        self._ends = list(itertools.accumulate(lengths))
        self.steps = self._ends[-1]
        # A batch may end one pass and begin the next.
        self._order = lru_cache(maxsize=2)(self._shuffled)

    @property
    def sizes(self) -> list[tuple[int, int]]:
        """Height and width of the crops of each stage."""
        return [(stage.crop, stage.crop) for stage in self.stages]

    def shapes(self, channels: int) -> list[list[int]]:
        """Shapes N,C,H,W by which can be told in each stage whether a net takes its batches.

        Two crops are enough for that: they show whether the net normalises over the batch.
        """
        return [[min(each.batch, 2), channels, each.crop, each.crop] for each in self.stages]

    @property
    def least_side(self) -> int:
        """Pixels that images must have in height and in width, for the largest crop of them."""
        return max((stage.crop for stage in self.stages if not stage.load), default=1)

    def draw(self, number: int) -> Draw:
        """Return what this process takes in a step."""
        index = sum(number >= end for end in self._ends[:-1])
        stage, rank = self.stages[index], self._processes.rank
        rng = np.random.default_rng([self._seed, number, rank])
        if stage.steps is not None:
            return Draw(stage, rng.integers(self._examples, size=stage.batch).tolist(), rng)
        step = number - (self._ends[index - 1] if index else 0)
        first = (step * self._processes.count + rank) * stage.batch
        places = range(first, first + stage.batch)
        return Draw(stage, [self._in_order(index, place) for place in places], rng)

    def _in_order(self, stage: int, place: int) -> int:
        """The example at a place in the passes of a stage through all of them."""
        epoch, within = divmod(place, self._examples)
        return int(self._order(stage, epoch)[within])

    def _shuffled(self, stage: int, epoch: int) -> np.ndarray:
        """All examples in the order of one pass through them."""
        seed = np.random.SeedSequence([self._seed, stage, epoch], spawn_key=(_ORDER,))
        return np.random.default_rng(seed).permutation(self._examples)


def require_trainable(recipe: Recipe) -> Code:
    """Return where the generator comes from.

    Raises:
        BadInputError: the recipe names no PyTorch code, or images of another layout than "nchw".
    """
    file = recipe.folder / "recipe.toml"
    if recipe.pixels.layout != "nchw":
        raise BadInputError(f"{file}: training needs pixels.layout nchw")
    if recipe.source is None:
        raise BadInputError(f"{file}: has no [source] table to train from")
    return recipe.source


def data_folder(recipe: Recipe, given: Path | None, data: Data) -> Path:
    """Return the folder of the data set: the one that is given, or the one that the recipe names.

    Raises:
        BadInputError: there is neither.
    """
    if given is None and not data.folder:
        raise BadInputError(
            f"{recipe.folder}/recipe.toml: names no data; give --data or folder in [train.data]"
        )
    return given or recipe.folder / data.folder
