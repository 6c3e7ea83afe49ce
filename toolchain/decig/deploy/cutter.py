"""`decig slice`: plans for one model, and slices, verifies and repairs it without training."""

import contextlib
import logging
from collections import Counter
from collections.abc import Mapping
from dataclasses import replace
from functools import cached_property, partial
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import onnx

from decig.data.feeds import Feeds
from decig.deploy.cut import Cut, Proposal
from decig.deploy.verify import (
    difference_elsewhere,
    graph_difference,
    noise_feeds,
    require_same,
)
from decig.deploy.widths import few, odd_widths, share_widths
from decig.errors import BadInputError
from decig.graph.channels import ChannelMap, analyse
from decig.graph.cost import count
from decig.graph.draws import Draws, draws, kept_draws, pin
from decig.graph.model import input_info, load_model
from decig.graph.operators import Kind, find
from decig.graph.oracle import masked_graph
from decig.graph.plan import Plan, plan_from_widths
from decig.graph.scoring import magnitude_loss, magnitude_scores
from decig.graph.size_inputs import analysed_values
from decig.graph.slicing import slice_graph
from decig.graph.widen import narrow, widen
from decig.progress import Progress
from decig.source.plausible import require_plausible_model
from decig.source.source import Source

if TYPE_CHECKING:
    from decig.device.plan.target import Target
    from decig.repair.scores import Importance

log = logging.getLogger(__name__)

REPAIR_IMAGES = 24
"""Enough for the closed-form repair: more images change its result little."""


