"""Learning from a teacher at many widths at once: a supernet's slim networks train together.

In each step a few slim networks that share one module's weights paint the same batch, and the
mean of their losses is what the module minimises. Yu and Huang, "Universally Slimmable Networks and
Improved Training Techniques" (ICCV 2019), section 4.1, call it the sandwich rule: the narrowest,
the widest, and some at random between them; the losses are those of `decig.training.tasks.distil`.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.fx import GraphModule

from decig.training.data.pool import Batch
from decig.training.losses.output import picture_of
from decig.training.tasks.distil import Distil
from decig.training.trainable.elastic import Elastic, Widths


@dataclass(frozen=True)
class Menu:
    """The widths that train.

    Attributes:
        always: widths that train in every step.
        sometimes: widths of which some train in a step.
        drawn: how many of them.
        seed: by which they are drawn.
    """

    always: Sequence[Widths]
    sometimes: Sequence[Widths]
    drawn: int
    seed: int

    def of_step(self, number: int) -> list[Widths]:
        """The widths that train on one batch, by its number."""
        rng = np.random.default_rng([self.seed, 2, number])
        count = min(self.drawn, len(self.sometimes))
        picks = rng.permutation(len(self.sometimes))[:count]
        return [*self.always, *(self.sometimes[int(pick)] for pick in picks)]


@dataclass(frozen=True, kw_only=True)
class _SandwichBatch(Batch):
    """A batch, and the widths of the networks that paint it."""

    widths: Sequence[Widths]


class Sandwich:
    """The task: see `decig.training.tasks.Task`."""

    def __init__(self, distil: Distil, elastic: Elastic, menu: Menu) -> None:
        """Prepare.

        Args:
            distil: the task at full width; its student is the module whose weights are shared.
            elastic: cuts slim networks out of it.
            menu: their widths.
        """
        assert isinstance(distil.student, GraphModule)
        self._distil, self._elastic, self._menu = distil, elastic, menu
        self.supernet: GraphModule = distil.student
        self.nets, self.groups = distil.nets, distil.groups
        self.averages, self.memories = distil.averages, distil.memories

    def prepare(self, number: int) -> None:
        """Let the teacher paint what the pool holds at the batch of this number."""
        self._distil.prepare(number)

    def batch(self, number: int) -> Batch:
        """Return the pool's batch of a step, and the widths that train on it."""
        batch = self._distil.batch(number)
        return _SandwichBatch(**vars(batch), widths=self._menu.of_step(number))

    def forward(self, batch: Batch) -> list[Tensor]:
        """Let the slim networks paint; returns their pictures in 0..1."""
        assert isinstance(batch, _SandwichBatch)
        return [self._paint(widths, batch) for widths in batch.widths]

    def losses(self, group: str, batch: Batch, shared: Sequence[Tensor]) -> dict[str, Tensor]:
        """Return the terms of one of the nets, each as its mean over the slim networks."""
        each = [self._distil.losses(group, batch, (picture,)) for picture in shared]
        return {term: torch.stack([terms[term] for terms in each]).mean() for term in each[0]}

    def _paint(self, widths: Widths, batch: Batch) -> Tensor:
        def paint(*inputs: Tensor) -> tuple[Tensor, ...]:
            return self._elastic.run(self.supernet, widths, inputs)

        output, *_ = self._distil.precision.run(paint, *batch.inputs)
        return picture_of(output, self._distil.pixels)
