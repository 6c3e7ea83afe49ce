"""Learning from a teacher: a student graph that paints what the teacher paints.

The student is compared with the teacher's picture of the same crop, and, where they are asked
for, with the teacher in the terms of `decig.training.compression.terms` and with real pictures. A
discriminator that tells the student's pictures from real ones is a group of its own; it is updated
first, at a constant rate.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, Literal

import torch
from torch import Tensor, nn
from torch.nn.functional import l1_loss

from decig.data.pixels import PixelFormat
from decig.errors import BadInputError
from decig.schema import AtLeastOne, Count, NotNegative, WrittenByHand
from decig.training.compression.adversary import AUTO, Adversary
from decig.training.compression.inner import InnerValues
from decig.training.compression.terms import JUDGED, TERMS, VALUES
from decig.training.data.pool import Batch, TeacherPool
from decig.training.loop.precision import Precision
from decig.training.loop.schedule import WarmUpThenCosine
from decig.training.losses.games import GAMES, GameName
from decig.training.losses.output import WINDOW, OutputLoss, picture_of
from decig.training.nets.averaging import Averaging
from decig.training.nets.judged import Judged, features_of
from decig.training.nets.patch_gan import PatchDiscriminator
from decig.training.ranges import Zoom
from decig.training.tasks import Group, Memory
from decig.training.trainable.memory import put_channels_last

STUDENT, DISCRIMINATOR = "student", "discriminator"
"""Names of the nets and of their groups."""

_BETAS = (0.9, 0.99)
"""Of Adam for the student."""


class Settings(WrittenByHand, frozen=True):
    """The table [distil] of a file of settings.

    Attributes:
        crop: longest side of the training crops in pixels; 0 takes the model's own input size.
        batch: crops per step and process; of smaller pictures as many more as cost the same.
        zoom: crops are cut from windows up to this many times larger.
        refresh: the teacher paints new crops at every `refresh`-th step.
        pool: batches that are kept to be used again; fewer where they would take more than 4 GB.
        chroma: weight of the colour term of the output loss.
        gradient: weight of its edge term.
        structure: weight of its SSIM term.
        features: weight of the difference of inner values from those of the teacher's kept
            channels; counts once the widths are found.
        feature_relations: weight of the difference of relations inside these values.
        haar: weight of the difference of pictures in high frequencies.
        relations: weight of the difference of relations inside pictures.
        discriminator_features: weight of the difference that the discriminator's layers see
            between the student's picture and the teacher's.
        discriminator_style: weight of the difference of the Gram matrices of these layers.
        target: weight of L1 to real targets, where these are given.
        adversarial: weight of the student's loss in the game with the discriminator, where real
            pictures are given: targets, or others of the same kind.
        imitation: the same weight where no real pictures are given; the discriminator then takes
            the teacher's for real.
        game: of student and discriminator: "cross-entropy", "least-squares", "hinge", or "auto",
            that of the authors of the kind of discriminator.
        discriminator_width: channels of a fresh discriminator's first layer; 0 makes it as narrow
            as the student is of its teacher, of 64.
        held_out: images kept from training to measure quality and to be shown, a fifth of them at
            most; "auto" keeps 8, and up to 12 where there are eight times as many. While it trains,
            8 of them are looked at.
        repair_crops: images on which channels are scored and weights repaired.
        repair: whether weights are repaired in closed form after a cut; without, they are those
            of the channels that stay.
    """

    crop: Count = 256
    batch: AtLeastOne = 1
    zoom: Zoom = 1.6
    refresh: AtLeastOne = 3
    pool: AtLeastOne = 256
    chroma: NotNegative = 1.0
    gradient: NotNegative = 1.0
    structure: NotNegative = 0.25
    features: NotNegative = 0.0
    feature_relations: NotNegative = 0.0
    haar: NotNegative = 0.0
    relations: NotNegative = 0.0
    discriminator_features: NotNegative = 0.0
    discriminator_style: NotNegative = 0.0
    target: NotNegative = 1.0
    adversarial: NotNegative = 0.01
    imitation: NotNegative = 0.0
    game: GameName | Literal["auto"] = AUTO
    discriminator_width: Count = 0
    held_out: Count | Literal["auto"] = AUTO
    repair_crops: AtLeastOne = 32
    repair: bool = True

    @property
    def terms(self) -> dict[str, float]:
        """Weights of the losses that are asked for, by their names in `TERMS`."""
        return {name: weight for name in TERMS if (weight := getattr(self, name))}

    def adversarial_weight(self, *, real: bool) -> float:
        """Weight of the student's loss in the game; `real` says whether there are real pictures."""
        return self.adversarial if real else self.imitation

    def needs_judge(self, *, real: bool) -> bool:
        """Whether any loss needs a discriminator; `real` says whether there are real pictures."""
        judged = any(TERMS[name].compares == JUDGED for name in self.terms)
        return judged or self.adversarial_weight(real=real) > 0

    def require_crop(self, size: tuple[int, int], *, real: bool, judged: int | None = None) -> None:
        """Check that the losses can look at pictures of a size.

        Args:
            size: height and width of the pictures that are made of crops, in pixels.
            real: whether there are real pictures.
            judged: least side of what the discriminator judges; None for a fresh one.

        Raises:
            BadInputError: a picture is too small for a loss; names the setting.
        """
        judged = judged or PatchDiscriminator.smallest_at()
        sides = {"structure": WINDOW, "adversarial" if real else "imitation": judged}
        for name, term in TERMS.items():
            sides[name] = judged if term.compares == JUDGED else term.smallest
        for name, least in sides.items():
            if getattr(self, name) and min(size) < least:
                raise BadInputError(
                    f"pictures of {size[0]}x{size[1]} pixels are too small for the loss "
                    f"distil.{name}, which needs {least}: raise distil.crop, or set the weight to 0"
                )


