"""Losses of stage II beside the output's: the teacher's features, and real targets."""

from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.functional import l1_loss

from decig.data.pixels import PixelFormat
from decig.graph.channels import ChannelMap
from decig.graph.plan import Plan
from decig.train.losses.adversarial import discriminator_loss, generator_loss
from decig.train.losses.output import condition_of
from decig.train.nets.patch_gan import PatchDiscriminator, initialise
from decig.train.pool import Batch
from decig.train.settings import Settings

_RATE = 2e-4  # of the discriminator, as in pix2pix


class FeatureLoss:
    """Difference of the student's features from the same channels of the teacher's.

    The student's channels are channels of the teacher, so no adapter stands between them:

        L = mean over values v of |s_v - t_v[kept]|_1 / |t_v[kept]|_1
    """

    def __init__(
        self, teacher: nn.Module, kept: list[np.ndarray | None], weight: float, device: torch.device
    ) -> None:
        """Compare the outputs of `teacher` (a tuple) with the student's after its picture.

        Args:
            teacher: returns the values to compare.
            kept: for each, the teacher's channels that the student has; None if all.
            weight: of the loss.
            device: of the tensors.
        """
        self._teacher, self._weight = teacher, weight
        self._kept = [None if k is None else torch.as_tensor(k, device=device) for k in kept]

    def __call__(self, batch: Batch, outputs: tuple[Tensor, ...], picture: Tensor) -> Tensor:
        """Weighted loss of the batch."""
        with torch.no_grad():
            wanted = self._teacher(*batch.inputs)
        total = picture.new_zeros(())
        for student, teacher, kept in zip(outputs[1:], wanted, self._kept, strict=True):
            target = teacher if kept is None else teacher.index_select(1, kept)
            total = total + l1_loss(student, target) / target.abs().mean().clamp_min(1e-6)
        return self._weight * total / max(1, len(self._kept))


class TargetLoss:
    """L1 to the real pictures, and a PatchGAN that learns beside the student.

    Isola et al., "Image-to-Image Translation with Conditional Adversarial Networks" (CVPR 2017),
    equation 4, with the weights of the settings.
    """

    def __init__(
        self, channels: int, pixels: PixelFormat, settings: Settings, device: torch.device
    ) -> None:
        """Make the discriminator; `channels` counts those of input and picture together."""
        self._pixels, self._l1, self._adversarial = pixels, settings.target, settings.adversarial
        self.discriminator = PatchDiscriminator(channels).to(device)
        initialise(self.discriminator)
        self.optimiser = torch.optim.Adam(
            self.discriminator.parameters(), _RATE, betas=(0.5, 0.999)
        )

    def __call__(self, batch: Batch, outputs: tuple[Tensor, ...], picture: Tensor) -> Tensor:
        """Weighted loss of the batch; also trains the discriminator one step."""
        assert batch.target is not None and batch.source is not None
        loss = self._l1 * l1_loss(picture, batch.target)
        if not self._adversarial:
            return loss
        source = condition_of(batch.source, self._pixels)
        self.optimiser.zero_grad()
        wrong = discriminator_loss(self.discriminator, source, picture, batch.target)
        torch.autograd.backward(wrong)
        self.optimiser.step()
        return loss + self._adversarial * generator_loss(self.discriminator, source, picture)

    def state_dict(self) -> dict[str, Any]:
        """Discriminator and its optimiser."""
        return {
            "discriminator": self.discriminator.state_dict(),
            "optimiser": self.optimiser.state_dict(),
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on with a saved discriminator."""
        self.discriminator.load_state_dict(state["discriminator"])
        self.optimiser.load_state_dict(state["optimiser"])


def features_by_kept_index(
    channels: ChannelMap, plan: Plan, values: list[str]
) -> list[np.ndarray | None]:
    """For each value of the graph, the channels along axis 1 that a plan keeps."""
    removed = channels.removed(plan.keep)
    kept: list[np.ndarray | None] = []
    for value in values:
        ids = channels.ids_of(value)
        along = None if ids is None or ids.ndim < 2 or ids.shape[1] == 1 else ids.reshape(-1)
        kept.append(None if along is None else np.flatnonzero(~removed[along]))
    return kept
