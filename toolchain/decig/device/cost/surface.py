"""Cost surfaces: microseconds of one kind of node over its input and output channels.

Stairs (`decig.device.cost.stairs`) say how the cost goes on the whole; they do not know every
kernel of the device, nor the widths at which a rewrite begins to hold. What they leave is
interpolated between the measured widths (kriging: a Gaussian process through the residuals;
Rasmussen and Williams, Gaussian Processes for Machine Learning, 2006, equations 2.25 and 2.26):

    us(p) = stairs(p) exp(k(p)' (K + N)^-1 r),        r_i = log(us_i / stairs(p_i))
    doubt(p)^2 = s^2 - k(p)' (K + N)^-1 k(p)

with widths p = (x, y), k(p)_i = k(p, p_i), K_ij = k(p_i, p_j), N the measurements' variance, and

    k(p, q) = s^2 exp(-1/2 sum over x and y of [(log(p / q) / l)^2 + f (differences in alignment)])

An alignment is whether a width is a multiple of 4, and whether of 16: widths that differ in it run
through other kernels, however near they are.
"""

import numpy as np
from scipy.linalg import cho_factor, cho_solve

from decig.device.cost.stairs import Stairs, fit_stairs

_AMPLITUDE = 0.2  # s
_LENGTH = 0.8  # l: widths apart by a factor of two say something of each other, by four little
_MISALIGNED = 1.0  # f
_MULTIPLES = (4, 16)
_NOISE = 0.03
_NOISE_US = 15.0  # the clock and the profiler
_MOST = 0.5  # no residual counts as more: a kernel may not have run at all
_LEAST_US = 1e-3


class Surface:
    """A cost surface through measured points.

    Attributes:
        stairs: its trend.
    """

    def __init__(self, x: np.ndarray, y: np.ndarray, us: np.ndarray) -> None:
        """Fit.

        Args:
            x: input channels of each point.
            y: output channels.
            us: microseconds.
        """
        self.stairs: Stairs = fit_stairs(x, y, us)
        # Points at the same widths are one point, the surer the more there are.
        places, back, count = np.unique(
            np.stack([x, y]), axis=1, return_inverse=True, return_counts=True
        )
        self._places = Places(*places)
        trend = np.maximum(self.stairs(x, y), _LEAST_US)
        residual = np.clip(np.log(np.maximum(us, _LEAST_US) / trend), -_MOST, _MOST)
        noise = _NOISE**2 + (_NOISE_US / np.maximum(trend, 1.0)) ** 2
        mean, variance = (np.bincount(back.ravel(), values) / count for values in (residual, noise))
        covariance = _AMPLITUDE**2 * self._places.likeness(self._places) + np.diag(variance / count)
        self._factor = cho_factor(covariance)
        self._weights = cho_solve(self._factor, mean)

    def __call__(self, x: np.ndarray, y: np.ndarray) -> np.ndarray:
        """Microseconds at `x` input and `y` output channels, [points]."""
        near = _AMPLITUDE**2 * Places(x, y).likeness(self._places)
        result: np.ndarray = self.stairs(x, y) * np.exp(near @ self._weights)
        return result

    def doubt(self, x: np.ndarray, y: np.ndarray) -> np.ndarray:
        """Standard deviation of what `__call__` gives, as a share of it, [points]."""
        near = _AMPLITUDE**2 * Places(x, y).likeness(self._places)
        known = np.einsum("ij,ji->i", near, cho_solve(self._factor, near.T))
        result: np.ndarray = np.sqrt(np.maximum(_AMPLITUDE**2 - known, 0.0))
        return result


class Places:
    """Widths in coordinates in which near points cost alike, [coordinates, points]."""

    def __init__(self, x: np.ndarray, y: np.ndarray) -> None:
        rows = []
        for width in (x, y):
            rows.append(np.log(np.maximum(width, 1.0)) / _LENGTH)
            rows.extend(_MISALIGNED**0.5 * (width % multiple == 0) for multiple in _MULTIPLES)
        self.rows = np.stack(rows)

    def likeness(self, other: "Places") -> np.ndarray:
        """Return k / s^2 of all pairs, [points, points of `other`]."""
        a, b = self.rows, other.rows
        apart = (a**2).sum(0)[:, None] + (b**2).sum(0)[None] - 2.0 * a.T @ b
        result: np.ndarray = np.exp(-0.5 * np.maximum(apart, 0.0))
        return result