class Cutter:
    """Plans for one model and slices it; what several steps need is computed once.

    A plan comes as a `Proposal` from `keep`, `load` or `reach`, and goes into `cut`.

    Attributes:
        model: the model to slice.
        channels: its channel groups.
        target: the model on the device of its cost table; None without one.
        pictures: the images by which channels are scored and weights are repaired; None where
            neither was asked for.
        pixels: the model's pixel format; None where it is not known.
    """

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
            target: the model on the device of its cost table, which predicts its latency.
            images: a folder of images; channels are scored by their activations on these, and
                the weights that are left are repaired in closed form.
            drawn: score and repair on random draws, for a model that takes no image.
            progress: told the step that runs, how far it is from 0 to 1, and its latest figures.

        Raises:
            BadInputError: the table is of another graph or of other groups, the images cannot
                feed the model, or its pixel format is not known. Whatever looks at images raises it
                where the model's pictures show that a range is stated wrongly.
        """
        self.channels: ChannelMap = analyse(source.model.proto)
        if target is not None:
            target.table.require_same_model(source.model, self.channels)
            _ = target.predictor  # a table that predicts nothing is refused before scoring
        self.model, self.target, self._progress = source.model, target, progress
        wanted = drawn or images is not None
        self.pictures = source.pictures(images, limit=REPAIR_IMAGES) if wanted else None
        self.pixels = source.pixels
        # Asked before anything is scored: several outputs could be the picture.
        self._picture = source.picture().name if wanted and source.paints else None
        self._source = source

    def keep(self, ratio: float, align: int | None = None) -> Proposal:
        """Plan to keep at least this share of every prunable group, the best-scored channels.

        Widths go up as `decig.deploy.widths.share_widths` says. No group is cut below
        `decig.graph.plan.FLOOR` channels.
        """
        predictor = None if self.target is None else self.target.predictor
        widths, notices = share_widths(self.channels, ratio, align, predictor)
        return replace(self.propose(self.best(widths)), notices=notices)

    def load(self, path: Path) -> Proposal:
        """Read a plan; BadInputError if it is not for this model."""
        plan = Plan.load(path)
        try:
            plan.require_fits(self.channels, self.model.sha256)
        except BadInputError as error:
            raise BadInputError(f"{path}: {error}") from error
        widths = {g.name: len(plan.keep.get(g.name, g.classes)) for g in self.channels.prunable}
        predictor = None if self.target is None else self.target.predictor
        notices = odd_widths(self.channels, widths, predictor)
        return replace(self.propose(plan), notices=notices)

    def reach(self, target_ms: float) -> Proposal:
        """Plan for a latency in milliseconds.

        Raises:
            BadInputError: there is no cost table.
            TargetMissedError: no plan is that fast; the message names the fastest there is.
        """
        if self.target is None:
            raise BadInputError("a latency is only known with --profile TABLE.json")
        self.target.require_reachable(target_ms)

        def sliced(widths: Mapping[str, int]) -> onnx.ModelProto:
            return slice_graph(self.model.proto, self.channels, self.best(widths))

        tell = partial(self._progress, "plan", 1.0)
        met = self.target.plan(self.loss, target_ms, sliced, tell=tell)
        return replace(self.propose(self.best(met.widths)), measured_ms=met.measured_ms)

    def propose(self, plan: Plan) -> Proposal:
        """Add to a plan for this model the latency that its cost table predicts."""
        if self.target is None:
            return Proposal(plan)
        kept = {name: len(indices) for name, indices in plan.keep.items()}
        return Proposal(plan, self.target.predictor.predict_ms(self.channels.widths | kept))

    @property
    def loss(self) -> dict[str, np.ndarray]:
        """By group, what is lost if its k best channels are kept, for k = 0 to all."""
        return self._importance.loss if self.pictures else magnitude_loss(self._magnitudes)

    def cut(self, proposal: Proposal, *, verify: bool) -> Cut:
        """Slice, compare with the oracle if asked, and repair if there are images.

        Args:
            proposal: the channels to keep, and what is known of them.
            verify: whether to compare with the oracle.

        Raises:
            DecigError: the sliced graph does not compute what the masked original does.
        """
        proto, plan = self.model.proto, proposal.plan
        sliced = slice_graph(proto, self.channels, plan)
        full = self.channels.widths
        removed = {
            name: full[name] - len(kept)
            for name, kept in plan.keep.items()
            if len(kept) < full[name]
        }
        notices = [*proposal.notices, *self._remarks(removed)]
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
                progress=lambda share: self._progress("repair", share, {}),
            )
            sliced = narrow(repaired, sliced)
        return Cut(
            proto=sliced,
            plan=plan,
            removed=removed,
            before=count(proto),
            after=count(sliced),
            predicted_ms=proposal.predicted_ms,
            measured_ms=proposal.measured_ms,
            file_ms=None if proposal.measured_ms is None else self._file_ms(sliced),
            max_abs_diff=difference,
            notices=notices,
        )

    def _file_ms(self, sliced: onnx.ModelProto) -> float | None:
        """Latency of a sliced graph as it is written; None where this is not the device."""
        bench = None if self.target is None else self.target.bench
        if bench is None:
            return None
        return bench.file_latency(self.model.reopen(sliced), sliced).median_ms

    def _remarks(self, removed: dict[str, int]) -> list[str]:
        """Say in which ways a cut may surprise, one line each."""
        remarks = []
        if not removed:
            why = "" if self.channels.prunable else f": {self._obstacle()}"
            remarks.append(f"nothing to remove; the output is the model as it is{why}")
        rough = [name for name in removed if not self.channels.group(name).exact]
        if rough:
            remarks.append(f"{few(rough)}: the norm of what is left changes with what is removed")
        return remarks

    def _obstacle(self) -> str:
        """Why no group can be cut, by the commonest reason that is not the picture itself."""
        if any(find(node).kind is Kind.QUANTISED for node in self.model.proto.graph.node):
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
        return Importance(self._wide, self.channels, self._feeds, self._picture)

    @cached_property
    def _wide(self) -> onnx.ModelProto:
        """The model in float32, in which it is run here whatever its own type is."""
        return widen(self.model.proto)

    @cached_property
    def _feeds(self) -> list[Feeds]:
        """What the oracle is compared on: the images of the repair, or noise without them."""
        if self.pictures is None:
            return noise_feeds(self._wide, self.pixels)
        read = (picture.feeds for picture in self.pictures)
        types = {info.name: info.dtype for info in input_info(self._wide)}
        feeds = [{n: array.astype(types[n]) for n, array in each.items()} for each in read]
        if self._picture is not None:
            require_plausible_model(self._source, self._wide, feeds)
        return feeds

    def _difference(self, plan: Plan, sliced: onnx.ModelProto) -> float:
        """Compare with the oracle; DecigError where they differ."""
        masked = masked_graph(self._wide, self.channels, plan)
        elsewhere = self._masked_elsewhere(plan)
        wide = widen(sliced)
        here, there = draws(masked), draws(elsewhere)
        difference = max(
            graph_difference(
                pin(masked, here), pin(wide, self._kept_draws(here, plan)), self._feeds
            ),
            difference_elsewhere(
                self.model,
                pin(elsewhere, there),
                pin(self.model.reopen(wide), self._kept_draws(there, plan)),
                self.pixels,
            ),
        )
        require_same(difference, f"{self.model.path}: sliced graph and masked original")
        return difference

    def _kept_draws(self, given: Draws, plan: Plan) -> Draws:
        return kept_draws(self.model.proto, self.channels, plan.keep, given)

    def _masked_elsewhere(self, plan: Plan) -> onnx.ModelProto:
        """Return the oracle at the other sizes, made without `Model.reopen` where possible.

        Where the file cannot be read at those sizes, it is the oracle of this size, reopened.
        """
        if self.model.axes is not None and self.model.path.suffix == ".onnx":
            with contextlib.suppress(BadInputError):
                sizes, values = self.model.axes.other_sizes(), analysed_values(self.model.proto)
                there = load_model(self.model.path, sizes, values).proto
                return masked_graph(widen(there), analyse(there), plan)
        return self.model.reopen(masked_graph(self._wide, self.channels, plan))
