"""Plans: which channels of each group stay."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import msgspec
import numpy as np

from decig.errors import BadInputError
from decig.files import write_json
from decig.graph.channels import ChannelMap, Group
from decig.schema import read_json

SCHEMA_VERSION = 1
FLOOR = 4
"""Fewest channels that a share leaves: with fewer, kernels gain nothing and pictures suffer."""


class _File(msgspec.Struct, frozen=True):
    """A plan as it is written; other keys are not read."""

    schema_version: Literal[1]
    keep: dict[str, list[int]]
    model_sha256: str = ""


@dataclass(frozen=True)
class Plan:
    """Kept channel indices by group name; a group that is not named keeps all its channels.

    Attributes:
        model_sha256: digest of the graph the plan was made for.
        keep: ascending, unique indices into each group's channels.
    """

    model_sha256: str
    keep: dict[str, list[int]]

    def save(self, path: Path) -> None:
        """Write the plan as JSON."""
        write_json(path, self.to_dict())

    def to_dict(self) -> dict[str, Any]:
        """Return the plan as the JSON object of the file format."""
        return {
            "schema_version": SCHEMA_VERSION,
            "model_sha256": self.model_sha256,
            "keep": self.keep,
        }

    @classmethod
    def load(cls, path: Path) -> "Plan":
        """Read a plan.

        Raises:
            BadInputError: no readable plan of this schema version.
        """
        file = read_json(path, _File, "plan")
        return cls(file.model_sha256, {k: sorted(set(v)) for k, v in file.keep.items()})

    def after(self, earlier: "Plan | None") -> "Plan":
        """Return this plan, made for the graph that `earlier` has cut, for the graph before."""
        if earlier is None:
            return self
        both = {
            name: [earlier.keep[name][i] for i in kept] if name in earlier.keep else kept
            for name, kept in self.keep.items()
        }
        return Plan(earlier.model_sha256, earlier.keep | both)

    def require_fits(self, channels: ChannelMap, sha256: str) -> None:
        """Check that the plan was made for this graph.

        Raises:
            BadInputError: another graph, an unknown or frozen group, an index out of range, an
                empty group.
        """
        if self.model_sha256 != sha256:
            raise BadInputError("the plan was made for another model (its model_sha256 differs)")
        groups = {group.name: group for group in channels.groups}
        for name, kept in self.keep.items():
            group = groups.get(name)
            if group is None:
                raise BadInputError(f"the plan names a group '{name}' that the model lacks")
            if not kept or kept[0] < 0 or kept[-1] >= group.channels:
                raise BadInputError(
                    f"plan, group '{name}': give one or more indices from 0 to {group.channels - 1}"
                )
            if not group.prunable and len(kept) < group.channels:
                raise BadInputError(f"plan, group '{name}' cannot be cut: {group.reason}")


def plan_from_widths(
    channels: ChannelMap,
    widths: Mapping[str, int],
    scores: Mapping[str, np.ndarray],
    sha256: str,
) -> Plan:
    """Keep the best-scored `widths[group]` channels of each group.

    Args:
        channels: the groups.
        widths: channels to keep, by group; a group that is not named keeps all of its channels.
        scores: one number per channel, by group; the largest stay.
        sha256: digest of the graph.
    """
    keep = {}
    for group in channels.prunable:
        width = widths.get(group.name, group.channels)
        # A stable sort: equal scores keep the first channels, so a plan is reproducible.
        order = np.argsort(-np.asarray(scores[group.name]), kind="stable")
        keep[group.name] = sorted(int(i) for i in order[:width])
    return Plan(sha256, keep)


def uniform_widths(channels: ChannelMap, ratio: float) -> dict[str, int]:
    """Width of every prunable group at the same share of its channels.

    Rounded up, and at least what leaves `FLOOR` channels; a group with fewer keeps them all.
    """
    return {
        group.name: max(math.ceil(group.channels * ratio - 1e-9), floor_of(group))
        for group in channels.prunable
    }


def floor_of(group: Group) -> int:
    """Smallest width of a group that leaves `FLOOR` channels of its tensor, or its full width."""
    return min(group.channels, math.ceil(FLOOR / group.copies))
