"""The width sweep: what every node costs as the channels before and behind it shrink.

The whole graph is sliced at a few dozen designs of widths and profiled, so that fusions, reorders
and memory traffic between nodes are in the figures. The first designs draw every group's width on
its own: a node then sees pairs of input and output widths off the diagonal too, which is what tells
the cost of its inputs from that of its outputs. Further ones go where prediction is in most doubt.

The machine is not always equally fast. A slim version of the model runs in turns with every
design, and the design's times are divided by that pace. Where a provider hides its kernels, nodes
of the first designs are timed one by one and those of the others not at all.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import onnx

from decig.device.measure.nodes import NodeTimes, measure_nodes
from decig.device.run.feeds import random_feeds
from decig.device.run.providers import find
from decig.device.run.runs import QuietRun, prepare_run
from decig.device.run.session import DeviceOptions, open_session
from decig.device.run.timing import Latency

if TYPE_CHECKING:
    from decig.device.cost.predict import Predictor

Widths = dict[str, int]
Slicer = Callable[[Widths], onnx.ModelProto]

UNIFORM = (1.0, 3 / 4, 1 / 2, 3 / 8, 1 / 4, 1 / 8)
"""Shares at which all groups are cut alike; the first is the whole graph."""
PACE, PACE_ALONE = 1 / 4, 1 / 2
"""Share of the slim version that shows the machine's pace; where only wholes can be timed, one that
other programs slow by emptying caches as they slow a whole."""
FLOOR = 4
"""No group is swept or planned below this many channels."""

_BLOCK = 16  # floats in the widest vector register: the stair of most convolution kernels
_ALIGN = 4
# Of the mixed designs: shares on the block's stairs, on narrow aligned widths, on other aligned
# widths, and anywhere.
_SHARES = (0.4, 0.1, 0.15, 0.35)
_DRAWS = 64  # plans among which each further design is chosen
# How many times slower or faster than at first the machine may be before a design is measured again
# (for seconds on end, several threads may have to share a core), and how often in a sweep.
_STEADY, _REPEATS = 1.15, 40
_LIMITS: dict[str, Any] = {"min_runs": 4, "max_runs": 15, "max_seconds": 0.3, "firm": 0.005}


@dataclass(frozen=True)
class SweepPoint:
    """One design as measured.

    Attributes:
        widths: channels kept of each group.
        latency: whole runs, without what other programs took.
        nodes: microseconds of each original node; empty where only the whole was timed.
    """

    widths: Widths
    latency: Latency
    nodes: dict[str, float]


class Sweep:
    """Measures designs of widths of one model at one pace.

    Attributes:
        pace: of each measurement in order, how long the slim version took at its quickest, as a
            multiple of the first time.
    """

    def __init__(
        self,
        slicer: Slicer,
        groups: Mapping[str, int],
        original: Iterable[str],
        options: DeviceOptions,
    ) -> None:
        """Prepare.

        Args:
            slicer: gives the graph to run for a design.
            groups: channels of each group that can shrink.
            original: names of the original nodes.
            options: the device.
        """
        self._slicer, self._original, self._options = slicer, list(original), options
        opaque = find(options.provider).opaque
        design = uniform_design(groups, PACE_ALONE if opaque else PACE)
        session = open_session(slicer(design), options)
        run = prepare_run(session, random_feeds(session), options)
        self._beside = _Beside(run, options, opaque=opaque)
        slim = self.times(design, **_LIMITS)
        self._unit = self._beside.take_pace()
        # The same graph with and without the profiler: what it adds to a run.
        self._profiler_us = 0.0 if opaque else max(0.0, slim.latency.median - slim.beside_us)
        self.pace: list[float] = []
        self._repeats = _REPEATS

    @property
    def unsteadiness(self) -> float:
        """How far nine in ten paces lay from the median one, at most, as a share of it."""
        middle = float(np.median(self.pace))
        return float(np.quantile(np.abs(np.array(self.pace) / middle - 1.0), 0.9))

    def measure(self, widths: Widths, *, alone: bool = True) -> SweepPoint:
        """Slice and profile one design.

        Args:
            widths: of the design.
            alone: where the provider hides its kernels, whether to time the nodes one by one.

        Raises:
            BadInputError, DecigError: as `decig.device.run.session.open_session`.
        """
        while True:
            times = self.times(widths, alone=alone, **_LIMITS)
            pace = self._pace()
            if 1 / _STEADY <= pace <= _STEADY or not self._repeats:
                break
            self._repeats -= 1
        return self._point(widths, times, pace, self._profiler_us)

    def measure_whole(self, widths: Widths, **limits: Any) -> tuple[SweepPoint, NodeTimes]:
        """Profile a design and time it without the profiler; also return what was found."""
        times = self.times(widths, unprofiled=True, **limits)
        return self._point(widths, times, self._pace(), 0.0), times

    def times(self, widths: Widths, **limits: Any) -> NodeTimes:
        """Profile one design; `limits` as of `decig.device.measure.nodes.measure_nodes`."""
        return measure_nodes(
            self._slicer(widths), self._original, self._options, beside=self._beside, **limits
        )

    def _pace(self) -> float:
        """Time of the slim version beside the last design, as a multiple of the first one."""
        return self._beside.take_pace() / self._unit

    def _point(
        self, widths: Widths, times: NodeTimes, pace: float, profiler_us: float
    ) -> SweepPoint:
        """Bring times to the pace of the first ones."""
        self.pace.append(pace)
        found = times.latency
        without = max(0.5, 1.0 - profiler_us / found.median)  # half: of a tiny and noisy run
        latency = Latency(
            found.median * without / pace, found.mad / pace, found.p90 * without / pace, found.runs
        )
        # Layers timed alone were so at another time, some for another model.
        nodes = {name: us / (1.0 if times.alone else pace) for name, us in times.nodes.items()}
        return SweepPoint(widths, latency, nodes)


class _Beside(QuietRun):
    """Runs of the slim version that show the machine's pace."""

    def __init__(self, run: Callable[[], object], options: DeviceOptions, *, opaque: bool) -> None:
        super().__init__(run, options)
        self._opaque = opaque
        self._seen: list[float] = []

    def time_us(self) -> float:
        """Run and return the microseconds.

        Beside profiled runs it is the second of two, so that it does not matter whose data fills
        the caches; beside wholes it must be slowed as they are.
        """
        if not self._opaque:
            self()
        self._seen.append(super().time_us())
        return self._seen[-1]

    def take_pace(self) -> float:
        """Time of a run since the last call.

        The quickest: threads that got in each other's way show no pace. Beside wholes the middle
        one, as theirs is: what other programs do to caches slows all runs for seconds.
        """
        pace = float(np.median(self._seen) if self._opaque else min(self._seen))
        self._seen = []
        return pace


