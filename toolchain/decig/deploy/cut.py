"""`decig slice`: a smaller graph without training, and what was cut."""

import contextlib
import logging
import math
import os
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import onnx

from decig.data.feeds import Feeds
from decig.data.inputs import seeded_feeds
from decig.deploy.verify import difference_elsewhere, graph_difference, require_same
from decig.errors import BadInputError
from decig.graph.channels import ChannelMap, analyse
from decig.graph.cost import Cost, count
from decig.graph.model import (
    input_info,
    load_model,
    save_model,
)
from decig.graph.oracle import masked_graph
from decig.graph.plan import FLOOR, Plan, floor_of, plan_from_widths, uniform_widths
from decig.graph.scoring import magnitude_loss, magnitude_scores
from decig.graph.slicing import slice_graph
from decig.graph.widen import narrow, widen
from decig.progress import Progress
from decig.source.resolve import Source
from decig.source.stamp import stamp

if TYPE_CHECKING:
    from decig.device.plan.target import Target
    from decig.repair.scores import Importance

log = logging.getLogger(__name__)

_CORES = os.cpu_count() or 1

_NAMED = 3
_QUANTISED = ("ConvInteger", "DequantizeLinear", "DynamicQuantize", "MatMulInteger", "QLinear")

REPAIR_IMAGES = 24
"""Enough for the closed-form repair: more images change its result little."""


@dataclass(frozen=True)
class Cut:
    """What `cut` made.

    Attributes:
        proto: the sliced graph, repaired if images were given.
        plan: the kept channels.
        removed: channels taken from each group that lost any.
        before: cost of the original graph.
        after: cost of the sliced graph.
        predicted_ms: latency that the cost table gives, None without one.
        measured_ms: latency on the device, None where it was not asked for or is not at hand.
        max_abs_diff: difference to the oracle as a share of the output range, None if not asked.
        notices: what may surprise whoever asked: nothing to remove, groups at their floor.
    """

    proto: onnx.ModelProto
    plan: Plan
    removed: dict[str, int]
    before: Cost
    after: Cost
    predicted_ms: float | None
    measured_ms: float | None
    max_abs_diff: float | None
    notices: list[str]

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
        if self.max_abs_diff is not None:
            found["max_abs_diff"] = self.max_abs_diff
        return found

    def save(self, path: Path, source: Source) -> None:
        """Write the graph with its source, plan and pixel format stamped in.

        Axes that are dynamic in the source are so in the file.
        """
        opened = source.model.reopen(self.proto)
        stamp(opened, source.entries() | {"plan": self.plan.to_dict()})
        save_model(opened, path)


