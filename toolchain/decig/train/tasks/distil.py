"""Learning from a teacher: a student graph that paints what the teacher paints.

The student is compared with the teacher's picture of the same crop, and, where they are asked
for, with the teacher's features and with real pictures. A discriminator that tells the student's
pictures from real ones is a group of its own; it is updated first, at a constant rate.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace

from torch import Tensor, nn
from torch.nn.functional import l1_loss

from decig.data.pixels import PixelFormat
from decig.errors import BadInputError
from decig.schema import AtLeastOne, Count, NotNegative, WrittenByHand
from decig.train.adversary import Adversary
from decig.train.losses.features import FeatureLoss
from decig.train.losses.output import WINDOW, OutputLoss, picture_of
from decig.train.memory import put_channels_last
from decig.train.nets.averaging import Averaging
from decig.train.nets.patch_gan import PatchDiscriminator
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
        adversarial: weight of the PatchGAN term, where real pictures are given: targets, or
            others of the same kind.
        imitation: weight of the PatchGAN term that takes the teacher's pictures for real, where
            no others are given.
        discriminator_width: channels of the PatchGAN's first layer; 0 makes it as narrow as the
            student is of its teacher, of 64.
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
    imitation: NotNegative = 0.0
    discriminator_width: Count = 0
    held_out: Count = 8
    repair_crops: AtLeastOne = 32

    def require_crop(self, size: tuple[int, int], *, real: bool) -> None:
        """Check that the losses can look at crops of a size.

        Args:
            size: height and width of the crops, in pixels.
            real: whether there are real pictures.

        Raises:
            BadInputError: a crop is too small for a loss; names the setting.
        """
        sides = {"structure": WINDOW}
        sides["adversarial" if real else "imitation"] = PatchDiscriminator.SMALLEST
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
        adversary: Adversary | None = None,
        paired: bool = False,
        real: Callable[[int], Tensor] | None = None,
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
            adversary: judges the student's pictures; None where nothing does.
            paired: whether batches have real targets.
            real: makes the real pictures for a batch that the adversary sees, by its number.
            first: how many of the pool's batches were taken before.
        """
        self._pool, self.pixels, self._settings = pool, pixels, settings
        self.precision, self._features, self._first = precision, features, first
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
            group = Group((DISCRIMINATOR,), _ADVERSARY_RATE, _ADVERSARY_BETAS)
            self.groups = {DISCRIMINATOR: group, **self.groups}

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
        if self._features is not None:
            terms["features"] = self._features(batch.inputs, tuple(values))
        if self._paired:
            assert batch.target is not None
            terms["targets"] = self._settings.target * l1_loss(picture, batch.target)
        if self._adversary is not None:
            judged = self._adversary.student_loss(batch, picture)
            terms["adversarial"] = self._adversary.weight * judged
        return terms
