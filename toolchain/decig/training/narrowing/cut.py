"""A generator that was made narrower while it was trained, and where it is cut."""

import logging
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from decig.device.plan.compute import MacsTarget
from decig.device.plan.target import Target
from decig.graph.channels import ChannelMap
from decig.graph.model import Model
from decig.graph.plan import Plan, plan_from_widths
from decig.graph.slicing import slice_graph

_log = logging.getLogger(__name__)

_DIGITS = 6
"""Significant digits of the magnitudes that are written."""


@dataclass(frozen=True)
class Cut:
    """A generator after stage I, and what stays of it.

    Attributes:
        model: the graph, whole.
        channels: its groups.
        magnitudes: how much each channel still counts, by group: the 2-norm of the weights that
            read it, or the size of its latent.
        hinges: channels before the hinge, by group; None where no hinge was looked for, or the
            curve of the magnitudes has no bend.
        plan: which channels stay.
    """

    model: Model
    channels: ChannelMap
    magnitudes: Mapping[str, np.ndarray]
    hinges: Mapping[str, int | None]
    plan: Plan

    @property
    def sliced(self) -> Model:
        """What is left of the graph."""
        return replace(self.model, proto=slice_graph(self.model.proto, self.channels, self.plan))

    @property
    def widths(self) -> dict[str, int]:
        """Channels that stay, by group."""
        return {name: len(kept) for name, kept in self.plan.keep.items()}

    def record(self) -> dict[str, Any]:
        """Return what hinges.json says of it: by group, the curve, its hinge, and the cut."""
        return {
            group.name: {
                "magnitudes": _rounded(np.sort(self.magnitudes[group.name])[::-1]),
                "hinge": self.hinges[group.name],
                "channels": {"before": group.channels, "after": self.widths[group.name]},
            }
            for group in self.channels.prunable
        }


def plan_within(
    model: Model,
    channels: ChannelMap,
    scores: Mapping[str, np.ndarray],
    loss: Mapping[str, np.ndarray],
    target: Target | MacsTarget,
    target_ms: float,
) -> Plan:
    """Choose the channels that lose least within a latency.

    Args:
        model: the graph.
        channels: its groups.
        scores: one number per channel, by group; the channels with the largest stay.
        loss: what a group loses if its k best channels stay, for k = 0 to all.
        target: the model on a device, or for none.
        target_ms: latency there, or millions of multiply-accumulates.

    Raises:
        TargetMissedError: no plan is that fast; the message names the fastest.
    """

    def plan(widths: Mapping[str, int]) -> Plan:
        return plan_from_widths(channels, widths, scores, model.sha256)

    met = target.plan(
        loss,
        target_ms,
        lambda widths: slice_graph(model.proto, channels, plan(widths)),
        tell=lambda told: _log.debug("plan: %s", told),
    )
    return plan(met.widths)


def _rounded(values: np.ndarray) -> list[float]:
    return [float(f"{value:.{_DIGITS}g}") for value in values]
