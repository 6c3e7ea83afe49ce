"""Learning from pairs of pictures: L1 and a PatchGAN, as pix2pix does.

P. Isola et al., "Image-to-Image Translation with Conditional Adversarial Networks" (CVPR 2017),
section 3, with crops that may grow from stage to stage and a running mean of the weights as the
result. The discriminator is updated first, with the generator's picture of the same step.
"""

import copy
import itertools
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated, Literal

import msgspec
import numpy as np
import torch
from torch import Tensor, nn

from decig.data.crops import fit, random_crop
from decig.data.images import ImageFolder
from decig.data.labels import Labels
from decig.data.pairs import Pair, by_stem, side_by_side
from decig.errors import BadInputError
from decig.schema import AtLeastOne, NotNegative, Seed, WrittenByHand
from decig.source.recipe import Recipe
from decig.train.losses.adversarial import discriminator_loss, generator_loss
from decig.train.nets.averaging import Averaging
from decig.train.nets.patch_gan import PatchDiscriminator, initialise
from decig.train.precision import Precision
from decig.train.processes import Processes
from decig.train.pytorch.generator import build_generator, check_pictures
from decig.train.ranges import Decay, LearningRate, Zoom
from decig.train.schedule import hold_then_fall
from decig.train.tasks import Group, settings_of

_BETAS = (0.5, 0.999)
"""Of Adam, for both nets (Isola et al., section 3.3)."""
_SMALLEST_CROP = 32
"""Pixels; of smaller crops the five convolutions of the discriminator leave nothing."""
_SPLITS = ("train", "val")
"""Parts of a data folder: what is trained on, and what is held out."""
_SHOWN = 4
"""Held-out pairs on a sheet of samples."""


class Stage(WrittenByHand, frozen=True):
    """A stretch of training.

    Attributes:
        crop: side of the random crops, in pixels.
        batch: crops per step and process.
        steps: updates of both nets.
    """

    crop: Annotated[int, msgspec.Meta(ge=_SMALLEST_CROP)]
    batch: AtLeastOne
    steps: AtLeastOne


class Data(WrittenByHand, frozen=True):
    """Where the pairs are.

    Attributes:
        folder: the data folder, relative to the recipe; empty if the caller gives it.
        layout: "side-by-side" (both halves in one image, in train/ and val/) or "folders"
            (train/input, train/target, val/input, val/target; files match by stem).
        input: the half that is the input, for "side-by-side".
    """

    folder: str = ""
    layout: Literal["side-by-side", "folders"] = "folders"
    input: Literal["left", "right"] = "left"


class Settings(WrittenByHand, frozen=True):
    """The table [train] of a recipe.

    Attributes:
        task: name of this task.
        stages: run one after the other.
        data: where the pairs are.
        seed: of the initial weights and of every crop.
        learning_rate: of Adam for both nets; falls in a straight line to zero in the second half.
        l1: weight of the mean absolute difference to the target.
        adversarial: weight of the PatchGAN term; 0 trains without a discriminator.
        discriminator_width: channels of the discriminator's first layer.
        zoom: crops are enlarged by a random factor up to this.
        ema: share of the running mean of the weights that stays at each step; the mean is what
            is exported.
        precision: "fp32", or "bf16" for products in bfloat16.
    """

    stages: Annotated[tuple[Stage, ...], msgspec.Meta(min_length=1)]
    task: str = "paired"
    data: Data = Data()
    seed: Seed = 0
    learning_rate: LearningRate = 2e-4
    l1: NotNegative = 100.0
    adversarial: NotNegative = 1.0
    discriminator_width: AtLeastOne = 64
    zoom: Zoom = 1.1
    ema: Decay = 0.999
    precision: Literal["fp32", "bf16"] = "fp32"

    def __post_init__(self) -> None:
        """Refuse a training that has nothing to train for.

        Raises:
            BadInputError: both weights are 0.
        """
        if not self.l1 and not self.adversarial:
            raise BadInputError("train: l1 and adversarial are both 0; nothing would be trained")


@dataclass(frozen=True)
class Batch:
    """Crops of one step.

    Attributes:
        source: what the generator takes, N,C,H,W in the range of its input.
        real: what it should make of it, N,3,H,W in the range of its output.
    """

    source: Tensor
    real: Tensor


def open_task(recipe: Recipe, data: Path | None, processes: Processes) -> "Paired":
    """Read the pairs and make generator and discriminator with fresh weights.

    Args:
        recipe: with its tables [source] and [train].
        data: folder of pairs laid out as [train.data] says; None takes the folder named there.
        processes: that train together.

    Raises:
        BadInputError: the recipe cannot be trained, or the data does not fit.
    """
    settings = settings_of(recipe, Settings)
    if recipe.pixels.layout != "nchw":
        raise BadInputError(f"{recipe.folder}/recipe.toml: training needs pixels.layout nchw")
    folder = data or _folder(recipe, settings.data)
    generator = fresh_generator(recipe, settings)
    for split in _SPLITS:
        require_split(folder, split, settings.data)
    training = load_split(folder, "train", settings.data, recipe.pixels.labels)
    held_out = load_split(folder, "val", settings.data, recipe.pixels.labels)
    return Paired(recipe, settings, generator, training, held_out, processes)


def fresh_generator(recipe: Recipe, settings: Settings) -> nn.Module:
    """Build a recipe's generator with weights that follow from the seed.

    Raises:
        BadInputError: there is no code, or it makes no pictures of the sizes that it is trained at.
    """
    if recipe.source is None:
        file = recipe.folder / "recipe.toml"
        raise BadInputError(f"{file}: has no [source] table to train from")
    torch.manual_seed(settings.seed)
    generator = build_generator(recipe.source, recipe.folder)
    channels = recipe.input_shape[1]
    sizes = [(stage.crop, stage.crop) for stage in settings.stages]
    for size in (tuple(recipe.input_shape[2:]), *sizes):
        # On a copy, as a run in training mode moves running statistics.
        check_pictures(copy.deepcopy(generator), [1, channels, *size])
    return generator


