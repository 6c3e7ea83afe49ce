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
    error (Akaike 1970), which charges for every weight in use.

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
    where there are few.
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
    scale = np.maximum(np.abs(rows).max(axis=0), 1e-9)
    weights, _ = nnls(rows / scale * importance[:, None], target * importance)
    weights = weights / scale
    residual = ((rows @ weights - target) * importance)[:count]
    used = min(int((weights > 0).sum()), count - 1)
    final = np.mean(residual**2) * (count + used) / (count - used)
    return Stairs(shape, weights, float(np.sqrt(final)))


def _corners(x: np.ndarray, y: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """A coarse grid over the measured widths, on and off the multiples of four."""
    lines = []
    for values in (x, y):
        low, high = values.min(), values.max()
        line = np.linspace(low, high, 5).round()
        lines.append(np.unique(np.clip(np.concatenate([line, _ceil(line, _ALIGN)]), low, high)))
    wide, tall = np.meshgrid(*lines, indexing="ij")
    return wide.ravel(), tall.ravel()


def _ceil(values: np.ndarray, step: int) -> np.ndarray:
    result: np.ndarray = np.ceil(values / step) * step
    return result
