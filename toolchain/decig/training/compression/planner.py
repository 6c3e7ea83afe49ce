"""Choosing what stays: which channels of a graph are kept, for a latency or at the hinge."""

import logging
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property, partial
from typing import Any, Protocol

import numpy as np
import onnx

from decig.device.plan.compute import MacsTarget
from decig.device.plan.edges import to_stair_edges
from decig.device.plan.planner import fastest_widths, plan_widths
from decig.device.plan.target import Target
from decig.device.plan.tighten import Met
from decig.errors import TargetMissedError
from decig.graph.channels import ChannelMap
from decig.graph.plan import Plan, floor_of
from decig.graph.slicing import slice_graph
from decig.progress import Progress
from decig.repair.scores import Importance
from decig.training.compression.teacher import Teacher
from decig.training.data.examples import Examples
from decig.training.loop.schedule import Budget
from decig.training.narrowing.condense import run_times
from decig.training.narrowing.hinge import at_hinge, read_norms, shares

_log = logging.getLogger(__name__)

Found = tuple[float, Met]
"""A latency in ms that was planned for, and how that search ended."""


class Scores(Protocol):
    """How much the channels of a graph matter."""

    @property
    def order(self) -> Mapping[str, np.ndarray]:
        """Channel indices by group, the most important first."""
        ...

    @property
    def loss(self) -> Mapping[str, np.ndarray]:
        """What is lost, by group, if the k best channels are kept, for k = 0 to all."""
        ...


@dataclass(frozen=True)
class Goal:
    """What a compression is to reach, and what it may take.

    Attributes:
        target: the teacher on the device of its cost table, or without a device.
        target_ms: wanted latency there, without a device millions of multiply-accumulates; None
            lets the hinge of every channel group decide.
        budget: of all training together.
        fold_norms: whether to fold InstanceNorms into convolutions where the pictures allow it.
        name: of the target, such as "4x"; empty where there is none.
        widths: channels that the plan keeps, by group, where a run is repeated; None plans.
    """

    target: Target | MacsTarget
    target_ms: float | None
    budget: Budget
    fold_norms: bool = False
    name: str = ""
    widths: Mapping[str, int] | None = None

    def record(self) -> Mapping[str, Any]:
        """Return what the file of a run says of it, as plain JSON values."""
        return {
            **self.target.record(self.target_ms),
            "fold_norms": self.fold_norms,
            "budget": {"seconds": self.budget.seconds, "steps": self.budget.steps},
        }


