"""The width sweep: what every node costs as the channels before and behind it shrink.

The whole graph is sliced at a few dozen designs of widths (`decig.device.cost.designs`) and
profiled, so that fusions, reorders and memory traffic between nodes are in the figures.

The machine is not always equally fast. A slim version of the model runs in turns with every
design, and the design's times are divided by that pace. Where a provider hides its kernels, nodes
of the first designs are timed one by one, and those of the others not at all.
"""

from collections.abc import Callable, Iterable, Mapping

import numpy as np
import onnx

from decig.device.cost.designs import uniform_design
from decig.device.cost.table import SweepPoint, Widths
from decig.device.measure.nodes import NodeTimes, measure_nodes
from decig.device.run.device import Device
from decig.device.run.feeds import random_feeds
from decig.device.run.runs import UndisturbedRun
from decig.device.run.timing import Latency, Timing

Slicer = Callable[[Widths], onnx.ModelProto]
"""Makes the graph to run at given widths."""

_PACE, _PACE_ALONE = 1 / 4, 1 / 2
"""Share of the channels in the slim version that shows the machine's pace; the second one where
only whole graphs can be timed: other programs, which empty caches, must slow it as they slow a
whole graph."""
_STEADY = 1.15
"""How many times slower or faster than at first the machine may be before a design is measured
again: for seconds on end, several threads may have to share a core."""
_REPEATS = 40
"""How often designs are measured again in one sweep."""
_TIMING = Timing(min_runs=4, max_runs=15, max_seconds=0.3, firm=0.005)
"""How long one design is timed."""


class Sweep:
    """Measures designs of widths of one model at one pace.

    Attributes:
        pace: time of the slim version during each measurement, as a multiple of its first time.
    """

    def __init__(
        self,
        slicer: Slicer,
        groups: Mapping[str, int],
        original: Iterable[str],
        device: Device,
    ) -> None:
        """Prepare, and measure the slim version.

        Args:
            slicer: gives the graph to run for a design.
            groups: channels of each group that can shrink.
            original: names of the original nodes.
            device: the device.
        """
        self._slicer, self._original, self._device = slicer, list(original), device
        design = uniform_design(groups, _PACE_ALONE if device.opaque else _PACE)
        session = device.open(slicer(design))
        run = device.undisturbed(device.prepare(session, random_feeds(session)))
        self._pace_run = _PaceRun(run, opaque=device.opaque)
        slim = self.times(design, _TIMING)
        self._unit = self._pace_run.take_pace()
        # The same graph with and without the profiler: what the profiler adds to a run.
        profiler_us = slim.latency.median - slim.companion_us
        self._profiler_us = 0.0 if device.opaque else max(0.0, profiler_us)
        self.pace: list[float] = []
        self._repeats = _REPEATS

    @property
    def unsteadiness(self) -> float:
        """How far nine of ten paces were from the median one at most, as a share of it."""
        middle = float(np.median(self.pace))
        return float(np.quantile(np.abs(np.array(self.pace) / middle - 1.0), 0.9))

    def measure(self, widths: Widths, *, alone: bool = True) -> SweepPoint:
        """Slice and profile one design.

        Args:
            widths: the design.
            alone: where the provider hides its kernels, whether to time the nodes one by one.

        Raises:
            BadInputError, DecigError: as for `Device.open`.
        """
        while True:
            times = self.times(widths, _TIMING, alone=alone)
            pace = self._pace()
            if 1 / _STEADY <= pace <= _STEADY or not self._repeats:
                break
            self._repeats -= 1
        return self._point(widths, times, pace, self._profiler_us)

    def measure_whole(self, widths: Widths, timing: Timing) -> tuple[SweepPoint, NodeTimes]:
        """Profile a design and time it without the profiler; also return the times as measured."""
        times = self.times(widths, timing, unprofiled=True)
        return self._point(widths, times, self._pace(), 0.0), times

    def times(
        self, widths: Widths, timing: Timing, *, unprofiled: bool = False, alone: bool = True
    ) -> NodeTimes:
        """Profile one design; arguments as for `decig.device.measure.nodes.measure_nodes`."""
        return measure_nodes(
            self._slicer(widths),
            self._original,
            self._device,
            timing,
            unprofiled=unprofiled,
            alone=alone,
            companion=self._pace_run,
        )

    def _pace(self) -> float:
        """Time of the slim version in turns with the last design, as a multiple of the first."""
        return self._pace_run.take_pace() / self._unit

    def _point(
        self, widths: Widths, times: NodeTimes, pace: float, profiler_us: float
    ) -> SweepPoint:
        """Bring times to the pace of the first ones."""
        self.pace.append(pace)
        found = times.latency
        # No less than half: the difference means nothing for a tiny and noisy run.
        without = max(0.5, 1.0 - profiler_us / found.median)
        latency = Latency(
            found.median * without / pace, found.mad / pace, found.p90 * without / pace, found.runs
        )
        # Layers timed alone were timed at another moment, some of them for another model.
        nodes = {name: us / (1.0 if times.alone else pace) for name, us in times.nodes.items()}
        return SweepPoint(widths, latency, nodes)


class _PaceRun:
    """Runs the slim version, which shows the machine's pace."""

    def __init__(self, run: UndisturbedRun, *, opaque: bool) -> None:
        self._run, self._opaque = run, opaque
        self._seen: list[float] = []

    def __call__(self) -> object:
        """Run once."""
        return self._run()

    def time_us(self) -> float:
        """Run and return the microseconds.

        In turns with profiled runs it is the second of two runs, so that it does not matter whose
        data fills the caches; in turns with whole graphs it must be slowed as they are.
        """
        if not self._opaque:
            self()
        self._seen.append(self._run.time_us())
        return self._seen[-1]

    def take_pace(self) -> float:
        """Microseconds of a run since the last call.

        The quickest run counts: threads that got in each other's way show no pace. In turns with
        whole graphs the median counts, as it does for them: what other programs do to the caches
        slows all runs for seconds.
        """
        pace = float(np.median(self._seen) if self._opaque else min(self._seen))
        self._seen = []
        return pace
