"""What a slice is: the plan that it follows, and the graph with the record of what was cut."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import onnx

from decig.graph.cost import Cost
from decig.graph.model import save_model
from decig.graph.plan import Plan
from decig.source.source import Source
from decig.source.stamp import stamp


@dataclass(frozen=True)
class Proposal:
    """A plan, and what is known of it before anything is cut.

    Attributes:
        plan: the channels to keep.
        predicted_ms: latency by the cost table, once exported; None without a table.
        measured_ms: latency on the device, once exported: with the rewrites that pay in the sliced
            graph; None where it was not measured.
        notices: how the plan differs from what whoever asked may expect, one line each.
    """

    plan: Plan
    predicted_ms: float | None = None
    measured_ms: float | None = None
    notices: tuple[str, ...] = ()


@dataclass(frozen=True)
class Cut:
    """A sliced graph.

    Attributes:
        proto: the graph, repaired if images were given.
        plan: the kept channels.
        removed: number of channels removed, for each group that lost any.
        before: cost of the original graph.
        after: cost of the sliced graph.
        predicted_ms: as `Proposal` has it.
        measured_ms: as `Proposal` has it.
        file_ms: latency on the device of the graph as `save` writes it, without rewrites; None
            where `measured_ms` is None.
        max_abs_diff: difference to the oracle as a share of the output range; None if it was not
            asked for.
        notices: what may surprise whoever asked: nothing to remove, groups at their floor.
        warnings: what makes the latencies doubtful, such as a cost table of another device.
    """

    proto: onnx.ModelProto
    plan: Plan
    removed: dict[str, int]
    before: Cost
    after: Cost
    predicted_ms: float | None
    measured_ms: float | None
    file_ms: float | None
    max_abs_diff: float | None
    notices: list[str]
    warnings: tuple[str, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """Return the JSON object of `decig slice --json`."""
        found: dict[str, Any] = {
            "params": {"before": self.before.params, "after": self.after.params},
            "macs": {"before": self.before.macs, "after": self.after.macs},
            "removed": self.removed,
            "notices": self.notices,
        }
        if self.predicted_ms is not None:
            found["predicted_latency_ms"] = round(self.predicted_ms, 4)
        if self.measured_ms is not None:
            found["measured_latency_ms"] = round(self.measured_ms, 4)
        if self.file_ms is not None:
            found["file_latency_ms"] = round(self.file_ms, 4)
        if self.max_abs_diff is not None:
            found["max_abs_diff"] = self.max_abs_diff
        if self.warnings:
            found["warnings"] = list(self.warnings)
        return found

    def save(self, path: Path, source: Source) -> None:
        """Write the graph, stamped with its source, plan and pixel format.

        Axes that are dynamic in the source are dynamic in the file.
        """
        opened = source.model.reopen(self.proto)
        stamp(opened, source.entries() | {"plan": self.plan.to_dict()})
        save_model(opened, path)
