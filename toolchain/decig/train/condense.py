"""Stage I: a penalty weighted by the device that condenses a generator into few channels.

Shah and Bharaj, "Towards Device Efficient Conditional Image Generation" (BMVC 2022), section 3:

    L_penal = sum_i I(i) L_i,       L_i = sum_j f(j) |W_ij|

i: channel group; I(i): its run time on the device; j: its channels sorted by magnitude, largest
first; W_ij: here all weights by which *consumers read* channel j, as a channel that nobody reads
can be sliced away without changing a pixel. Three traps and their answers:

* Adam's scaling undoes an L1 gradient, so the penalty is a decoupled proximal step after the
  optimiser's, the soft threshold of the channel's norm:
  v_j <- v_j max(0, 1 - rate I(i) f(j) / |v_j|_2).
* A consumer followed by a normalisation can shrink all its weights without changing the picture,
  and the penalty would do nothing. Every consumer's weights are therefore rescaled to the norm
  they had before the step: only the share of each channel in it changes.
* The strength is steered (`Condenser.steer`) until the latency predicted for the live channels
  falls to the target on schedule.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn

from decig.errors import BadInputError
from decig.graph.channels import ChannelMap

WEIGHTINGS: dict[str, Callable[[Tensor], Tensor]] = {
    "uniform": torch.ones_like,
    "linear": lambda rank: 2 * rank,
    "exponential": lambda rank: torch.exp(4 * (rank - 1)) * 4 / (1 - np.exp(-4)),
}
"""f(j) as a function of the rank j/(n-1) in 0..1; each has mean 1, so that they compare."""

_DEAD = 1e-3  # share of the largest channel's magnitude below which a channel is dead


@dataclass(frozen=True)
class _Part:
    """One consumer's weights, seen from one group: `place[k]` is the channel that row k reads."""

    weight: nn.Parameter
    axis: int
    rows: Tensor
    place: Tensor


class Condenser:
    """Applies the proximal step to a module's parameters and tells which channels live."""

    def __init__(
        self,
        module: nn.Module,
        names: Mapping[str, str],
        channels: ChannelMap,
        run_time: Mapping[str, float],
        weighting: str = "linear",
    ) -> None:
        """Bind the groups of a graph to the parameters of its module.

        Args:
            module: the graph as a module (`decig.train.module.build_module`).
            names: parameter name to initializer name.
            channels: the graph's channel groups.
            run_time: I(i), run time on the device by group, any unit.
            weighting: f, one of `WEIGHTINGS`.

        Raises:
            BadInputError: an unknown weighting.
        """
        if weighting not in WEIGHTINGS:
            raise BadInputError(f"--weighting {weighting}: choose from {', '.join(WEIGHTINGS)}")
        self._weighting = WEIGHTINGS[weighting]
        by_initializer = {names.get(name, name): p for name, p in module.named_parameters()}
        self._parts = {
            group.name: parts
            for group in channels.prunable
            if (parts := list(_parts(channels, group.name, by_initializer)))
        }
        mean = float(np.mean([run_time.get(name, 0.0) for name in self._parts] or [1.0])) or 1.0
        self._cost = {name: run_time.get(name, 0.0) / mean for name in self._parts}
        every = [part.weight for parts in self._parts.values() for part in parts]
        self._consumers = list({id(weight): weight for weight in every}.values())
        self._full = channels.widths
        self.rate = 1e-3

    @torch.no_grad()
    def step(self, share: float = 1.0) -> None:
        """Take one proximal step, `share` scales its rate (the schedule's learning rate)."""
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
        """Channels of each group that are not dead; groups without readers keep all."""
        widths = dict(self._full)
        for name, magnitude in self.magnitudes().items():
            widths[name] = max(1, int((magnitude > _DEAD * magnitude.max()).sum()))
        return widths

    def state_dict(self) -> dict[str, float]:
        """Where the steering stands."""
        return {"rate": self.rate}

    def load_state_dict(self, state: Mapping[str, float]) -> None:
        """Go on steering from there."""
        self.rate = state["rate"]

    def steer(self, predicted: float, wanted: float) -> None:
        """Raise the rate while the predicted latency is above the schedule's, else lower it."""
        self.rate *= 1.25 if predicted > wanted else 0.8

    def _magnitude(self, parts: list[_Part]) -> Tensor:
        total = torch.zeros(int(parts[0].place.max()) + 1, device=parts[0].weight.device)
        for part in parts:
            squares = _by_row(part.weight, part.axis).square().sum(1)
            total.index_add_(0, part.place, squares[part.rows])
        return total.sqrt()


def _parts(channels: ChannelMap, group: str, weights: Mapping[str, nn.Parameter]) -> list[_Part]:
    classes = channels.group(group).classes
    parts = []
    for binding in channels.bindings:
        weight = weights.get(binding.initializer)
        if binding.role != "read" or weight is None:
            continue
        axis = int(np.argmax(binding.ids.shape))
        labels = channels.classes_of(binding.ids).ravel()
        rows = np.flatnonzero(np.isin(labels, classes))
        if len(rows):
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
