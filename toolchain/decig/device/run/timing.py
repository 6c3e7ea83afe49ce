"""Wall-clock timing that a noisy machine cannot fool easily: interleaved runs, medians, spread.

Candidates take turns, so that a slow minute of the machine slows them all; compare the ratios of
one call, never the milliseconds of two.
"""

import math
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from decig.errors import BadInputError

# MAD of a normal distribution times this is its standard deviation, and a median's standard
# error is sqrt(pi / 2) deviations over the root of the count.
_MAD_TO_ERROR = 1.4826 * 1.2533
_KEYS = ("median", "mad", "p90", "runs")


@dataclass(frozen=True)
class Latency:
    """How long one call takes, in microseconds, over `runs` calls.

    Attributes:
        median: the middle call.
        mad: median absolute deviation from it.
        p90: nine calls in ten were at least as fast.
        runs: number of calls timed, warm-up left out.
    """

    median: float
    mad: float
    p90: float
    runs: int

    @classmethod
    def from_samples(cls, samples_us: np.ndarray | list[float]) -> "Latency":
        """Summarise single timings, in microseconds."""
        samples = np.asarray(samples_us, np.float64)
        median = float(np.median(samples))
        mad = float(np.median(np.abs(samples - median)))
        return cls(median, mad, float(np.percentile(samples, 90)), len(samples))

    @property
    def median_ms(self) -> float:
        """The median in milliseconds."""
        return self.median / 1000.0

    @property
    def uncertainty(self) -> float:
        """Standard error of the median as a share of the median."""
        return _MAD_TO_ERROR * self.mad / (self.median * self.runs**0.5) if self.median else 0.0

    def to_dict(self) -> dict[str, float | int]:
        """Return the JSON object of the file format, tenths of a microsecond kept."""
        return {key: round(value, 1) for key, value in asdict(self).items()}

    @classmethod
    def from_dict(cls, value: Mapping[str, Any], where: str) -> "Latency":
        """Read what `to_dict` wrote; `where` names file and key in the message.

        Raises:
            BadInputError: a figure is missing, no number, or negative, or median or runs are 0.
        """
        if not isinstance(value, Mapping):
            raise BadInputError(f"{where}: not an object")
        figures = {key: non_negative(value.get(key), f"{where}.{key}") for key in _KEYS}
        if not figures["median"]:
            raise BadInputError(f"{where}.median: not above 0")
        if figures["runs"] < 1:
            raise BadInputError(f"{where}.runs: not above 0")
        return cls(figures["median"], figures["mad"], figures["p90"], int(figures["runs"]))


def non_negative(value: object, where: str) -> float:
    """Return `value` as a float; BadInputError, naming `where`, unless it is a number >= 0."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value < math.inf:
        raise BadInputError(f"{where}: not a number of at least 0")
    return float(value)


def measure_interleaved(
    calls: Mapping[str, Callable[[], object]],
    *,
    min_runs: int = 10,
    max_runs: int = 200,
    max_seconds: float = 20.0,
    firm: float = 0.01,
    warm_up: int = 2,
) -> dict[str, Latency]:
    """Time several calls in turns.

    Ends when every median is firm (its standard error at most `firm` of it), or the seconds or
    runs are used up; each call runs at least `min_runs` times whatever that takes.

    Args:
        calls: name to call.
        min_runs: fewest timed runs of each call.
        max_runs: most timed runs of each call.
        max_seconds: no new round starts after that, once `min_runs` are done.
        firm: share of the median.
        warm_up: untimed rounds first (memory arenas, caches, clocks).
    """
    for _ in range(warm_up):
        for call in calls.values():
            call()
    samples: dict[str, list[float]] = {name: [] for name in calls}
    start = time.perf_counter()
    for done in range(1, max_runs + 1):
        for name, call in calls.items():
            samples[name].append(time_once(call))
        if done < min_runs:
            continue
        found = [Latency.from_samples(values) for values in samples.values()]
        if time.perf_counter() - start > max_seconds or all(f.uncertainty <= firm for f in found):
            break
    return {name: Latency.from_samples(values) for name, values in samples.items()}


def time_once(call: Callable[[], object]) -> float:
    """Microseconds that one call takes.

    A call that has a method `time_us` runs and times itself (`decig.device.run.cuda.BoundRun`).
    """
    timed = getattr(call, "time_us", None)
    found = None if timed is None else timed()
    if found is not None:
        return float(found)
    start = time.perf_counter_ns()
    call()
    return (time.perf_counter_ns() - start) / 1000.0


def time_and_share(
    call: Callable[[], object], threads: int, *, own_thread: bool = True
) -> tuple[float, float]:
    """Microseconds that one call takes, and for which share of them it had the processor.

    Their product is the time on an idle machine, but for caches that other programs emptied.

    Args:
        call: work that keeps `threads` threads busy, waiting ones included (ONNX Runtime spins).
        threads: 1 for work on one thread alone.
        own_thread: whether that one is the calling thread.
    """
    clock = time.thread_time_ns if threads == 1 and own_thread else time.process_time_ns
    own = clock()
    wall_us = time_once(call)
    own_us = (clock() - own) / 1000.0
    return wall_us, min(1.0, own_us / (threads * wall_us))
