"""Learning from two sets of pictures that do not belong together: CycleGAN.

J. Zhu, T. Park, P. Isola, A. Efros, "Unpaired Image-to-Image Translation using Cycle-Consistent
Adversarial Networks" (ICCV 2017), equation 3 with the identity term of section 5.2:

    L(G, F, D_A, D_B) = L_GAN(G, D_B) + L_GAN(F, D_A) + cycle (L_cyc + identity L_identity)

The recipe's generator is G, from A to B; F is a second one of the same code, from B to A. Both
generators are updated first, then both discriminators, which are shown pictures of a pool.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from decig.data.crops import fit
from decig.data.gallery import Gallery
from decig.data.layouts import Split, find_layout
from decig.errors import BadInputError
from decig.schema import AtLeastOne, Count, NotNegative
from decig.source.recipe import Recipe
from decig.training.data.pairs import check_generator
from decig.training.data.stages import SHOWN, Common, Course, Draw, data_folder, require_trainable
from decig.training.loop.precision import Precision
from decig.training.loop.processes import Processes
from decig.training.loop.schedule import HoldThenFall
from decig.training.losses.cycle import cycle_loss, identity_loss
from decig.training.losses.games import frozen
from decig.training.losses.least_squares import discriminator_loss, generator_loss
from decig.training.nets.averaging import Averaging
from decig.training.nets.image_pool import ImagePool
from decig.training.nets.patch_gan import PatchDiscriminator, initialise
from decig.training.pytorch.generator import build_generator
from decig.training.ranges import LearningRate
from decig.training.tasks import Group, settings_of

_BETAS = (0.5, 0.999)
"""Of Adam, for all nets (section 7.1 of the paper, and its public code)."""
_GENERATORS = ("generator", "generator_back")
_DISCRIMINATORS = ("discriminator", "discriminator_back")
_POOL = 1
"""Tells the exchanges with the pool from the crops, which follow from the same seed."""


class Settings(Common, frozen=True):
    """The table [train] of a recipe, beside what all tasks share.

    Attributes:
        learning_rate: of Adam for all nets.
        cycle: weight of the difference between a picture and what comes back of it.
        identity: weight of the difference that translation makes to pictures of the target domain,
            as a share of `cycle`; 0 leaves that term out.
        pool: pictures of each domain that are kept to be shown to its discriminator again.
        discriminator_width: channels of the discriminators' first layer.
    """

    learning_rate: LearningRate = 2e-4
    cycle: NotNegative = 10.0
    identity: NotNegative = 0.5
    pool: Count = 50
    discriminator_width: AtLeastOne = 64


@dataclass(frozen=True)
class Batch:
    """Crops of one step, N,3,H,W in the range of the generators' output.

    Attributes:
        a: pictures of the domain that the recipe's generator takes.
        b: pictures of the domain that it makes.
        rng: for the exchanges with the pool.
    """

    a: Tensor
    b: Tensor
    rng: np.random.Generator


@dataclass(frozen=True)
class Painted:
    """What both generators make of a batch, in the range of their output.

    Attributes:
        b: made of the batch's `a`.
        a: made of the batch's `b`.
        back_a: `a` of the batch, translated there and back.
        back_b: `b` of the batch, translated there and back.
    """

    b: Tensor
    a: Tensor
    back_a: Tensor
    back_b: Tensor


def open_task(recipe: Recipe, data: Path | None, processes: Processes) -> "Unpaired":
    """List the pictures and make both generators and both discriminators with fresh weights.

    Args:
        recipe: with its tables [source] and [train].
        data: folder of both sets; None takes the folder named in [train.data].
        processes: that train together.

    Raises:
        BadInputError: the recipe cannot be trained, or the data does not fit.
    """
    settings = settings_of(recipe, Settings)
    if settings.data.joined:
        raise BadInputError(
            f"{recipe.folder}/recipe.toml: train.data.layout: side-by-side holds pairs; the task "
            "unpaired takes a folder for each domain"
        )
    layout = find_layout(data_folder(recipe, data, settings.data), joined=False)
    forward = layout.direction(settings.data.direction) == "AtoB"
    splits = (layout.train, layout.held_out or layout.train)
    training, held_out = (split if forward else Split(split.b, split.a) for split in splits)
    return Unpaired(recipe, settings, training, held_out, processes)


class Unpaired:
    """The task: see `decig.training.tasks.Original`."""

    def __init__(
        self,
        recipe: Recipe,
        settings: Settings,
        training: Split,
        held_out: Split,
        processes: Processes,
    ) -> None:
        """Make the nets with fresh weights.

        Args:
            recipe: of the generator.
            settings: its table [train].
            training: pictures to cut crops from; A are those that the recipe's generator takes.
            held_out: pictures to show, in the same direction.
            processes: that train together.

        Raises:
            BadInputError: there are no pictures, or the generator makes none of the sizes that it
                is trained at.
        """
        source = require_trainable(recipe)
        if recipe.pixels.labels is not None or recipe.input_shape[1] != 3:
            raise BadInputError(
                f"{recipe.folder}/recipe.toml: the task unpaired translates pictures both ways; "
                "it needs an input of 3 channels, and no [pixels.labels]"
            )
        self._recipe, self._settings, self._processes = recipe, settings, processes
        self._pictures = recipe.pixels.of_pictures()
        self._training, self._held_out = (
            (Gallery(split.a), Gallery(split.b)) for split in (training, held_out)
        )
        examples = max(map(len, self._training))
        self._course = Course(settings.stages_for(recipe), settings.seed, examples, processes)
        for gallery in self._training:
            gallery.require_at_least(self._course.least_side)
        self._precision = Precision.named(settings.precision, processes.device.type)
        torch.manual_seed(settings.seed)
        self.nets: dict[str, nn.Module] = {
            name: build_generator(source, recipe.folder) for name in _GENERATORS
        }
        check_generator(self.nets["generator"], recipe, self._course)
        width = settings.discriminator_width
        self.nets |= {n: PatchDiscriminator(3, width, norm="instance") for n in _DISCRIMINATORS}
        for net in self.nets.values():
            initialise(net)
        schedule = HoldThenFall(settings.hold)
        self.groups = {
            "generators": Group(_GENERATORS, settings.learning_rate, _BETAS, schedule),
            "discriminators": Group(_DISCRIMINATORS, settings.learning_rate, _BETAS, schedule),
        }
        self.averages = {name: Averaging(settings.ema, head_start=1) for name in _GENERATORS}
        self.memories = {name: ImagePool(settings.pool) for name in ("pool_b", "pool_a")}
        course = self._course
        self.steps, self.sizes, self.seed = course.steps, course.sizes, settings.seed
        self.crops_per_step = course.stages[-1].batch

    def batch(self, number: int) -> Batch:
        """Cut the crops of a step; they depend on seed, step and process only.

        One pass goes through the larger of the two sets. The pictures of A follow each other in
        its order, those of B are drawn, so that no two of them always meet.
        """
        draw = self._course.draw(number)
        others = draw.rng.integers(len(self._training[1]), size=len(draw.examples))
        numbers = (draw.examples, others.tolist())
        a, b = (self._cut(draw, *each) for each in zip(self._training, numbers, strict=True))
        key = [self.seed, number, self._processes.rank]
        seed = np.random.SeedSequence(key, spawn_key=(_POOL,))
        return Batch(a, b, np.random.default_rng(seed))

    def _cut(self, draw: Draw, gallery: Gallery, numbers: Sequence[int]) -> Tensor:
        """Cut one crop out of each picture; N,3,H,W in the range of the generators' output."""
        pictures = (gallery[number] for number in numbers)
        crops = [draw.cut([picture], self._settings, ["smooth"])[0] for picture in pictures]
        tensor = self._pictures.to_tensor(np.stack(crops))
        return torch.from_numpy(tensor).to(self._processes.device)

    def _translate(self, net: nn.Module, pictures: Tensor) -> Tensor:
        """Let a generator paint; pictures go in and come out in the range of its output."""
        (low, high), (black, white) = (
            self._recipe.pixels.input_range,
            self._recipe.pixels.output_range,
        )
        if (low, high) != (black, white):
            pictures = (pictures - black) * ((high - low) / (white - black)) + low
        painted: Tensor = net(pictures)
        return painted

    def forward(self, batch: Batch) -> Painted:
        """Translate both ways, and back."""
        there, back = (self.nets[name] for name in _GENERATORS)
        b, a = self.paint(self.nets, batch).values()
        with self._precision.autocast():
            return Painted(b, a, self._translate(back, b), self._translate(there, a))

    def paint(self, nets: Mapping[str, nn.Module], batch: Batch) -> dict[str, Tensor]:
        """Let both generators translate the crops of a step."""
        pairs = zip(_GENERATORS, (batch.a, batch.b), strict=True)
        with self._precision.autocast():
            return {name: self._translate(nets[name], pictures) for name, pictures in pairs}

    def pictures(self, shared: Painted) -> dict[str, Tensor]:
        """Return what both generators made of a step's crops."""
        return dict(zip(_GENERATORS, (shared.b, shared.a), strict=True))

    def losses(self, group: str, batch: Batch, shared: Painted) -> dict[str, Tensor]:
        """Return the terms of equation 3 of Zhu et al. for both nets of a group."""
        judges = [self.nets[name] for name in _DISCRIMINATORS]
        with self._precision.autocast():
            if group == "generators":
                fakes = zip(("b", "a"), judges, (shared.b, shared.a), strict=True)
                terms = {}
                for side, judge, fake in fakes:
                    with frozen(judge):
                        terms[f"gan_{side}"] = generator_loss([judge(fake)])
                return terms | self._ties(batch, shared)
            rounds = zip(("b", "a"), judges, (shared.b, shared.a), (batch.b, batch.a), strict=True)
            terms = {}
            for side, judge, fake, real in rounds:
                earlier = self.memories[f"pool_{side}"].exchange(fake, batch.rng)
                terms[f"gan_{side}"] = discriminator_loss([judge(earlier)], [judge(real)])
            return terms

    def _ties(self, batch: Batch, shared: Painted) -> dict[str, Tensor]:
        """The weighted terms that tie both generators together; without those of weight 0."""
        cycle, identity = self._settings.cycle, self._settings.cycle * self._settings.identity
        terms = {}
        if cycle:
            terms["cycle_a"] = cycle * cycle_loss(shared.back_a, batch.a)
            terms["cycle_b"] = cycle * cycle_loss(shared.back_b, batch.b)
        if identity:
            there, back = (self.nets[name] for name in _GENERATORS)
            same_b, same_a = self._translate(there, batch.b), self._translate(back, batch.a)
            terms["identity_b"] = identity * identity_loss(same_b, batch.b)
            terms["identity_a"] = identity * identity_loss(same_a, batch.a)
        return terms

    def show(self, nets: Mapping[str, nn.Module]) -> dict[str, list[np.ndarray]]:
        """Translate held-out pictures at the size of the model: there, back, and the other way."""
        height, width = self._recipe.input_shape[2:]
        count = min(SHOWN, *map(len, self._held_out))
        a, b = (
            [fit(gallery[number], height, width) for number in range(count)]
            for gallery in self._held_out
        )
        there, back = (nets[name] for name in _GENERATORS)
        tensors = (torch.from_numpy(self._pictures.to_tensor(np.stack(side))) for side in (a, b))
        on_a, on_b = (tensor.to(self._processes.device) for tensor in tensors)
        with torch.no_grad():
            made_b, made_a = self._translate(there, on_a), self._translate(back, on_b)
            back_a = self._translate(back, made_b)
        painted = {"A to B": made_b, "and back": back_a}
        columns = {"A": a} | {title: self._seen(made) for title, made in painted.items()}
        return columns | {"B": b, "B to A": self._seen(made_a)}

    def _seen(self, painted: Tensor) -> list[np.ndarray]:
        return list(self._pictures.from_tensor(painted.cpu().numpy()))

    def exports(self, nets: Mapping[str, nn.Module]) -> dict[str, nn.Module]:
        """Return both generators as they are to be written."""
        return {f"{name}.onnx": nets[name] for name in _GENERATORS}
