"""Which widths a sweep measures.

The first designs draw every group's width on its own: a node then sees pairs of input and output
widths off the diagonal too, which is what tells the cost of its inputs from that of its outputs.
Further designs go where the prediction is in most doubt.
"""

from collections.abc import Mapping

import numpy as np

from decig.device.cost.predict import Predictor
from decig.graph.plan import FLOOR

UNIFORM = (1.0, 3 / 4, 1 / 2, 3 / 8, 1 / 4, 1 / 8)
"""Shares at which all groups are cut alike; the first one is the whole graph."""

_BLOCK = 16
"""Floats in the widest vector register: the stair of most convolution kernels."""
_ALIGN = 4
_SHARES = (0.4, 0.1, 0.15, 0.35)
"""Shares of the mixed designs: widths on the block's stairs, narrow aligned widths, other aligned
widths, and any widths."""
_DRAWS = 64
"""Plans from which each further design is chosen."""


def uniform_design(groups: Mapping[str, int], share: float) -> dict[str, int]:
    """Cut all groups to the same share of their channels."""
    return {name: max(min(FLOOR, full), round(full * share)) for name, full in groups.items()}


def first_designs(groups: Mapping[str, int], count: int, seed: int = 0) -> list[dict[str, int]]:
    """Choose widths before anything is known: uniform ones, then a random Latin design.

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
    predictor: Predictor, count: int, generator: np.random.Generator
) -> tuple[list[dict[str, int]], float]:
    """Choose widths whose latency is in most doubt.

    In turns they are widths that a planner may choose, and any widths. A planner that takes the
    widths of least predicted cost takes those whose prediction is too low; measuring some of them
    finds such errors.

    Args:
        predictor: fitted to what was measured so far.
        count: number of designs.
        generator: draws the plans from which the designs are chosen.

    Returns:
        The designs, and the median doubt of all drawn plans (`Predictor.doubt`).
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
    predictor: Predictor, generator: np.random.Generator, *, stairs: bool
) -> list[int]:
    """Draw a share for the whole plan, and for each group half to one and a half of that share."""
    overall = np.exp(generator.uniform(np.log(min(UNIFORM)), 0.0))
    row = []
    for name, full in predictor.groups.items():
        wanted = full * min(overall * generator.uniform(0.5, 1.5), 1.0)
        widths = np.array(predictor.candidates[name])
        near = int(widths[np.argmin(abs(widths - wanted))])
        row.append(near if stairs else max(min(FLOOR, full), round(wanted)))
    return row


def _latin_column(full: int, count: int, generator: np.random.Generator) -> np.ndarray:
    """Draw `count` widths of one group in random order, each kind of width in its share."""
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
    """Draw `size` of `choices` so that each is drawn as often as the others, or once less."""
    rounds = [generator.permutation(choices) for _ in range(-(-size // len(choices)))]
    return np.concatenate([*rounds, choices[:0]])[:size]
