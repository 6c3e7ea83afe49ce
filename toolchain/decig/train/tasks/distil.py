"""Learning from a teacher: a student graph that paints what the teacher paints.

The student is compared with the teacher's picture of the same crop, and, where they are asked
for, with the teacher's features and with real pictures. A discriminator that tells the student's
pictures from real ones is a group of its own; it is updated first, at a constant rate.
"""

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from decig.data.pixels import PixelFormat
from decig.errors import BadInputError
from decig.schema import AtLeastOne, Count, NotNegative, WrittenByHand
from decig.train.losses.adversarial import discriminator_loss
from decig.train.losses.features import FeatureLoss
from decig.train.losses.output import WINDOW, OutputLoss, condition_of, picture_of
from decig.train.losses.targets import target_loss
from decig.train.memory import put_channels_last
from decig.train.nets.averaging import Averaging
from decig.train.nets.patch_gan import PatchDiscriminator, initialise
from decig.train.pool import Batch, TeacherPool
from decig.train.precision import Precision
from decig.train.ranges import Zoom
from decig.train.schedule import WarmUpThenCosine
from decig.train.tasks import Group, Memory

STUDENT, DISCRIMINATOR = "student", "discriminator"
"""Names of the nets and of their groups."""

_BETAS = (0.9, 0.99)
"""Of Adam for the student."""
_ADVERSARY_RATE, _ADVERSARY_BETAS = 2e-4, (0.5, 0.999)
"""Of Adam for the discriminator, as in pix2pix (Isola et al., section 3.3)."""


class Settings(WrittenByHand, frozen=True):
    """The table [distil] of a file of settings.

    Attributes:
        crop: longest side of the training crops in pixels; 0 takes the model's own input size.
        batch: crops per step and process; of smaller pictures as many more as cost the same.
        zoom: crops are cut from windows up to this many times larger.
        refresh: the teacher paints new crops at every `refresh`-th step.
        pool: batches that are kept to be used again.
        chroma: weight of the colour term of the output loss.
        gradient: weight of its edge term.
        structure: weight of its SSIM term.
        features: weight of the feature loss against the kept channels of the teacher.
        target: weight of L1 to real targets, where these are given.
        adversarial: weight of the PatchGAN term, where real targets are given.
        held_out: images kept from training to measure quality.
        repair_crops: images on which channels are scored and weights repaired.
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
    target: NotNegative = 1.0
    adversarial: NotNegative = 0.01
    held_out: Count = 8
    repair_crops: AtLeastOne = 32

    def require_crop(self, size: tuple[int, int], *, paired: bool) -> None:
        """Check that the losses can look at crops of a size.

        Args:
            size: height and width of the crops, in pixels.
            paired: whether there are real targets.

        Raises:
            BadInputError: a crop is too small for a loss; names the setting.
        """
        sides = {"structure": WINDOW}
        if paired:
            sides["adversarial"] = PatchDiscriminator.SMALLEST
        for name, least in sides.items():
            if getattr(self, name) and min(size) < least:
                raise BadInputError(
                    f"crops of {size[0]}x{size[1]} pixels are too small for the loss "
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
    """The task: see `decig.train.tasks.Task`.

    Attributes:
        student: the module to train.
        discriminator: of pictures, where there are real ones and its weight is not 0.
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
        features: FeatureLoss | None = None,
        judged_channels: int | None = None,
        first: int = 0,
    ) -> None:
        """Prepare.

        Args:
            student: the module to train; returns the picture, or a tuple whose first entry it is,
                with the values that `features` compares behind it.
            pool: makes the batches.
            pixels: the model's pixel format.
            settings: weights of the losses.
            learning: how fast the student learns.
            precision: that the student computes in.
            features: compares its inner values with the teacher's.
            judged_channels: channels of input and picture together, where batches have real
                targets; None where they have none.
            first: how many of the pool's batches were taken before.
        """
        self._pool, self.pixels, self._settings = pool, pixels, settings
        self.precision, self._features, self._first = precision, features, first
        self._paired = judged_channels is not None
        self._output = OutputLoss(settings.chroma, settings.gradient, settings.structure)
        put_channels_last(student)
        self.student = student
        self.discriminator: PatchDiscriminator | None = None
        schedule = WarmUpThenCosine(learning.warm_up)
        self.nets: dict[str, nn.Module] = {STUDENT: student}
        self.groups = {STUDENT: Group((STUDENT,), learning.rate, _BETAS, schedule)}
        self.averages = {STUDENT: Averaging(learning.ema)}
        self.memories: dict[str, Memory] = {}
        if judged_channels is not None and settings.adversarial:
            torch.manual_seed(learning.seed)
            self.discriminator = PatchDiscriminator(judged_channels)
            initialise(self.discriminator)
            self.nets[DISCRIMINATOR] = self.discriminator
            group = Group((DISCRIMINATOR,), _ADVERSARY_RATE, _ADVERSARY_BETAS)
            self.groups = {DISCRIMINATOR: group, **self.groups}

    def batch(self, number: int) -> Batch:
        """Return the pool's batch of a step."""
        return self._pool.batch(self._first + number)

    def forward(self, batch: Batch) -> tuple[Tensor, ...]:
        """Let the student paint; returns its picture in 0..1, and its inner values."""
        output, *values = self.precision.run(self.student, *batch.inputs)
        return picture_of(output, self.pixels), *values

    def losses(self, group: str, batch: Batch, shared: tuple[Tensor, ...]) -> dict[str, Tensor]:
        """Return the terms of one of the two nets."""
        picture, *values = shared
        condition = self._condition(batch)
        if group == DISCRIMINATOR:
            assert self.discriminator is not None and batch.target is not None
            assert condition is not None
            wrong = discriminator_loss(self.discriminator, condition, picture, batch.target)
            return {"adversarial": wrong}
        terms = {"output": self._output(picture, batch.teacher)}
        if self._features is not None:
            terms["features"] = self._features(batch.inputs, tuple(values))
        if self._paired:
            assert batch.target is not None
            terms["targets"] = target_loss(
                picture,
                batch.target,
                l1=self._settings.target,
                adversarial=self._settings.adversarial,
                discriminator=self.discriminator,
                source=condition,
            )
        return terms

    def _condition(self, batch: Batch) -> Tensor | None:
        """What the discriminator sees beside a picture: the input that it was made from."""
        return None if batch.source is None else condition_of(batch.source, self.pixels)
