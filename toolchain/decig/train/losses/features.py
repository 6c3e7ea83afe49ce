"""The student's features against the same channels of the teacher's.

A sliced graph's channels are channels of its teacher, so no adapter stands between the two:

    L = mean over values v of |s_v - t_v[kept]|_1 / |t_v[kept]|_1

The sum over features is that of FitNets (Romero et al., ICLR 2015, equation 3), in L1 and without
the regressor; the denominator lets every value count the same, whatever its size.
"""

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.functional import l1_loss

from decig.graph.channels import ChannelMap
from decig.graph.plan import Plan
from decig.train.precision import Precision


class FeatureLoss:
    """Relative difference of the student's features from the teacher's."""

    def __init__(
        self,
        teacher: nn.Module,
        kept: Sequence[np.ndarray | None],
        weight: float,
        precision: Precision,
        device: torch.device,
    ) -> None:
        """Prepare.

        Args:
            teacher: returns the values to compare, in a tuple.
            kept: for each value, the teacher's channels that the student has; None for all.
            weight: of the loss.
            precision: that the teacher computes in.
            device: of the teacher and of all tensors.
        """
        self._teacher, self._weight, self._precision = teacher, weight, precision
        self._kept = [None if k is None else torch.as_tensor(k, device=device) for k in kept]

    def __call__(self, inputs: tuple[Tensor, ...], features: tuple[Tensor, ...]) -> Tensor:
        """Return the weighted loss of a batch: what both models take, and the student's values."""
        with torch.no_grad():
            wanted = self._precision.run(self._teacher, *inputs)
        total = torch.zeros((), device=features[0].device)
        for student, teacher, kept in zip(features, wanted, self._kept, strict=True):
            target = teacher if kept is None else teacher.index_select(1, kept)
            total = total + l1_loss(student, target) / target.abs().mean().clamp_min(1e-6)
        return self._weight * total / len(self._kept)


def features_by_kept_index(
    channels: ChannelMap, plan: Plan, values: list[str]
) -> list[np.ndarray | None]:
    """For each value of the graph, the channels along axis 1 that a plan keeps; None for all."""
    removed = channels.removed(plan.keep)
    kept: list[np.ndarray | None] = []
    for value in values:
        ids = channels.ids_of(value)
        along = None if ids is None or ids.ndim < 2 or ids.shape[1] == 1 else ids.reshape(-1)
        kept.append(None if along is None else np.flatnonzero(~removed[along]))
    return kept


def feature_values(channels: ChannelMap, names: list[str]) -> list[str]:
    """Those of some values whose channels can be told apart by their identities."""
    found = ((name, channels.ids_of(name)) for name in names)
    return [name for name, ids in found if ids is not None and ids.size > 1]