def require_split(folder: Path, split: str, layout: Data) -> None:
    """List the images of a part of a data folder, as `load_split` will read them.

    Raises:
        BadInputError: a folder is missing, or holds no images.
    """
    parts = [""] if layout.layout == "side-by-side" else ["input", "target"]
    for part in parts:
        ImageFolder(folder / split / part)


def load_split(folder: Path, split: str, layout: Data, labels: Labels | None) -> list[Pair]:
    """Read the pairs in one part of a data folder.

    Args:
        folder: of the data.
        split: "train" or "val".
        layout: how pairs are stored there.
        labels: what inputs mean, where they are label maps.

    Raises:
        BadInputError: folders or images are missing or do not match.
    """
    if layout.layout == "side-by-side":
        return side_by_side(folder / split, layout.input, labels)
    return list(by_stem(folder / split / "input", folder / split / "target", labels))


class Paired:
    """The task: see `decig.train.tasks.Original`."""

    def __init__(
        self,
        recipe: Recipe,
        settings: Settings,
        generator: nn.Module,
        training: list[Pair],
        held_out: list[Pair],
        processes: Processes,
    ) -> None:
        """Make the discriminator, and give both nets their first weights.

        Args:
            recipe: of the generator.
            settings: its table [train].
            generator: as `fresh_generator` made it.
            training: pairs to cut crops from.
            held_out: pairs to show.
            processes: that train together.
        """
        self._recipe, self._settings, self._processes = recipe, settings, processes
        self._training, self._held_out = training, held_out[:_SHOWN]
        self._precision = Precision.named(settings.precision, processes.device.type)
        self._ends = list(itertools.accumulate(stage.steps for stage in settings.stages))
        self.generator = generator
        channels = recipe.input_shape[1]
        self.discriminator = PatchDiscriminator(channels + 3, settings.discriminator_width)
        for net in (self.generator, self.discriminator):
            initialise(net)
        used = ["generator", *(["discriminator"] if settings.adversarial else [])]
        self.nets = {name: getattr(self, name) for name in used}
        self.groups = {
            name: Group((name,), settings.learning_rate, _BETAS, hold_then_fall)
            for name in reversed(used)
        }
        self.averages = {"generator": Averaging(settings.ema, head_start=1)}
        self.steps, self.seed = self._ends[-1], settings.seed

    def batch(self, number: int) -> Batch:
        """Cut the crops of a step; they depend on seed, step and process only."""
        settings, pixels = self._settings, self._recipe.pixels
        stage = settings.stages[sum(number >= end for end in self._ends[:-1])]
        rng = np.random.default_rng([settings.seed, number, self._processes.rank])
        filters = (pixels.resample, "smooth")
        crops = []
        for index in rng.integers(len(self._training), size=stage.batch):
            pair = (self._training[index].input, self._training[index].target)
            crops.append(random_crop(pair, stage.crop, rng, zoom=settings.zoom, filters=filters))
        sources, targets = (np.stack(images) for images in zip(*crops, strict=True))
        wanted = replace(pixels, input_range=pixels.output_range, labels=None)
        device = self._processes.device
        return Batch(
            torch.from_numpy(pixels.to_tensor(sources, self._recipe.input_shape[1])).to(device),
            torch.from_numpy(wanted.to_tensor(targets)).to(device),
        )

    def forward(self, batch: Batch) -> Tensor:
        """Let the generator paint."""
        with self._precision.autocast():
            painted: Tensor = self.generator(batch.source)
        return painted

    def losses(self, group: str, batch: Batch, shared: Tensor) -> dict[str, Tensor]:
        """Return the terms of equation 4 of Isola et al. for one of the two nets."""
        settings, autocast = self._settings, self._precision.autocast
        if group == "discriminator":
            with autocast():
                wrong = discriminator_loss(self.discriminator, batch.source, shared, batch.real)
            return {"adversarial": wrong}
        terms = {"l1": settings.l1 * (shared.float() - batch.real).abs().mean()}
        if settings.adversarial:
            with autocast():
                noticed = generator_loss(self.discriminator, batch.source, shared)
            terms["adversarial"] = settings.adversarial * noticed
        return terms

    def show(self, nets: Mapping[str, nn.Module]) -> dict[str, list[np.ndarray]]:
        """Paint held-out examples at the size of the model; input, output and real picture."""
        _, channels, height, width = self._recipe.input_shape
        pixels, pairs = self._recipe.pixels, self._held_out
        sources = np.stack([fit(pair.input, height, width, resample="nearest") for pair in pairs])
        tensor = torch.from_numpy(pixels.to_tensor(sources, channels))
        with torch.no_grad():
            outputs = nets["generator"](tensor.to(self._processes.device)).cpu().numpy()
        return {
            "input": list(sources),
            "output": list(pixels.from_tensor(outputs)),
            "real": [fit(pair.target, height, width) for pair in pairs],
        }

    def exports(self, nets: Mapping[str, nn.Module]) -> dict[str, nn.Module]:
        """Return the generator as it is to be written."""
        return {"generator.onnx": nets["generator"]}


def _folder(recipe: Recipe, data: Data) -> Path:
    if not data.folder:
        raise BadInputError(
            f"{recipe.folder}/recipe.toml: names no data; give --data or folder in [train.data]"
        )
    return recipe.folder / data.folder
