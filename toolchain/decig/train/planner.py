"""Choosing what stays: which channels of a graph are kept, for a latency or at the hinge."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property, partial
from typing import Any

import numpy as np
import onnx

from decig.device.plan.target import Target
from decig.graph.channels import ChannelMap, Group
from decig.graph.plan import Plan, floor_of
from decig.graph.slicing import slice_graph
from decig.progress import Progress
from decig.repair.scores import Importance
from decig.train.examples import Examples
from decig.train.hinge import find_hinge
from decig.train.schedule import Budget
from decig.train.teacher import Teacher


@dataclass(frozen=True)
class Goal:
    """What a compression is to reach, and what it may take.

    Attributes:
        target: the teacher on the device of its cost table.
        target_ms: wanted latency there; None lets the hinge of every channel group decide.
        budget: of all training together.
        fold_norms: whether to fold InstanceNorms into convolutions where the pictures allow it.
    """

    target: Target
    target_ms: float | None
    budget: Budget
    fold_norms: bool = False

    def record(self) -> Mapping[str, Any]:
        """Return what the file of a run says of it, as plain JSON values."""
        return {
            "device": self.target.table.device.to_dict(),
            "target_ms": self.target_ms,
            "fold_norms": self.fold_norms,
            "budget": {"seconds": self.budget.seconds, "steps": self.budget.steps},
        }


class Planner:
    """Scores channels on real inputs and plans with the cost table of the device."""

    def __init__(
        self, teacher: Teacher, goal: Goal, examples: Examples, progress: Progress
    ) -> None:
        """Prepare.

        Args:
            teacher: the model.
            goal: what is to be reached; its cost table is one of the teacher.
            examples: the user's images, by which channels are scored.
            progress: told what is being worked on.
        """
        self._teacher, self._goal, self._examples = teacher, goal, examples
        self._progress = progress

    def predict_ms(self, widths: Mapping[str, int]) -> float:
        """Latency on the device with these numbers of channels in the teacher's groups."""
        return self._goal.target.predictor.predict_ms(widths)

    @cached_property
    def importance(self) -> Importance:
        """How much each channel of the teacher matters."""
        return self.score(self._teacher.model.proto, self._teacher.channels)

    def score(self, proto: onnx.ModelProto, channels: ChannelMap) -> Importance:
        """How much each channel of a graph matters, on real inputs."""
        self._progress("score channels", 0.0, {})
        return Importance(proto, channels, self._examples.for_repair)

    @cached_property
    def plan(self) -> Plan:
        """What stays of the teacher at the latency asked for; errors as for `plan_for`."""
        teacher = self._teacher
        target_ms = self._goal.target_ms
        return self.plan_for(teacher.model.proto, teacher.channels, self.importance, target_ms)

    def plan_for(
        self,
        proto: onnx.ModelProto,
        channels: ChannelMap,
        scores: Importance,
        target_ms: float | None,
    ) -> Plan:
        """Choose what stays of a graph: for a latency, or at the hinge where none is asked for.

        At the hinge, no group is cut below the width that cutting by shares leaves it (`floor_of`).

        Args:
            proto: the teacher's graph, or one whose groups have some of its channels.
            channels: its groups, by the teacher's names.
            scores: of its channels.
            target_ms: latency on the device, or None.

        Returns:
            The plan, in the graph's own channels.

        Raises:
            TargetMissedError: no plan is that fast; the message names the fastest.
        """

        def best(widths: Mapping[str, int]) -> Plan:
            # A condensed graph has fewer channels than the table's.
            orders = {name: order[: widths[name]] for name, order in scores.order.items()}
            keep = {name: sorted(int(i) for i in order) for name, order in orders.items()}
            return Plan(self._teacher.model.sha256, keep)

        if target_ms is None:
            return best({group.name: _at_hinge(group, scores) for group in channels.prunable})
        met = self._goal.target.plan(
            {name: self._extend(name, curve) for name, curve in scores.loss.items()},
            target_ms,
            lambda widths: slice_graph(proto, channels, best(widths)),
            tell=partial(self._progress, "plan", 1.0),
            most=channels.widths,
        )
        return best(met.widths)

    def _extend(self, group: str, loss: np.ndarray) -> np.ndarray:
        """Lengthen a curve to the teacher's channels; those that a graph lacks lose nothing."""
        missing = self._teacher.channels.widths[group] + 1 - len(loss)
        return np.concatenate([loss, np.zeros(missing)])

    def run_time(self) -> dict[str, float]:
        """I(i): measured run time of the nodes that each group's channels run through, in us."""
        spent = {node.name: node.latency_us for node in self._goal.target.table.nodes}
        return {
            group.name: sum(spent.get(node, 0.0) for node in group.nodes)
            for group in self._teacher.channels.prunable
        }


def _at_hinge(group: Group, scores: Importance) -> int:
    """How many channels of a group lie before its hinge, or its floor; all where it has none."""
    found = find_hinge(np.maximum(-np.diff(scores.loss[group.name]), 0))
    return group.channels if found is None else max(found, floor_of(group))
