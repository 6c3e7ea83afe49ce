"""Generators that become narrower while they are trained for the first time, and how they do.

`decig.training.originals.from_scratch` trains them. A `Way` says how their channels are taken away;
a method that has one can train from scratch (`decig.training.methods.FromScratch`).
"""

import logging
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Protocol

from torch import nn

from decig.device.plan.compute import MacsTarget
from decig.device.plan.target import Target
from decig.errors import BadInputError
from decig.graph.channels import ChannelMap
from decig.graph.model import Model
from decig.training.loop.processes import Processes
from decig.training.loop.schedule import Schedule
from decig.training.narrowing.cut import Cut
from decig.training.narrowing.steering import UNASKED, Narrowing, Steered

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Fresh:
    """A generator with fresh weights, as a module and as a graph.

    Attributes:
        name: of the net.
        net: the task's own module, on the device that trains it.
        exported: the module of the same structure, with plain weights, that was written as graph.
        model: the graph.
        channels: its channel groups.
        target: the graph on the device of a cost table, or for no device.
        target_ms: latency there, or millions of multiply-accumulates; None where none is asked for.
        schedule: of the learning rate in stage I.
        seed: of every random choice.
    """

    name: str
    net: nn.Module
    exported: nn.Module
    model: Model
    channels: ChannelMap
    target: Target | MacsTarget
    target_ms: float | None
    schedule: Schedule
    seed: int

    def steered(self, narrowing: Narrowing, schedule: Schedule) -> Steered:
        """Take channels away in stage I until the target is met, or until hinges can be seen.

        Args:
            narrowing: takes the steps.
            schedule: that the rate of the steps follows.
        """
        predictor = self.target.predictor
        begin = predictor.baseline_ms
        end = self.target_ms or begin / UNASKED
        end = min(begin, end)
        return Steered(narrowing, schedule, predictor.predict_ms, begin, end, Processes())

    def require_some(self, groups: Iterable[str]) -> None:
        """Refuse a net none of whose groups is among those given, and name those that are not."""
        names = [group.name for group in self.channels.prunable]
        left = [name for name in names if name not in set(groups)]
        if left == names:
            raise BadInputError(
                f"{self.model.path}: no group of its channels is read by weights of its own alone, "
                "so none can be condensed in training; train the whole generator, then use decig "
                "compress"
            )
        if left:
            _log.warning(
                "%s: not condensed in training, but cut: %s", self.model.path, ", ".join(left)
            )


class Narrower(Protocol):
    """Takes the channels of one generator away in stage I, and cuts it."""

    @property
    def net(self) -> nn.Module:
        """What stage I trains in the generator's place; it is written as it is exported."""
        ...

    @property
    def part(self) -> Steered:
        """Takes part in stage I."""
        ...

    def settle(self, mean: nn.Module) -> None:
        """Prepare the running mean of `net`, at the end of stage I, for being written."""
        ...

    def cut(self, model: Model, mean: nn.Module) -> Cut:
        """Choose what stays.

        Args:
            model: what `mean` was written as.
            mean: the running mean of `net`, settled.

        Raises:
            TargetMissedError: no plan is fast enough.
        """
        ...


class Way(Protocol):
    """How a method makes generators narrower while they are trained."""

    @property
    def share(self) -> float:
        """Of the steps that stage I takes."""
        ...

    @property
    def teacher(self) -> float:
        """Weight, in stage II, of the difference to the pictures of the generator before the cut.

        At 0 there is no teacher.
        """
        ...

    def narrow(self, fresh: Fresh) -> Narrower:
        """Prepare a generator.

        Raises:
            BadInputError: it cannot become narrower in this way.
        """
        ...
