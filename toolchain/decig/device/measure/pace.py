"""The latency of a slim graph at the pace at which a cost table was taken.

A machine is not always equally fast: for seconds on end, threads of a virtual machine may have to
share a core. A slim graph then loses another share of its speed than the whole graph, so the ratio
of the two does not carry over. So the whole graph runs before and after each run of the slim one,
and only those rounds count in which it took most nearly what the table says.
"""

import time
from collections.abc import Callable

import numpy as np

from decig.device.run.timing import Call, Latency, Timing, time_once

_KEPT = 0.5
"""Share of the rounds that count: those nearest to the table's pace."""
_OFF = 1.2
"""How many times slower or faster than the table's a pace is another pace altogether: then the
table's pace is waited for."""
ROUNDS = Timing(min_runs=10, max_runs=1_000_000, max_seconds=6.0)
"""How long rounds of a slim and a whole graph are timed where nothing else is asked."""
PATIENCE_SECONDS = 20.0
"""How long the table's pace is waited for where nothing else is asked."""


def latency_at_pace(
    slim: Call,
    whole: Call,
    whole_us: float,
    timing: Timing = ROUNDS,
    *,
    patience_seconds: float = PATIENCE_SECONDS,
    off_pace: Callable[[float], None] = lambda times: None,
) -> Latency:
    """Time a slim graph between runs of the whole graph.

    Args:
        slim: runs the slim graph; see `decig.device.run.timing.time_once`.
        whole: runs the whole graph.
        whole_us: microseconds of the whole graph by the table.
        timing: how long; a run is a round of both graphs.
        patience_seconds: while the machine is at another pace than the table's, timing goes on for
            so long, however firm the median is.
        off_pace: told how many times slower or faster than the table's the pace was, where it was
            another pace to the end: the result is an estimate then.

    Returns:
        The latency of the slim graph, each run divided by the pace of the moment.
    """
    for call in (slim, whole, slim):
        call()
    paces, spent = [time_once(whole) / whole_us], list[float]()
    start = time.perf_counter()
    while True:
        spent.append(time_once(slim))
        paces.append(time_once(whole) / whole_us)
        if len(spent) < timing.min_runs:
            continue
        found, off = _nearest(np.array(spent), np.array(paces))
        seconds = time.perf_counter() - start
        if off > _OFF and seconds < patience_seconds:
            continue
        done = seconds >= timing.max_seconds or len(spent) >= timing.max_runs
        if done or found.uncertainty <= timing.firm:
            if off > _OFF:
                off_pace(off)
            return found


def _nearest(spent_us: np.ndarray, paces: np.ndarray) -> tuple[Latency, float]:
    """Latency at the table's pace, and how many times off that pace the counted rounds were.

    Args:
        spent_us: microseconds of the slim graph's runs, [rounds].
        paces: times of the whole graph before and after them, as multiples of the table's,
            [rounds + 1].
    """
    logs = np.log(paces)
    off = np.maximum(abs(logs[:-1]), abs(logs[1:]))
    kept = np.argsort(off, kind="stable")[: max(1, round(len(off) * _KEPT))]
    pace = np.exp((logs[:-1] + logs[1:]) / 2)
    return Latency.from_samples((spent_us / pace)[kept]), float(np.exp(np.median(off[kept])))
