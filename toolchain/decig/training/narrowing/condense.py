"""Stage I of DECIG: a penalty, weighted by the device, condenses a generator into few channels.

Shah and Bharaj, "Towards Device Efficient Conditional Image Generation" (BMVC 2022), section 3:

    L_penal = sum_i I(i) L_i,       L_i = sum_j f(j) |W_ij|

where i is a channel group, I(i) its run time on the device, j its channels sorted by magnitude,
largest first, and W_ij here all weights v_j by which *consumers read* channel j, and |.| their
2-norm: a channel that nobody reads can be sliced away without changing a pixel. I(i) is taken
relative to its mean over the groups, and L_i relative to m_i, the mean of |v_j| in the group. Three
traps and their answers:

* Adam's scaling undoes the gradient of an L1 term. The penalty is therefore a proximal step after
  the optimiser's: the soft threshold of the channel's norm,
  v_j <- v_j max(0, 1 - rate m_i I(i) f(j) / |v_j|_2), where the rate falls as Adam's does.
* A consumer followed by a normalisation can shrink all its weights without changing the picture,
  and the penalty would do nothing. Every consumer's weights are therefore scaled back to the norm
  that they had before the step: only the share of each channel changes.
* How strong the penalty must be is not known. `decig.training.narrowing.steering` raises and lowers
the rate
  so that the latency predicted for the live channels falls to the target on schedule.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from decig.graph.channels import ChannelMap

WEIGHTINGS: dict[str, Callable[[Tensor], Tensor]] = {
    "uniform": torch.ones_like,
    "linear": lambda rank: 2 * rank,
    "exponential": lambda rank: torch.exp(4 * (rank - 1)) * 4 / (1 - np.exp(-4)),
}
"""f(j) as a function of the rank j/(n-1) in 0..1; each has mean 1, so that they compare."""

_DEAD = 1e-3
"""Share of the largest channel's magnitude below which a channel is dead."""


@dataclass(frozen=True)
class _Part:
    """One consumer's weights, seen from one channel group.

    Attributes:
        weight: of the consumer.
        axis: of the weight, along which it reads channels.
        rows: indices along the axis that read channels of the group.
        place: for each of the rows, which of the group's channels it reads.
    """

    weight: Tensor
    axis: int
    rows: Tensor
    place: Tensor


class Condenser:
    """Takes the proximal step on weights that are trained, and says which channels live.

    Attributes:
        rate: how strong a step is.
    """

    def __init__(
        self,
        weights: Mapping[str, Tensor],
        channels: ChannelMap,
        run_time: Mapping[str, float],
        weighting: str = "linear",
    ) -> None:
        """Bind the groups of a graph to the weights that are trained.

        Args:
            weights: by the initializer of the graph that each of them is, in its layout; changed in
                place. Groups that any other initializer reads are left as they are: no step could
                make nobody read their channels.
            channels: the graph's channel groups.
            run_time: I(i), run time on the device by group, any unit.
            weighting: f, one of `WEIGHTINGS`.
        """
        self._weighting = WEIGHTINGS[weighting]
        self._parts = {
            group.name: parts
            for group in channels.prunable
            if (parts := _parts(channels, group.name, weights))
        }
        mean = float(np.mean([run_time.get(name, 0.0) for name in self._parts] or [1.0])) or 1.0
        self._cost = {name: run_time.get(name, 0.0) / mean for name in self._parts}
        every = [part.weight for parts in self._parts.values() for part in parts]
        self._consumers = list({id(weight): weight for weight in every}.values())
        self._full = channels.widths
        self.rate = 1e-3

    @property
    def groups(self) -> tuple[str, ...]:
        """Names of the groups that it condenses."""
        return tuple(self._parts)

    @torch.no_grad()
    def step(self, share: float = 1.0) -> None:
        """Take one proximal step at a share of the rate."""
        before = [weight.norm() for weight in self._consumers]
        for name, parts in self._parts.items():
            magnitude = self._magnitude(parts)
            size = magnitude.mean().clamp_min(1e-12)
            rank = torch.empty_like(magnitude)
            rank[magnitude.argsort(descending=True)] = torch.linspace(
                0, 1, len(magnitude), dtype=rank.dtype, device=rank.device
            )
            strength = self.rate * share * self._cost[name]
            threshold = size * strength * self._weighting(rank)
            shrink = (1 - threshold / magnitude.clamp_min(1e-12)).clamp_min(0)
            for part in parts:
                _scale(part, shrink)
        for weight, norm in zip(self._consumers, before, strict=True):
            weight.mul_(norm / weight.norm().clamp_min(1e-12))

    @torch.no_grad()
    def magnitudes(self) -> dict[str, np.ndarray]:
        """2-norm of the weights that read each channel, by group."""
        return {name: self._magnitude(p).cpu().numpy() for name, p in self._parts.items()}

    def live(self) -> dict[str, int]:
        """Count the channels of each group that are not dead; groups without readers keep all."""
        widths = dict(self._full)
        for name, magnitude in self.magnitudes().items():
            widths[name] = max(1, int((magnitude > _DEAD * magnitude.max()).sum()))
        return widths

    def steer(self, predicted: float, wanted: float) -> None:
        """Raise the rate while the predicted latency is above the wanted one, else lower it."""
        self.rate *= 1.25 if predicted > wanted else 0.8

    def state_dict(self) -> dict[str, Any]:
        """Return the rate, where steering has brought it."""
        return {"rate": self.rate}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from a saved rate."""
        self.rate = state["rate"]

    def _magnitude(self, parts: list[_Part]) -> Tensor:
        total = torch.zeros(int(parts[0].place.max()) + 1, device=parts[0].weight.device)
        for part in parts:
            squares = _by_row(part.weight, part.axis).square().sum(1)
            total.index_add_(0, part.place, squares[part.rows])
        return total.sqrt()


def run_times(spent: Mapping[str, float], channels: ChannelMap) -> dict[str, float]:
    """I(i): what the nodes cost that each group's channels run through.

    Args:
        spent: cost by node, in any unit.
        channels: the graph's channel groups.
    """
    return {
        group.name: sum(spent.get(node, 0.0) for node in group.nodes) for group in channels.prunable
    }


def _parts(channels: ChannelMap, group: str, weights: Mapping[str, Tensor]) -> list[_Part]:
    """All weights that read a group; none where one of them is not among those given."""
    classes = channels.group(group).classes
    parts = []
    seen = set()  # several nodes may read with the same weight
    for binding in channels.bindings:
        axis = int(np.argmax(binding.ids.shape))
        if binding.role != "read" or (binding.initializer, axis) in seen:
            continue
        seen.add((binding.initializer, axis))
        labels = channels.classes_of(binding.ids).ravel()
        rows = np.flatnonzero(np.isin(labels, classes))
        if len(rows):
            weight = weights.get(binding.initializer)
            if weight is None:
                return []
            place = np.searchsorted(classes, labels[rows])
            device = weight.device
            parts.append(
                _Part(
                    weight,
                    axis,
                    torch.as_tensor(rows, device=device),
                    torch.as_tensor(place, device=device),
                )
            )
    return parts


def _by_row(weight: Tensor, axis: int) -> Tensor:
    return weight.movedim(axis, 0).flatten(1)


def _scale(part: _Part, shrink: Tensor) -> None:
    """Multiply the rows that read each channel by its factor, in place."""
    factor = torch.ones(part.weight.shape[part.axis], device=part.weight.device)
    factor[part.rows] = shrink[part.place]
    shape = [1] * part.weight.ndim
    shape[part.axis] = -1
    part.weight.mul_(factor.reshape(shape))
