"""Inner values of a teacher, in the channels that its student has."""

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor, nn

from decig.graph.channels import ChannelMap
from decig.graph.plan import Plan
from decig.training.loop.precision import Precision


class InnerValues:
    """Computes the inner values of a teacher that losses compare a student's with."""

    def __init__(
        self,
        teacher: nn.Module,
        kept: Sequence[np.ndarray | None],
        precision: Precision,
        device: torch.device,
    ) -> None:
        """Prepare.

        Args:
            teacher: returns the values, in a tuple.
            kept: for each value, the teacher's channels that the student has; None for all.
            precision: that the teacher computes in.
            device: of the teacher and of all tensors.
        """
        self._teacher, self._precision = teacher, precision
        self._kept = [None if k is None else torch.as_tensor(k, device=device) for k in kept]

    def __call__(self, inputs: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
        """Return the values for what both models take; no gradient goes through them."""
        with torch.no_grad():
            found = self._precision.run(self._teacher, *inputs)
            return tuple(
                value if kept is None else value.index_select(1, kept)
                for value, kept in zip(found, self._kept, strict=True)
            )


def kept_indices(
    channels: ChannelMap, plan: Plan, values: Sequence[str]
) -> list[np.ndarray | None]:
    """For each value of the graph, the channels along axis 1 that a plan keeps; None for all."""
    removed = channels.removed(plan.keep)
    kept: list[np.ndarray | None] = []
    for value in values:
        ids = channels.ids_of(value)
        along = None if ids is None or ids.ndim < 2 or ids.shape[1] == 1 else ids.reshape(-1)
        kept.append(None if along is None else np.flatnonzero(~removed[along]))
    return kept


def comparable_values(channels: ChannelMap, names: Sequence[str]) -> list[str]:
    """Those of some values whose channels can be told apart by their identities."""
    found = ((name, channels.ids_of(name)) for name in names)
    return [name for name, ids in found if ids is not None and ids.size > 1]