class Planner:
    """Scores channels on real inputs and plans with the cost table of the device.

    Attributes:
        goal: what is to be reached.
        found: the plans that were made so far.
    """

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
        self._teacher, self.goal, self._examples = teacher, goal, examples
        self._progress = progress
        self.found: list[Found] = []
        self._other: Planner | None = None

    def toward(self, goal: Goal, progress: Progress) -> "Planner":
        """Return a planner of another goal, which takes the scores of channels from this one."""
        made = Planner(self._teacher, goal, self._examples, progress)
        made._other = self
        return made

    @property
    def target_ms(self) -> float | None:
        """What is to be reached; None where nothing was asked for."""
        return self.goal.target_ms

    def predict_ms(self, widths: Mapping[str, int]) -> float:
        """What these numbers of channels in the teacher's groups cost, in the unit of the goal."""
        return self.goal.target.predictor.predict_ms(widths)

    @cached_property
    def importance(self) -> Importance:
        """How much each channel of the teacher matters."""
        if self._other is not None:
            return self._other.importance
        return self.score(self._teacher.model.proto, self._teacher.channels)

    def score(self, proto: onnx.ModelProto, channels: ChannelMap) -> Importance:
        """How much each channel of a graph matters, on real inputs."""
        self._progress("score channels", 0.0, {})
        return Importance(proto, channels, self._examples.for_repair, self._teacher.picture)

    @cached_property
    def plan(self) -> Plan:
        """What stays of the teacher at the latency asked for; errors as for `plan_for`."""
        teacher = self._teacher
        target_ms = self.goal.target_ms
        widths = self.goal.widths
        if widths is not None and widths.keys() == self.importance.order.keys():
            return self.best_channels(self.importance, widths)
        if widths is not None:
            _log.warning("the recorded plan is of other channel groups: the plan is made anew")
        return self.plan_for(teacher.model.proto, teacher.channels, self.importance, target_ms)

    def plan_for(
        self,
        proto: onnx.ModelProto,
        channels: ChannelMap,
        scores: Scores,
        target_ms: float | None,
    ) -> Plan:
        """Choose what stays of a graph: for a latency, or at the hinge where none is asked for.

        The hinge is that of the weights by which channels are read; it goes up to the edge of the
        device's stair: the channels up to there take no time. At the hinge, no group is cut below
        the width that cutting by shares leaves it (`floor_of`).

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
        best = partial(self.best_channels, scores)
        if target_ms is None:
            return best(self._hinge_widths(proto, channels))
        met = self.goal.target.plan(
            scores.loss,
            target_ms,
            lambda widths: slice_graph(proto, channels, best(widths)),
            tell=partial(self._progress, "plan", 1.0),
        )
        self.found.append((target_ms, met))
        return best(met.widths)

    def _hinge_widths(self, proto: onnx.ModelProto, channels: ChannelMap) -> dict[str, int]:
        """Widths of a graph's groups at their hinges, up to the edges of the device's stairs."""
        norms = read_norms(proto, channels)
        widths = {group.name: at_hinge(group, norms[group.name]) for group in channels.prunable}
        return self._up_to_edges(channels, widths)

    def threshold_widths(self, proto: onnx.ModelProto, channels: ChannelMap) -> dict[str, int]:
        """Widths of a graph's groups by one threshold for all, as fast as those at their hinges.

        Channels stay that have a greater share than the threshold of all weights by which the
        channels of their group are read. It is the lowest threshold with which the predicted
        latency is no greater than at the hinges; no group falls below its floor.

        Args:
            proto: the graph.
            channels: its groups.
        """
        read = {name: shares(norm) for name, norm in read_norms(proto, channels).items()}
        limit_ms = self.predict_ms(self._hinge_widths(proto, channels))

        def widths_at(threshold: float) -> dict[str, int]:
            found = {
                group.name: max(floor_of(group), int((read[group.name] > threshold).sum()))
                for group in channels.prunable
            }
            return self._up_to_edges(channels, found)

        thresholds = np.unique(np.concatenate([[0.0], *read.values()]))
        low, high = 0, len(thresholds) - 1
        while low < high:
            middle = (low + high) // 2
            if self.predict_ms(widths_at(float(thresholds[middle]))) <= limit_ms:
                high = middle
            else:
                low = middle + 1
        return widths_at(float(thresholds[high]))

    def _up_to_edges(self, channels: ChannelMap, widths: Mapping[str, int]) -> dict[str, int]:
        edges = to_stair_edges(self.goal.target.predictor, dict(widths))
        return {name: min(edges[name], channels.widths[name]) for name in widths}

    def best_channels(self, scores: Scores, widths: Mapping[str, int]) -> Plan:
        """Keep the channels of every group that matter most; groups may have fewer than asked."""
        orders = {name: order[: widths[name]] for name, order in scores.order.items()}
        keep = {name: sorted(int(i) for i in order) for name, order in orders.items()}
        return Plan(self._teacher.model.sha256, keep)

    def predicted_widths(self, target_ms: float) -> dict[str, int]:
        """Widths of the teacher for a latency, by prediction alone.

        Returns:
            The widths that lose least; the fastest ones where none is that fast.
        """
        predictor, loss = self.goal.target.predictor, self.importance.loss
        try:
            return plan_widths(predictor, loss, target_ms)
        except TargetMissedError:
            return fastest_widths(predictor, self._teacher.channels.widths)

    def run_time(self) -> dict[str, float]:
        """I(i): what the nodes cost that each group's channels run through, in any unit."""
        return run_times(self.goal.target.spent(), self._teacher.channels)
