"""Latents shrink by what their channels cost, until the predicted latency is the wanted one.

What shrinks, and by which equation, says `decig.training.narrowing.latents`.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch

from decig.device.cost.terms import WidthCost
from decig.graph.channels import ChannelMap
from decig.graph.plan import floor_of
from decig.training.narrowing.bisection import bisect
from decig.training.narrowing.latents import POWER, LatentModule

_LOOKS = 10
"""Steps in which latents shrink as far as one look at the latency asks for."""
_LEAST_SAVED = 1e-3
"""Least share of the mean saving that a group's channels count as, so that no group is free."""


class Shrinking:
    """Takes the proximal step on latents, and says which channels live."""

    def __init__(
        self,
        module: LatentModule,
        channels: ChannelMap,
        predictor: WidthCost,
        least: Mapping[str, int] | None = None,
    ) -> None:
        """Prepare.

        Args:
            module: whose latents shrink.
            channels: the groups of its graph.
            predictor: of the teacher's latency, with groups of the same names.
            least: channels that stay of each group, whatever its latents say; of a group that is
                not named, as many as of any plan (`decig.graph.plan.floor_of`).
        """
        self._module, self._predictor = module, predictor
        self._full = channels.widths
        self._floor = {
            group.name: min(group.channels, max(floor_of(group), (least or {}).get(group.name, 0)))
            for group in channels.prunable
        }
        self.rate = 0.0
        self._saved = dict.fromkeys(module.by_group(), 1.0)
        self._saved = self._savings()

    @torch.no_grad()
    def step(self, share: float = 1.0) -> None:
        """Take one proximal step at a share of the rate; a floor of channels does not shrink."""
        self._module.scale_back()
        for name, latents in self._module.by_group().items():
            smaller = latents.abs() - self.rate * share * self._price(name)
            shrunk = latents.sign() * smaller.clamp_min(0)
            largest = latents.abs().topk(self._floor[name]).indices
            shrunk[largest] = latents[largest]
            latents.copy_(shrunk)
        self._module.note_sums()

    def live(self) -> dict[str, int]:
        """Count the channels of each group that are left; groups without latents keep all."""
        return self._left(0.0)

    def _left(self, threshold: float) -> dict[str, int]:
        """Widths, if every latent shrank by this threshold times the price of its group."""
        widths = dict(self._full)
        for name, latents in self._module.by_group().items():
            live = int((latents.abs() > threshold * self._price(name)).sum())
            widths[name] = max(self._floor[name], live)
        return widths

    def steer(self, predicted: float, wanted: float) -> None:
        """Choose the rate with which, in `_LOOKS` steps, the latency would be the wanted one."""
        self._saved = self._savings()
        if predicted <= wanted:
            self.rate = 0.0
            return

        def is_missed(shrinkage: float) -> bool:
            return self._predictor.predict_ms(self._left(shrinkage)) > wanted

        most = max(
            float(latents.abs().max()) / self._price(name)
            for name, latents in self._module.by_group().items()
        )
        self.rate = sum(bisect(is_missed, 0.0, most)) / 2 / _LOOKS

    def state_dict(self) -> dict[str, Any]:
        """Return the rate, and what channels saved when the latency was last looked at."""
        return {"rate": self.rate, "saved": dict(self._saved)}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from there."""
        self.rate, self._saved = state["rate"], dict(state["saved"])

    def _price(self, name: str) -> float:
        """s_g / a_g: by how much the latents of a group shrink at a rate of 1."""
        return self._saved[name] / self._module.strength[name]

    def _savings(self) -> dict[str, float]:
        """s_g: time that one channel less of a group saves, as a multiple of the groups' mean.

        It is the time down to the next lower stair, divided by the channels in between, and then
        taken to `POWER`, as the losses are.
        """
        live, groups = self.live(), self._predictor.groups
        now = [live.get(name, full) for name, full in groups.items()]
        names = [name for name in self._module.by_group() if name in groups]
        lower = {name: self._next_lower(name, live[name]) for name in names}
        plans = [
            [lower[n] if n == name else w for n, w in zip(groups, now, strict=True)]
            for name in names
        ]
        us = self._predictor.predict_many(np.array([now, *plans]))
        fewer = np.array([max(1, live[name] - lower[name]) for name in names])
        saved = np.maximum(us[0] - us[1:], 0) / fewer
        mean = float(saved.mean()) if saved.any() else 1.0
        shares = np.maximum(saved / mean, _LEAST_SAVED) ** POWER
        return dict.fromkeys(self._module.by_group(), 1.0) | dict(
            zip(names, map(float, shares), strict=True)
        )

    def _next_lower(self, name: str, width: int) -> int:
        below = [w for w in self._predictor.candidates[name] if w < width]
        return below[-1] if below else width