def uniform_design(groups: Mapping[str, int], share: float) -> Widths:
    """All groups cut alike."""
    return {name: max(min(FLOOR, full), round(full * share)) for name, full in groups.items()}


def first_designs(groups: Mapping[str, int], count: int, seed: int = 0) -> list[Widths]:
    """Widths to measure before anything is known: uniform ones, then a random Latin design.

    Args:
        groups: channels of each group that can shrink.
        count: number of designs.
        seed: the same seed gives the same designs.
    """
    generator = np.random.default_rng(seed)
    uniform = [uniform_design(groups, share) for share in UNIFORM[:count]]
    mixed = count - len(uniform)
    columns = {name: _latin_column(full, mixed, generator) for name, full in groups.items()}
    return uniform + [{name: int(columns[name][i]) for name in groups} for i in range(mixed)]


def next_designs(
    predictor: "Predictor", count: int, generator: np.random.Generator
) -> tuple[list[Widths], float]:
    """Widths whose latency is in most doubt: in turns of those that a planner may choose, and any.

    Taking the cheapest widths by a surface takes those where it errs to the low side; measuring
    some of them is what finds such errors.

    Args:
        predictor: from what was measured so far.
        count: number of designs.
        generator: of the plans among which is chosen.

    Returns:
        The designs, and the median doubt of all plans drawn (`Predictor.doubt`).
    """
    batches = [
        np.array([_random_plan(predictor, generator, stairs=index % 2 == 0) for _ in range(_DRAWS)])
        for index in range(count)
    ]
    doubts = [predictor.doubt(batch) for batch in batches]
    chosen = [batch[np.argmax(doubt)] for batch, doubt in zip(batches, doubts, strict=True)]
    designs = [dict(zip(predictor.groups, map(int, row), strict=True)) for row in chosen]
    return designs, float(np.median(doubts))


def _random_plan(
    predictor: "Predictor", generator: np.random.Generator, *, stairs: bool
) -> list[int]:
    """A share for the whole plan, and half to one and a half of it for each group."""
    overall = np.exp(generator.uniform(np.log(min(UNIFORM)), 0.0))
    row = []
    for name, full in predictor.groups.items():
        wanted = full * min(overall * generator.uniform(0.5, 1.5), 1.0)
        widths = np.array(predictor.candidates[name])
        near = int(widths[np.argmin(abs(widths - wanted))])
        row.append(near if stairs else max(min(FLOOR, full), round(wanted)))
    return row


def _latin_column(full: int, count: int, generator: np.random.Generator) -> np.ndarray:
    """`count` widths of one group in random order, each kind of width in its share."""
    floor = min(FLOOR, full)
    stairs = np.arange(_BLOCK, full + 1, _BLOCK)
    narrow = np.arange(_ALIGN, min(full + 1, _BLOCK), _ALIGN)
    aligned = np.arange(_ALIGN, full + 1, _ALIGN)
    everything = np.arange(floor, full + 1)
    drawn: list[np.ndarray] = []
    bounds = np.round(np.cumsum(_SHARES) * count).astype(int)
    for choices, size in zip(
        (stairs, narrow, aligned, everything), np.diff(bounds, prepend=0), strict=True
    ):
        drawn.append(_spread(choices if len(choices) else everything, int(size), generator))
    return generator.permutation(np.concatenate(drawn))


def _spread(choices: np.ndarray, size: int, generator: np.random.Generator) -> np.ndarray:
    """`size` of `choices`, each as often as the others but for one."""
    rounds = [generator.permutation(choices) for _ in range(-(-size // len(choices)))]
    return np.concatenate([*rounds, choices[:0]])[:size]
