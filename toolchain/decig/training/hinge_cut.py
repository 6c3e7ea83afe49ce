"""Where condensed generators are cut: at the hinge of every channel group, or for a latency.

What is looked at is what stage I has condensed: how large the weights are by which consumers read
each channel. Channels that are dead there are read by nobody, so that cutting them changes nothing.
"""

import contextlib
import logging
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from decig.device.plan.edges import to_stair_edges
from decig.device.plan.target import Target
from decig.errors import TargetMissedError
from decig.files import write_json
from decig.graph.channels import ChannelMap, analyse
from decig.graph.model import Model, initializers
from decig.graph.plan import Plan, floor_of, plan_from_widths
from decig.graph.scoring import channel_norms, magnitude_loss
from decig.graph.slicing import slice_graph
from decig.training.hinge import find_hinge
from decig.training.run import SCHEMA_VERSION

_log = logging.getLogger(__name__)

HINGES_FILE = "hinges.json"
"""File of the run folder with the sorted magnitudes of every group, and where they were cut."""
MISSED_FILE = "missed.json"
"""File of the run folder that says that no cut of the condensed generators reached the target."""
_DIGITS = 6
"""Significant digits of the magnitudes that are written."""


@dataclass(frozen=True)
class Condensed:
    """A condensed generator, and where it is cut.

    Attributes:
        model: the condensed graph, whole.
        channels: its groups.
        magnitudes: 2-norm of the weights that read each channel, by group.
        hinges: channels before the hinge, by group; None where the curve has no bend.
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


def cut_condensed(model: Model, target: Target, target_ms: float | None) -> Condensed:
    """Choose what stays of a condensed generator.

    A hinge goes up to the edge of the device's stair: the channels up to there take no time. At
    the hinge, no group is cut below the width that cutting by shares leaves it (`floor_of`). For
    a latency, the channels go that are read least: what a group loses is the share that they have
    of the squares of all weights that read it.

    Args:
        model: the condensed graph.
        target: the model on the device of its cost table.
        target_ms: latency there; None lets the hinges decide.

    Raises:
        TargetMissedError: no plan is that fast; the message names the fastest.
    """
    channels = analyse(model.proto)
    norms = channel_norms(channels, initializers(model.proto), ("read",))
    read = {group.name: _shares(norms[group.name]) for group in channels.prunable}
    hinges = {name: find_hinge(curve) for name, curve in read.items()}

    def plan(widths: Mapping[str, int]) -> Plan:
        return plan_from_widths(channels, widths, read, model.sha256)

    if target_ms is None:
        widths: Mapping[str, int] = {
            group.name: max(hinges[group.name] or group.channels, floor_of(group))
            for group in channels.prunable
        }
        edges = to_stair_edges(target.predictor, widths)
        widths = {name: min(edges[name], channels.widths[name]) for name in widths}
    else:
        met = target.plan(
            magnitude_loss(read),
            target_ms,
            lambda widths: slice_graph(model.proto, channels, plan(widths)),
            tell=lambda told: _log.debug("plan: %s", told),
        )
        widths = met.widths
    magnitudes = {name: norms[name] for name in read}
    return Condensed(model, channels, magnitudes, hinges, plan(widths))


@contextlib.contextmanager
def keeps_what_is_condensed(folder: Path) -> Iterator[None]:
    """Note that a target was missed at the cut: the training may go on with another one.

    Raises:
        TargetMissedError: it was; says that stage I is kept.
    """
    try:
        yield
    except TargetMissedError as error:
        write_json(folder / MISSED_FILE, {"schema_version": SCHEMA_VERSION, "missed": str(error)})
        raise TargetMissedError(
            f"{error}; what stage I has condensed is kept in {folder}, which can be resumed with a "
            "slower target"
        ) from error


def waits_for_target(folder: Path) -> bool:
    """Whether a training was condensed, but not cut, as it missed its target."""
    return (folder / MISSED_FILE).is_file() and not (folder / HINGES_FILE).is_file()


def _shares(norm: np.ndarray) -> np.ndarray:
    """Norms whose squares add up to 1; where no weight reads the channels, all are the same."""
    if not norm.any():
        norm = np.ones_like(norm)
    result: np.ndarray = norm / np.linalg.norm(norm)
    return result


def _rounded(values: np.ndarray) -> list[float]:
    return [float(f"{value:.{_DIGITS}g}") for value in values]