@dataclass(frozen=True)
class Learning:
    """How fast a student learns.

    Attributes:
        rate: learning rate of Adam, after the warm-up.
        warm_up: share of the budget in which the learning rate rises.
        ema: share of the running mean of the weights that stays at each step.
        seed: of the discriminator's first weights.
    """

    rate: float
    warm_up: float
    ema: float
    seed: int = 0


class Distil:
    """The task: see `decig.training.tasks.Task`.

    Attributes:
        student: the module to train.
        pixels: the model's pixel format.
        precision: that the student computes in.
    """

    def __init__(
        self,
        student: nn.Module,
        pool: TeacherPool,
        pixels: PixelFormat,
        settings: Settings,
        learning: Learning,
        precision: Precision,
        *,
        terms: Mapping[str, float] | None = None,
        inner: InnerValues | None = None,
        adversary: Adversary | None = None,
        paired: bool = False,
        real: Callable[[int], Tensor] | None = None,
        first: int = 0,
    ) -> None:
        """Prepare.

        Args:
            student: the module to train; returns the picture, or a tuple whose first entry it is,
                with the values that `inner` gives of the teacher behind it.
            pool: makes the batches.
            pixels: the model's pixel format.
            settings: weights of the losses of the output and the target.
            learning: how fast the student learns.
            precision: that the student computes in.
            terms: weights of further losses, by their names in `TERMS`.
            inner: gives the teacher's inner values; losses that compare some need it.
            adversary: judges the student's pictures; None where nothing does.
            paired: whether batches have real targets.
            real: makes the real pictures for a batch that the adversary sees, by its number.
            first: how many of the pool's batches were taken before.
        """
        self._pool, self.pixels, self._settings = pool, pixels, settings
        self.precision, self._inner, self._first = precision, inner, first
        self._terms = dict(terms or {})
        self._adversary, self._paired, self._real = adversary, paired, real
        self._output = OutputLoss(settings.chroma, settings.gradient, settings.structure)
        put_channels_last(student)
        self.student = student
        schedule = WarmUpThenCosine(learning.warm_up)
        self.nets: dict[str, nn.Module] = {STUDENT: student}
        self.groups = {STUDENT: Group((STUDENT,), learning.rate, _BETAS, schedule)}
        self.averages = {STUDENT: Averaging(learning.ema)}
        self.memories: dict[str, Memory] = {}
        if adversary is not None:
            self.nets[DISCRIMINATOR] = adversary.net
            game = GAMES[adversary.game]
            group = Group((DISCRIMINATOR,), game.learning_rate, game.betas)
            self.groups = {DISCRIMINATOR: group, **self.groups}

    def prepare(self, number: int) -> None:
        """Let the teacher paint what the pool holds at the batch of this number."""
        self._pool.prepare(self._first + number)

    def batch(self, number: int) -> Batch:
        """Return the pool's batch of a step, with real pictures where the adversary needs them."""
        batch = self._pool.batch(self._first + number)
        if self._real is None:
            return batch
        return replace(batch, real=self._real(self._first + number).to(batch.teacher.device))

    def forward(self, batch: Batch) -> tuple[Tensor, ...]:
        """Let the student paint; returns its picture in 0..1, and its inner values."""
        output, *values = self.precision.run(self.student, *batch.inputs)
        return picture_of(output, self.pixels), *values

    def losses(self, group: str, batch: Batch, shared: tuple[Tensor, ...]) -> dict[str, Tensor]:
        """Return the terms of one of the two nets."""
        picture, *values = shared
        if group == DISCRIMINATOR:
            assert self._adversary is not None
            return {"adversarial": self._adversary.loss(batch, picture)}
        terms = {"output": self._output(picture, batch.teacher)}
        seen = _Seen(batch, picture, tuple(values), self._inner, self._adversary)
        for name, weight in self._terms.items():
            terms[name] = weight * TERMS[name].loss(*seen.sides(TERMS[name].compares))
        if self._paired:
            assert batch.target is not None
            terms["targets"] = self._settings.target * l1_loss(picture, batch.target)
        if self._adversary is not None and self._adversary.weight:
            noticed = self._adversary.student_loss(seen.judged)
            terms["adversarial"] = self._adversary.weight * noticed
        return terms


@dataclass
class _Seen:
    """What losses look at in a batch; each is computed once, when it is first asked for.

    Attributes:
        batch: the batch.
        picture: the student's.
        values: the student's inner values.
        inner: gives the teacher's.
        adversary: judges pictures.
    """

    batch: Batch
    picture: Tensor
    values: tuple[Tensor, ...]
    inner: InnerValues | None
    adversary: Adversary | None

    def sides(self, compares: str) -> tuple[Any, Any]:
        """The student's side and the teacher's of what a loss compares; see `Term`."""
        if compares == VALUES:
            return self.values, self._teacher_values
        if compares == JUDGED:
            return features_of(self.judged), features_of(self._teacher_judged)
        return self.picture, self.batch.teacher

    @cached_property
    def judged(self) -> Judged:
        """What the discriminator makes of the student's picture."""
        assert self.adversary is not None, "no discriminator judges"
        return self.adversary.judge(self.batch, self.picture)

    @cached_property
    def _teacher_judged(self) -> Judged:
        assert self.adversary is not None, "no discriminator judges"
        with torch.no_grad():
            return self.adversary.judge(self.batch, self.batch.teacher)

    @cached_property
    def _teacher_values(self) -> tuple[Tensor, ...]:
        assert self.inner is not None, "nothing gives the teacher's values"
        return self.inner(self.batch.inputs)
