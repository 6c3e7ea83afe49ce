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
    aim = _Aim(sample, rectified)
    offset.take(problem.fit(sample.output, [_FIRST_RIDGE]).given)
    offset.refit(aim.branch, weight)
    fit = problem.fit(offset.wish(aim.branch), _RIDGES)
    best = (np.inf, fit, offset.gamma, offset.beta)
    rounds = _ROUNDS if weight is None else 1
    for left in reversed(range(rounds)):
        offset.take(fit.given)
        offset.refit(aim.wanted(offset.value()), weight)
        value = offset.value()
        error = aim.error(value)
        if error >= best[0]:
            break
        best = (error, fit, offset.gamma, offset.beta)
        if left:
            fit = problem.fit(offset.wish(aim.wanted(value)), [fit.ridge])
    _, fit, offset.gamma, offset.beta = best
    centred = offset.centre == (0, 1)
    return fit.matrix, problem.mean.reshape(-1) @ fit.matrix if centred else np.zeros(1)


class _Aim:
    """What the end of a layer's tail should be."""

    def __init__(self, sample: Sample, rectified: bool) -> None:
        """Prepare; `rectified` is whether a Relu follows.

        Attributes:
            branch: the end without what the tail adds.
        """
        self.branch = sample.end - sample.skip
        self._skip, self._rectified = sample.skip, rectified
        self._seen = np.maximum(sample.end, 0) if rectified else sample.end

    def wanted(self, value: np.ndarray) -> np.ndarray:
        """Target for the layer's branch of the tail, given its value now."""
        if not self._rectified:
            return self.branch
        wanted: np.ndarray = value + self._skip
        np.minimum(wanted, 0, out=wanted)
        wanted -= self._skip
        np.copyto(wanted, self.branch, where=self._seen > 0)
        return wanted

    def error(self, value: np.ndarray) -> float:
        """Mean squared error of the end, behind a Relu if there is one."""
        apart: np.ndarray = value + self._skip
        if self._rectified:
            np.maximum(apart, 0, out=apart)
        apart -= self._seen
        return float(np.square(apart, out=apart).mean())


def _slope(sample: Sample, before: np.ndarray, offset: Offset, out: Values) -> np.ndarray:
    """Weight of every position: mean over channels of the squared secant slope of the picture."""
    source = sample.source
    if offset.centre:
        source = source - source.mean(axis=offset.centre, keepdims=True)
    offset.take(source @ before)
    offset.refit(sample.end - sample.skip, None)
    apart = offset.value() + sample.skip - sample.end
    # Too close for a secant: a small step on either side instead.
    step = np.where(np.abs(apart) > 1e-3, apart, 1e-3 * max(float(np.std(sample.end)), 1e-6))
    slope = (out(sample.end + step) - out(sample.end)) / step
    weight = np.square(slope).mean(axis=2, keepdims=True)
    # A picture that is clipped everywhere still counts.
    floor: np.ndarray = weight + 1e-3 * max(float(weight.mean()), 1e-12)
    return floor
