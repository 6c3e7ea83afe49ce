"""Learning from pairs of pictures: L1 and a PatchGAN, as pix2pix does.

P. Isola et al., "Image-to-Image Translation with Conditional Adversarial Networks" (CVPR 2017),
section 3, with crops that may grow from stage to stage and a running mean of the weights as the
result. The discriminator is updated first, with the generator's picture of the same step.
"""

from torch import Tensor

from decig.errors import BadInputError
from decig.schema import AtLeastOne, NotNegative
from decig.source.recipe import Recipe
from decig.training.data.pairs import Batch, Examples
from decig.training.loop.processes import Processes
from decig.training.loop.schedule import HoldThenFall
from decig.training.losses.cross_entropy import discriminator_loss, generator_loss
from decig.training.losses.games import frozen
from decig.training.nets.patch_gan import PatchDiscriminator, initialise
from decig.training.originals.pair_task import PairSettings, PairTask
from decig.training.ranges import LearningRate
from decig.training.tasks import Group

_BETAS = (0.5, 0.999)
"""Of Adam, for both nets (Isola et al., section 3.3)."""


class Settings(PairSettings, frozen=True):
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


class Paired(PairTask):
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
            BadInputError: the generator makes no pictures of the sizes that it is trained at.
        """
        super().__init__(recipe, settings, examples, processes)
        self._settings = settings
        channels, width = self._judged_channels, settings.discriminator_width
        self.discriminator = PatchDiscriminator(channels, width)
        for net in (self.generator, self.discriminator):
            initialise(net)
        used = ["generator", *(["discriminator"] if settings.adversarial else [])]
        self.nets = {name: getattr(self, name) for name in used}
        schedule = HoldThenFall(settings.hold)
        self.groups = {
            name: Group((name,), settings.learning_rate, _BETAS, schedule)
            for name in reversed(used)
        }

    def losses(self, group: str, batch: Batch, shared: Tensor) -> dict[str, Tensor]:
        """Return the terms of equation 4 of Isola et al. for one of the two nets."""
        settings, autocast = self._settings, self._precision.autocast
        if group == "discriminator":
            pictures = (shared.detach(), batch.real)
            source, shown = self._augmentation(batch.source, pictures, batch.seed)
            with autocast():
                fake, real = (self.discriminator(source, each) for each in shown)
            return {"adversarial": discriminator_loss([fake], [real])}
        terms = {"l1": settings.l1 * (shared.float() - batch.real).abs().mean()}
        if settings.adversarial:
            source, shown = self._augmentation(batch.source, [shared], batch.seed)
            with autocast(), frozen(self.discriminator):
                judged = self.discriminator(source, *shown)
            terms["adversarial"] = settings.adversarial * generator_loss([judged])
        return terms


open_task = Paired.open
