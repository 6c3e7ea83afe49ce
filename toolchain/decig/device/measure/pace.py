"""The latency of a slim graph at the pace at which a cost table was taken.

A machine is not always equally fast: for seconds on end, threads of a virtual machine may have to
share a core. A slim graph then loses another share of its speed than the whole one, so that their
ratio does not carry over. So the whole graph runs before and after each run of the slim one, and
only those rounds count in which it took most nearly what the table says.
"""

import time
from collections.abc import Callable

import numpy as np

from decig.device.run.timing import Latency, time_once

_KEPT = 0.5
"""Share of the rounds that count: those nearest to the table's pace."""
_OFF = 1.2
"""Another pace altogether: it is waited for the table's to come back."""


def latency_at_pace(
    slim: Callable[[], object],
    whole: Callable[[], object],
    whole_us: float,
    *,
    min_rounds: int = 10,
    max_seconds: float = 6.0,
    patience_seconds: float = 20.0,
    firm: float = 0.01,
) -> Latency:
    """Time a slim graph between runs of the whole one.

    Ends when the median is firm (its standard error at most `firm` of it), or the seconds are used
    up; while the machine is at another pace than the table's, not before `patience_seconds`.

    Args:
        slim: runs the slim graph; see `decig.device.run.timing.time_once`.
        whole: runs the whole graph.
        whole_us: microseconds of the whole graph by the table.
        min_rounds: fewest rounds.
        max_seconds: no new round starts after that, once `min_rounds` are done.
        patience_seconds: likewise, at another pace.
        firm: share of the median.

    Returns:
        The slim graph's latency, each run divided by the pace of the moment.
    """
    for call in (slim, whole, slim):
        call()
    paces, spent = [time_once(whole) / whole_us], list[float]()
    start = time.perf_counter()
    while True:
        spent.append(time_once(slim))
        paces.append(time_once(whole) / whole_us)
        if len(spent) < min_rounds:
            continue
        found, off = _nearest(np.array(spent), np.array(paces))
        seconds = time.perf_counter() - start
        if off > _OFF and seconds < patience_seconds:
            continue
        if found.uncertainty <= firm or seconds >= max_seconds:
            return found


def _nearest(spent_us: np.ndarray, paces: np.ndarray) -> tuple[Latency, float]:
    """Latency at the table's pace, and how many times off that pace the counted rounds were.

    Args:
        spent_us: runs of the slim graph, [rounds].
        paces: of the whole graph before and after them, as multiples of the table's, [rounds + 1].
    """
    logs = np.log(paces)
    off = np.maximum(abs(logs[:-1]), abs(logs[1:]))
    kept = np.argsort(off, kind="stable")[: max(1, round(len(off) * _KEPT))]
    pace = np.exp((logs[:-1] + logs[1:]) / 2)
    return Latency.from_samples((spent_us / pace)[kept]), float(np.exp(np.median(off[kept])))
