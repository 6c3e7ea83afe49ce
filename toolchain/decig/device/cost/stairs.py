"""Stairs: microseconds of one kind of node over its input and output channels, in a few terms.

Stairs are a few products of padded widths with non-negative weights, so that more channels on
the same stair never cost less:

    us(x, y) = a + b x' + c y' + d x' y' + e [y off the stair] y,    x' = ceil_S(x), y' = ceil_T(y)

(smooth ones have y^2 instead of the last term: what no longer fits a cache). ONNX Runtime
picks different convolution kernels by the input channels, so stairs may have up to three
regimes with weights of their own: a plain layout for few inputs, a blocked layout for inputs in
multiples of four, a matrix product for the others. Which shape a node follows, with which stairs,
is found by trying all of them.
"""

from dataclasses import dataclass

import numpy as np
from scipy.optimize import nnls

_ALIGN = 4
_NOISE_US = 20.0
_PRIOR_POINTS = 1.0
_BETTER = 0.95
_RIDGE = 1e-4  # pull of every weight towards zero, as a share of that of all points together
_INDISTINCT = 0.005  # relative error below which no shape is thought better than another
_NEGLIGIBLE = 1e-4  # share of the time below which a feature no longer counts as one in use


@dataclass(frozen=True)
class Shape:
    """How a node's cost steps.

    Attributes:
        block: input channels from which the blocked regime starts, and its stair; 0 for none.
        aligned: whether inputs off the multiples of four have a regime of their own.
        step: stair of the output channels.
    """

    block: int
    aligned: bool
    step: int

    def regime(self, x: np.ndarray) -> np.ndarray:
        """Regime of each input width: 0 plain, 1 blocked or aligned, 2 misaligned."""
        if not self.aligned:
            return np.zeros(x.shape, int)
        return np.where(x < self.block, 0, np.where(x % _ALIGN == 0, 1, 2))

    def features(self, x: np.ndarray, y: np.ndarray) -> np.ndarray:
        """Products of padded widths, [points, regimes * 5]."""
        regime = self.regime(x)
        count = 3 if self.aligned else 1
        found = np.zeros((*x.shape, count, 5))
        for index in range(count):
            here = regime == index
            step = 1 if index == 2 else self.step
            wide = here * (_ceil(x, self.block) if index == 1 and self.block else x)
            tall = _ceil(y, step)
            found[..., index, 0] = here
            found[..., index, 1] = wide
            found[..., index, 2] = here * tall
            found[..., index, 3] = wide * tall
            found[..., index, 4] = here * self._beyond(y, step)
        return found.reshape(*x.shape, count * 5)

    def _beyond(self, y: np.ndarray, step: int) -> np.ndarray:
        """Last term: what no longer fits a cache, or work on an output block that is not full."""
        result: np.ndarray = y**2 if not self.aligned and step == 1 else y * (y % step != 0)
        return result


SMOOTH = Shape(0, False, 1)
SHAPES = (
    SMOOTH,
    *(Shape(0, False, step) for step in (4, 8, 16)),
    *(Shape(0, True, step) for step in (1, 4, 16)),
    *(Shape(16, True, step) for step in (1, 4, 8, 16)),
    *(Shape(8, True, step) for step in (1, 4, 8)),
)


@dataclass(frozen=True)
class Stairs:
    """Fitted stairs.

    Attributes:
        shape: their steps and regimes.
        weights: non-negative, one per feature.
        error: typical relative error on the points it was fitted to.
    """

    shape: Shape
    weights: np.ndarray
    error: float

    def __call__(self, x: np.ndarray, y: np.ndarray) -> np.ndarray:
        """Microseconds at `x` input and `y` output channels (arrays of one shape)."""
        result: np.ndarray = self.shape.features(x, y) @ self.weights
        return result


def fit_stairs(x: np.ndarray, y: np.ndarray, us: np.ndarray) -> Stairs:
    """Fit the best shape to measured points, by relative error.

    A more complicated shape must be clearly better: shapes are compared by the final prediction
    error (Akaike 1970), which charges for every weight in use. Shapes that fit better than anything
    can be measured fit equally well: by how little they miss would be decided by rounding, which
    differs from one processor to the next, and the simplest of them is taken.

    Args:
        x: input channels of each point.
        y: output channels.
        us: microseconds.
    """
    x, y = x.astype(float), y.astype(float)
    best = plain = _fit(SMOOTH, x, y, us, None)
    for shape in SHAPES[1:]:
        found = _fit(shape, x, y, us, plain)
        if found.error < best.error * _BETTER:
            best = found
    return best


def _fit(
    shape: Shape, x: np.ndarray, y: np.ndarray, us: np.ndarray, prior: Stairs | None
) -> Stairs:
    """Non-negative least squares of relative errors.

    In each regime `prior`, taken on a grid, counts as much as one measured point: it decides
    where there are few. Features that no point tells apart (channels that never change, or as many
    inputs as outputs) share their part equally: the weights are those of least squares with a ridge
    so slight that it decides nothing else. Without it, rounding would choose among them.
    """
    importance = 1.0 / (us + _NOISE_US)
    rows, target, count = shape.features(x, y), us, len(us)
    if prior is not None:
        px, py = _corners(x, y)
        assumed = prior(px, py)
        regime = shape.regime(px)
        alike = np.bincount(regime)[regime]
        weight = np.sqrt(_PRIOR_POINTS / alike) / (assumed + _NOISE_US)
        importance = np.concatenate([importance, weight])
        rows = np.concatenate([rows, shape.features(px, py)])
        target = np.concatenate([us, assumed])
    rows = rows * importance[:, None]
    scale = np.maximum(np.linalg.norm(rows, axis=0), 1e-9)
    rows = rows / scale
    ridge = np.concatenate([rows, _RIDGE * np.eye(len(scale))])
    weights, _ = nnls(ridge, np.concatenate([target * importance, np.zeros(len(scale))]))
    residual = (rows @ weights - target * importance)[:count]
    used = min(_count_features(rows[:count] * weights), count - 1)
    final = (np.mean(residual**2) + _INDISTINCT**2) * (count + used) / (count - used)
    return Stairs(shape, weights / scale, float(np.sqrt(final)))


def _count_features(contributions: np.ndarray) -> float:
    """Count the features in use as effective degrees of freedom.

    Features that are multiples of each other on all points count as one, and those that contribute
    next to nothing as next to none. There is no threshold at which rounding could decide (Hastie,
    Tibshirani and Friedman, The Elements of Statistical Learning, 2009, equation 3.50).

    Args:
        contributions: what each feature adds to each point, as a share of the point's time,
            [points, features].
    """
    squares = np.linalg.svd(contributions, compute_uv=False) ** 2 / len(contributions)
    return float(np.sum(squares / (squares + _NEGLIGIBLE**2)))


def _corners(x: np.ndarray, y: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """A coarse grid over the measured widths, on and off the multiples of four."""
    lines = []
    for values in (x, y):
        low, high = values.min(), values.max()
        line = np.linspace(low, high, 5).round()
        beside = line - (line % _ALIGN == 0).all()
        lines.append(
            np.unique(np.clip(np.concatenate([line, _ceil(line, _ALIGN), beside]), low, high))
        )
    wide, tall = np.meshgrid(*lines, indexing="ij")
    return wide.ravel(), tall.ravel()


def _ceil(values: np.ndarray, step: int) -> np.ndarray:
    result: np.ndarray = np.ceil(values / step) * step
    return result
