"""What may be asked for: latencies, speed-ups or multiply-accumulates, as functions take them."""

from collections.abc import Sequence

import numpy as np

from decig.device.plan.wanted import Kind, Wanted, in_order
from decig.errors import BadInputError

NO_DEVICE = "a target of multiply-accumulates is for no device: leave the cost table out"
Numbers = float | Sequence[float]
"""One target, or several, each of which gets a folder of its own."""


def wanted_of(
    latency_ms: Numbers | None, speedup: Numbers | None, macs: Numbers | None
) -> list[Wanted]:
    """The targets, the slowest first."""
    given: dict[Kind, Numbers | None] = {"latency": latency_ms, "speedup": speedup, "macs": macs}
    asked = {kind: numbers for kind, numbers in given.items() if numbers is not None}
    if len(asked) > 1:
        raise BadInputError(f"targets are of one kind, not {' and '.join(asked)}")
    return [
        target
        for kind, numbers in asked.items()
        for target in in_order(kind, [float(number) for number in np.atleast_1d(numbers)])
    ]