class Cutter:
    """Slices one model; what several steps need is worked out once."""

    def __init__(
        self,
        source: Source,
        target: "Target | None" = None,
        images: Path | None = None,
        *,
        drawn: bool = False,
        progress: Progress = lambda step, share, figures: None,
    ) -> None:
        """Prepare.

        Args:
            source: the model to slice.
            target: the model on the device of its cost table, to predict latency and to plan for
                one.
            images: a folder; turns on scores by activation and the closed-form repair.
            drawn: turns on both for a model that takes no image, by what is drawn to feed it.
            progress: told the step that runs, how far it is from 0 to 1, and its latest figures.

        Raises:
            BadInputError: the table is of another graph or of other groups, the images cannot
                feed the model, or its pixel format is not known.
        """
        self.channels: ChannelMap = analyse(source.model.proto)
        if target is not None:
            target.table.require_same_model(source.model, self.channels)
        self.model, self.target, self._progress = source.model, target, progress
        wanted = drawn or images is not None
        self.pictures = source.pictures(images, limit=REPAIR_IMAGES) if wanted else None
        self.pixels = source.pixels
        self._notices: list[str] = []
        self._measured_ms: float | None = None

    def keep(self, ratio: float) -> Plan:
        """Plan to keep this share of every prunable group, the best-scored channels.

        A group is not cut below `decig.graph.plan.FLOOR` channels.
        """
        at_floor = [
            group.name
            for group in self.channels.prunable
            if math.ceil(group.channels * ratio - 1e-9) < floor_of(group)
        ]
        why = f"no share of the channels leaves a group fewer than {FLOOR} (a plan can)"
        self._notices = [f"{_few(at_floor)}: {why}"] if at_floor else []
        self._measured_ms = None
        return self.best(uniform_widths(self.channels, ratio))

    def load(self, path: Path) -> Plan:
        """Read a plan; BadInputError if it is not for this model."""
        self._notices, self._measured_ms = [], None
        plan = Plan.load(path)
        try:
            plan.require_fits(self.channels, self.model.sha256)
        except BadInputError as error:
            raise BadInputError(f"{path}: {error}") from error
        return plan

    def reach(self, target_ms: float) -> Plan:
        """Plan for a latency in milliseconds; TargetMissedError names the fastest there is."""
        if self.target is None:
            raise BadInputError("a latency is only known with --profile TABLE.json")

        def sliced(widths: Mapping[str, int]) -> onnx.ModelProto:
            return slice_graph(self.model.proto, self.channels, self.best(widths))

        tell = partial(self._progress, "plan", 1.0)
        met = self.target.plan(self.loss, target_ms, sliced, tell=tell)
        self._notices, self._measured_ms = [], met.measured_ms
        return self.best(met.widths)

    @property
    def loss(self) -> dict[str, np.ndarray]:
        """What is lost, by group, if the k best channels are kept, for k = 0 to all."""
        return self._importance.loss if self.pictures else magnitude_loss(self._magnitudes)

    def cut(self, plan: Plan, *, verify: bool) -> Cut:
        """Slice, compare with the oracle if asked, and repair if there are images.

        Args:
            plan: what stays.
            verify: whether to compare.

        Raises:
            DecigError: the sliced graph does not compute what the masked original does.
        """
        proto = self.model.proto
        sliced = slice_graph(proto, self.channels, plan)
        full = self.channels.widths
        removed = {
            name: full[name] - len(kept)
            for name, kept in plan.keep.items()
            if len(kept) < full[name]
        }
        notices = [*self._notices, *self._remarks(removed)]
        for notice in notices:
            log.warning("%s: %s", self.model.path, notice)
        difference = self._difference(plan, sliced) if verify else None
        if removed and self.pictures:
            from decig.repair.repair import repair

            repaired = repair(
                self._wide,
                self.channels,
                plan,
                self._feeds,
                threads=_CORES,
                progress=lambda share: self._progress("repair", share, {}),
            )
            sliced = narrow(repaired, sliced)
        predicted = None
        if self.target is not None:
            widths = full | {name: len(kept) for name, kept in plan.keep.items()}
            predicted = self.target.predictor.predict_ms(widths)
        before, after = count(proto), count(sliced)
        measured = self._measured_ms
        return Cut(sliced, plan, removed, before, after, predicted, measured, difference, notices)

    def _remarks(self, removed: dict[str, int]) -> list[str]:
        """Say what about a cut may surprise."""
        remarks = []
        if not removed:
            why = "" if self.channels.prunable else f": {self._obstacle()}"
            remarks.append(f"nothing to remove; the output is the model as it is{why}")
        rough = [name for name in removed if not self.channels.group(name).exact]
        if rough:
            remarks.append(f"{_few(rough)}: the norm of what is left changes with what is removed")
        return remarks

    def _obstacle(self) -> str:
        """Why no group can be cut, by the commonest reason that is not the picture itself."""
        if any(node.op_type.startswith(_QUANTISED) for node in self.model.proto.graph.node):
            return "its weights are quantised; slice the float model, then quantise the result"
        reasons = Counter(group.reason for group in self.channels.groups)
        inner = [r for r, _ in reasons.most_common() if not r.startswith(("graph output", "a sin"))]
        return next(iter([*inner, *reasons]), "it has no weights that make channels")

    def best(self, widths: Mapping[str, int]) -> Plan:
        """Plan that keeps the best-scored channels at these widths."""
        scores = self._magnitudes
        if self.pictures:
            # Ranks become scores: the first in order is worth most.
            scores = {
                name: -np.argsort(order).astype(float)
                for name, order in self._importance.order.items()
            }
        return plan_from_widths(self.channels, widths, scores, self.model.sha256)

    @cached_property
    def _magnitudes(self) -> dict[str, np.ndarray]:
        return magnitude_scores(self.model.proto, self.channels)

    @cached_property
    def _importance(self) -> "Importance":
        from decig.repair.scores import Importance

        self._progress("score channels", 0.0, {})
        return Importance(self._wide, self.channels, self._feeds, threads=_CORES)

    @cached_property
    def _wide(self) -> onnx.ModelProto:
        """The model in float32, in which it is run, whatever its own type."""
        return widen(self.model.proto)

    @cached_property
    def _feeds(self) -> list[Feeds]:
        """What the oracle runs on: the images of the repair, else noise."""
        if self.pictures is None:
            return seeded_feeds(self._wide, self.pixels)
        feeds = (picture.feeds for picture in self.pictures)
        types = {info.name: info.dtype for info in input_info(self._wide)}
        return [{n: array.astype(types[n]) for n, array in each.items()} for each in feeds]

    def _difference(self, plan: Plan, sliced: onnx.ModelProto) -> float:
        """Compare with the oracle; DecigError where they differ."""
        masked = masked_graph(self._wide, self.channels, plan)
        wide = widen(sliced)
        difference = max(
            graph_difference(masked, wide, self._feeds),
            difference_elsewhere(
                self.model, self._masked_elsewhere(plan), self.model.reopen(wide), self.pixels
            ),
        )
        require_same(difference, f"{self.model.path}: sliced graph and masked original")
        return difference

    def _masked_elsewhere(self, plan: Plan) -> onnx.ModelProto:
        """Return the oracle made at the other sizes: no part of it went through `reopen`.

        Where the file cannot be read at those sizes, the oracle of this size, reopened.
        """
        if self.model.axes is not None and self.model.path.suffix == ".onnx":
            with contextlib.suppress(BadInputError):
                there = load_model(self.model.path, self.model.axes.other_sizes()).proto
                return masked_graph(widen(there), analyse(there), plan)
        return self.model.reopen(masked_graph(self._wide, self.channels, plan))


def _few(names: list[str]) -> str:
    """Name a few of the groups."""
    shown = ", ".join(names[:_NAMED])
    return shown if len(names) <= _NAMED else f"{shown} and {len(names) - _NAMED} more"
