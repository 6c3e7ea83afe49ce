"""The width sweep: what every node costs as the channels before and behind it shrink.

The whole graph is sliced at a few dozen designs of widths and profiled, so that fusions, reorders
and memory traffic between nodes are in the figures. Each design draws every group's width on its
own: a node then sees pairs of input and output widths off the diagonal too, which is what tells
the cost of its inputs from that of its outputs.
"""

import logging
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import onnx

from decig.device.measure import measure_nodes
from decig.device.session import DeviceOptions
from decig.device.timing import Latency

log = logging.getLogger(__name__)

Widths = dict[str, int]
Slicer = Callable[[Widths], onnx.ModelProto]

UNIFORM = (1.0, 3 / 4, 1 / 2, 3 / 8, 1 / 4, 1 / 8)
"""Shares at which all groups are cut alike; the first is the whole graph."""
FLOOR = 4
"""No group is swept or planned below this many channels."""

_BLOCK = 16  # floats in the widest vector register: the stair of most convolution kernels
_ALIGN = 4
# Of the mixed designs: shares on the block's stairs, on narrow aligned widths, on other aligned
# widths, and anywhere.
_SHARES = (0.45, 0.15, 0.15, 0.25)

ROUNDS = 2
"""Rounds of each design on a quiet machine."""
_MAX_ROUNDS = 5
_AGREE = 0.03
_LIMITS: dict[str, Any] = {"min_runs": 5, "max_runs": 15, "max_seconds": 0.4, "firm": 0.005}


@dataclass(frozen=True)
class SweepPoint:
    """One design as measured.

    Attributes:
        widths: channels kept of each group.
        latency: whole runs, without what other programs took.
        nodes: microseconds of each original node.
        variants: operators that a rewrite put in a node's place at these widths, for nodes that
            one replaced.
    """

    widths: Widths
    latency: Latency
    nodes: dict[str, float]
    variants: dict[str, str] = field(default_factory=dict)


def width_designs(groups: Mapping[str, int], count: int = 26, seed: int = 0) -> list[Widths]:
    """Widths to measure: uniform ones first, then a random Latin design.

    Args:
        groups: channels of each group that can shrink.
        count: number of designs.
        seed: the same seed gives the same designs.
    """
    generator = np.random.default_rng(seed)
    uniform = [
        {name: max(min(FLOOR, full), round(full * share)) for name, full in groups.items()}
        for share in UNIFORM[:count]
    ]
    mixed = count - len(uniform)
    columns = {name: _latin_column(full, mixed, generator) for name, full in groups.items()}
    return uniform + [{name: int(columns[name][i]) for name in groups} for i in range(mixed)]


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


def measure_sweep(
    designs: Sequence[Widths],
    slicer: Slicer,
    original: Iterable[str],
    options: DeviceOptions,
    *,
    progress: Callable[[int], None] = lambda done: None,
    max_seconds: float = 60.0,
) -> list[SweepPoint]:
    """Slice and profile every design, in rounds; the quickest of a design's rounds counts.

    What else the machine does can only add time, and a second round comes at another moment. A
    design whose two quickest rounds disagree gets further rounds while there is time.

    Args:
        designs: from `width_designs`.
        slicer: gives the graph to run for a design.
        original: names of the original nodes.
        options: the device.
        progress: called with the number of rounds done of the two that each design needs.
        max_seconds: no further round of any design after that; each has at least one.
    """
    original = list(original)
    deadline = time.monotonic() + max_seconds
    rounds: list[list[SweepPoint]] = [[] for _ in designs]
    for _ in range(_MAX_ROUNDS):
        for widths, taken in zip(designs, rounds, strict=True):
            if _settled(taken) or (taken and time.monotonic() > deadline):
                continue
            found = measure_nodes(slicer(widths), original, options, **_LIMITS)
            log.debug("%s: %.2f ms", widths, found.latency.median_ms)
            taken.append(SweepPoint(widths, found.latency, found.nodes, found.variants))
            progress(sum(min(len(taken), ROUNDS) for taken in rounds))
    return [min(taken, key=_kernel_sum) for taken in rounds]


def _kernel_sum(point: SweepPoint) -> float:
    return sum(point.nodes.values())


def _settled(taken: list[SweepPoint]) -> bool:
    """Whether the two quickest rounds of a design agree."""
    sums = sorted(map(_kernel_sum, taken))
    return len(sums) > 1 and sums[1] <= sums[0] * (1.0 + _AGREE)
