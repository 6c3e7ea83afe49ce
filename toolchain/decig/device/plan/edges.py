"""Widths at the edges of the device's stairs: more channels in the same time."""

from collections.abc import Mapping

import numpy as np

from decig.device.cost.terms import WidthCost
from decig.device.plan.elimination import first_least

_SAME = 1.002
"""Times as long as before that still counts as the same time."""


def to_stair_edges(predictor: WidthCost, widths: Mapping[str, int]) -> dict[str, int]:
    """Widen groups up to where more channels would cost time.

    The edge of a group is its next width that is worth planning with (`WidthCost.candidates`). All
    groups go to their edges at once; where that takes longer, as edges depend on the widths of
    neighbours, they go there one after the other as long as that takes no longer.

    Args:
        predictor: predicts the model's latency on the device.
        widths: by group; a group that is not named keeps all its channels.

    Returns:
        Width of every group that `widths` names: none less than it was, and together predicted to
        take no longer.
    """
    given = {**predictor.groups, **widths}
    edges = {
        name: next(width for width in predictor.candidates[name] if width >= given[name])
        for name in predictor.groups
    }
    level, top = (np.array([each[name] for name in edges]) for each in (given, edges))
    cost, cost_at_edges = predictor.predict_many(np.stack([level, top]))
    if cost_at_edges > _SAME * cost:
        top = _one_by_one(predictor, level, top)
    return {name: int(top[place]) for place, name in enumerate(edges) if name in widths}


def _one_by_one(predictor: WidthCost, level: np.ndarray, top: np.ndarray) -> np.ndarray:
    """Move groups from `level` to `top`, the best one first, as long as none takes longer."""
    cost = predictor.predict_many(level[None])[0]
    while (wider := np.flatnonzero(level < top)).size:
        moves = np.tile(level, (wider.size, 1))
        moves[np.arange(wider.size), wider] = top[wider]
        costs = predictor.predict_many(moves)
        best = first_least(costs)
        if costs[best] > cost:
            break
        level, cost = moves[best], costs[best]
    return level
