"""Matching one layer to the original, through what lies behind it."""

import numpy as np

from decig.repair.offsets import Offset
from decig.repair.sample import Sample
from decig.repair.solve import regression
from decig.repair.tail import Values

_RIDGES = (1e-6, 0.01, 0.1, 1.0)
_FIRST_RIDGE = 0.03
_ROUNDS = 3


def match(
    sample: Sample,
    before: np.ndarray,
    offset: Offset,
    *,
    rectified: bool,
    out: Values | None,
) -> tuple[np.ndarray, np.ndarray]:
    """Find weights [F, outputs] that bring a layer's end closest to the original's.

    First the layer's output is matched. From there each round asks for the end of the tail,
    through the normalisation as it stands, refits the normalisation, and keeps what got better:

    - The residual sum is matched, not the branch: the trunk's error goes into the branch's target.
    - Where a Relu follows and the original is negative, any negative value will do. The target is
      then what the layer gives now, or 0 if that is positive: a majorisation of the error behind
      the Relu, so every round lowers it.
    - Where elementwise steps lead to the picture, errors count by what they do there: positions
      are weighted by the squared slope of the picture between what the sliced layer and the
      original give. In one round, as a weighted target has no majorisation.

    Args:
        sample: what the layer reads and should give; its `source` is used up.
        before: the sliced weights.
        offset: what is behind the weights; refitted in place.
        rectified: whether a Relu follows.
        out: the way from the end of the tail to the picture, if it is elementwise.

    Returns:
        The weights, and what they give [outputs] where X is at its mean (see `Offset.stored`).
    """
    weight = _slope(sample, before, offset, out) if out is not None else None
    problem = regression(sample.source, before, centre=offset.centre, weight=weight)
    given = problem.given(problem.fit(sample.output, _FIRST_RIDGE))
    branch = sample.end - sample.skip
    offset.refit(given, branch, weight)
    wished = offset.wish(given, branch)
    ridge = problem.best_ridge(wished, _RIDGES)
    matrix = problem.fit(wished, ridge)
    best = (np.inf, matrix, offset.gamma, offset.beta)
    for _ in range(_ROUNDS if weight is None else 1):
        given = problem.given(matrix)
        offset.refit(given, _wanted(sample, offset.apply(given), rectified), weight)
        value = offset.apply(given)
        error = _error(sample, value, rectified)
        if error >= best[0]:
            break
        best = (error, matrix, offset.gamma, offset.beta)
        matrix = problem.fit(offset.wish(given, _wanted(sample, value, rectified)), ridge)
    _, matrix, offset.gamma, offset.beta = best
    return matrix, np.asarray(problem.mean.reshape(-1) @ matrix if offset.centre == (0, 1) else 0.0)


def _wanted(sample: Sample, value: np.ndarray, rectified: bool) -> np.ndarray:
    """Target for the layer's branch of the tail, given its value now."""
    end = sample.end
    if rectified:
        end = np.where(end > 0, end, np.minimum(value + sample.skip, 0))
    wanted: np.ndarray = end - sample.skip
    return wanted


def _error(sample: Sample, value: np.ndarray, rectified: bool) -> float:
    given, wanted = value + sample.skip, sample.end
    if rectified:
        given, wanted = np.maximum(given, 0), np.maximum(wanted, 0)
    return float(np.square(given - wanted).mean())


def _slope(sample: Sample, before: np.ndarray, offset: Offset, out: Values) -> np.ndarray:
    """Weight of every position: mean over channels of the squared secant slope of the picture."""
    source = sample.source
    if offset.centre:
        source = source - source.mean(axis=offset.centre, keepdims=True)
    given = source @ before
    offset.refit(given, sample.end - sample.skip, None)
    apart = offset.apply(given) + sample.skip - sample.end
    # Too close for a secant: a small step on either side instead.
    step = np.where(np.abs(apart) > 1e-3, apart, 1e-3 * max(float(np.std(sample.end)), 1e-6))
    slope = (out(sample.end + step) - out(sample.end)) / step
    weight = np.square(slope).mean(axis=2, keepdims=True)
    # A picture that is clipped everywhere still counts.
    floor: np.ndarray = weight + 1e-3 * max(float(weight.mean()), 1e-12)
    return floor
