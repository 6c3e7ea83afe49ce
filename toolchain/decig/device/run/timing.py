"""Timing that a noisy machine cannot fool easily: runs in turns, medians, and their spread.

Candidates take turns, so that a slow minute of the machine slows them all. Compare the ratios of
one measurement, never the milliseconds of two.
"""

import math
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, replace

import numpy as np

from decig.schema import AtLeastOne, NotNegative, Positive

Call = Callable[[], object]
"""Something to run and time. One with a method `time_us` runs and times itself."""

OVER = 1.01
"""Measured latency, as a share of its target, up to which the target is met: the rest is noise."""

# The median absolute deviation of a normal distribution times 1.4826 is its standard deviation;
# the standard error of a median is sqrt(pi / 2) = 1.2533 deviations over the root of the count.
_DEVIATION_TO_ERROR = 1.4826 * 1.2533


@dataclass(frozen=True)
class Timing:
    """How long calls are timed.

    Timing ends when every median is firm, or the seconds or the runs are used up.

    Attributes:
        min_runs: fewest timed runs of each call, whatever they take.
        max_runs: most timed runs of each call.
        max_seconds: no further round starts after so many seconds, once `min_runs` are done.
        firm: standard error of a median, as a share of the median, at which it counts as firm.
        warm_up: rounds before that are not timed: memory, caches and clocks settle.
    """

    min_runs: int = 10
    max_runs: int = 200
    max_seconds: float = 20.0
    firm: float = 0.01
    warm_up: int = 2


@dataclass(frozen=True)
class Latency:
    """How long one call takes, in microseconds.

    Attributes:
        median: time of the middle call.
        mad: median absolute deviation from the median.
        p90: nine of ten calls were at least as fast.
        runs: number of timed calls, without those of the warm-up.
    """

    median: Positive
    mad: NotNegative
    p90: NotNegative
    runs: AtLeastOne

    @classmethod
    def from_samples(cls, samples_us: np.ndarray | list[float]) -> "Latency":
        """Summarise single timings, in microseconds, [runs]."""
        samples = np.asarray(samples_us, np.float64)
        median = float(np.median(samples))
        mad = float(np.median(np.abs(samples - median)))
        return cls(median, mad, float(np.percentile(samples, 90)), len(samples))

    def scaled(self, share: float) -> "Latency":
        """The same calls at another pace: every time of them times a share."""
        return replace(self, median=share * self.median, mad=share * self.mad, p90=share * self.p90)

    @property
    def median_ms(self) -> float:
        """The median in milliseconds."""
        return self.median / 1000.0

    @property
    def uncertainty(self) -> float:
        """Standard error of the median as a share of the median."""
        if not self.median:
            return 0.0
        return _DEVIATION_TO_ERROR * self.mad / (self.median * math.sqrt(self.runs))

    def to_dict(self) -> dict[str, float | int]:
        """Return the JSON object of the file formats, rounded to tenths of a microsecond."""
        return {key: round(value, 1) for key, value in asdict(self).items()}


def measure_interleaved(
    calls: Mapping[str, Call], timing: Timing | None = None
) -> dict[str, Latency]:
    """Time several calls in turns.

    Args:
        calls: the calls by name.
        timing: how long; the defaults of `Timing` where None.

    Returns:
        The latency of each call by name.
    """
    timing = timing or Timing()
    for _ in range(timing.warm_up):
        for call in calls.values():
            call()
    samples: dict[str, list[float]] = {name: [] for name in calls}
    start = time.perf_counter()
    for done in range(1, timing.max_runs + 1):
        for name, call in calls.items():
            samples[name].append(time_once(call))
        if done < timing.min_runs:
            continue
        found = [Latency.from_samples(values) for values in samples.values()]
        firm = all(each.uncertainty <= timing.firm for each in found)
        if firm or time.perf_counter() - start > timing.max_seconds:
            break
    return {name: Latency.from_samples(values) for name, values in samples.items()}


def time_once(call: Call) -> float:
    """Microseconds that one call takes, by its own clock if it has a method `time_us`.

    `decig.device.run.cuda.BoundRun` has one, which is None where the GPU's clock cannot be read.
    """
    timed = getattr(call, "time_us", None)
    found = None if timed is None else timed()
    if found is not None:
        return float(found)
    start = time.perf_counter_ns()
    call()
    return (time.perf_counter_ns() - start) / 1000.0


def time_with_processor_share(
    call: Call, threads: int, *, own_thread: bool = True
) -> tuple[float, float]:
    """Microseconds that one call takes, and for which share of them it had the processor.

    Their product is the time on an idle machine, except that other programs also empty caches.

    Args:
        call: work that keeps `threads` threads busy; waiting threads count as busy, because those
            of ONNX Runtime spin.
        threads: number of threads.
        own_thread: whether the one thread, where there is one, is the calling thread.
    """
    clock = time.thread_time_ns if threads == 1 and own_thread else time.process_time_ns
    own = clock()
    wall_us = time_once(call)
    own_us = (clock() - own) / 1000.0
    return wall_us, min(1.0, own_us / (threads * wall_us))


def missed(measured_ms: float, target_ms: float | None) -> bool:
    """Whether a measured latency is over its target by more than noise."""
    return target_ms is not None and measured_ms > target_ms * OVER
