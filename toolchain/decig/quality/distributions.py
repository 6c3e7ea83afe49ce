"""How far two sets of pictures are from each other, by the features of each picture.

SSIM and PSNR compare a picture with the one that it should be. These figures compare what a model
paints, as a whole, with a set of pictures that need not belong to the same inputs: with real ones,
say. They take features of any kind; `decig.quality.features` makes those that decig uses.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

_BLOCK = 1000
"""Rows of the matrix of kernel values that are in memory at a time."""


@dataclass(frozen=True)
class Distance:
    """Distance of one set of pictures to another, by their features.

    Attributes:
        kid: kernel distance, see `kernel_distance`; 0 is expected where both sets are drawn from
            the same distribution, so that half of such figures are below 0.
        kid_standard_error: its standard error, by which it would vary with the choice of pictures.
        frechet_distance: see `frechet_distance`.
    """

    kid: float
    kid_standard_error: float
    frechet_distance: float


def distance(
    x: np.ndarray, y: np.ndarray, pairs: Sequence[tuple[int, int]] | None = None
) -> Distance:
    """Return all distances between two sets of features; see `kernel_distance`."""
    kid, error = kernel_distance(x, y, pairs)
    return Distance(kid, error, frechet_distance(x, y))


def kernel_distance(
    x: np.ndarray, y: np.ndarray, pairs: Sequence[tuple[int, int]] | None = None
) -> tuple[float, float]:
    """Unbiased squared maximum mean discrepancy (MMD) of two samples, and its standard error.

    M. Binkowski et al., "Demystifying MMD GANs" (ICLR 2018), section 4: the kernel is

        k(a, b) = (a.b / d + 1)^3

    and the figure

        sum_{i != j} k(x_i, x_j) / (m (m - 1)) + sum_{i != j} k(y_i, y_j) / (n (n - 1))
          - 2 sum_{i, j} k(x_i, y_j) / (m n)

    The paper takes means over random subsets of 1,000 pictures to save time. Here the sums run
    over all pictures at once, which is unbiased as well, varies less and needs no random choice.

    The last sum supposes that x_i and y_j are independent. Where two models paint the same input
    they are not, and the sum over all i and j would come out below 0 for a perfect copy. So
    `pairs` are left out of that sum and of its count, which makes the figure unbiased again, and 0
    for a perfect copy. Where all pictures are in pairs, it is the U-statistic of A. Gretton et
    al., "A Kernel Two-Sample Test" (JMLR 2012), equation 4.

    The standard error is the jackknife's: the figure is computed without each picture, or without
    each pair, in turn.

    Args:
        x: features of the first set, float m,d.
        y: features of the second set, float n,d.
        pairs: places in x and in y of pictures that belong to the same input, each place at most
            once; none if not given.

    Returns:
        The figure and its standard error. NaN where they are not defined: with fewer than two
        pictures in a set, fewer than three for the error, or features that are no numbers.
    """
    sums = _Sums.of(x, y, pairs or ())
    return sums.figure(), sums.standard_error()


@dataclass(frozen=True)
class _Sums:
    """What each picture adds to the three sums of kernel values.

    Attributes:
        xx: for each picture of x, the sum over the other pictures of x: m.
        yy: for each picture of y, the sum over the other pictures of y: n.
        xy: for each picture of x, the sum over the pictures of y that are not its pair: m.
        yx: the same for each picture of y: n.
        paired_x: places of x that are in pairs.
        paired_y: places of y that they are in pairs with, in the same order.
    """

    xx: np.ndarray
    yy: np.ndarray
    xy: np.ndarray
    yx: np.ndarray
    paired_x: np.ndarray
    paired_y: np.ndarray

    @classmethod
    def of(cls, x: np.ndarray, y: np.ndarray, pairs: Sequence[tuple[int, int]]) -> "_Sums":
        x, y = x.astype(np.float64), y.astype(np.float64)
        paired_x, paired_y = np.array(pairs, int).reshape(-1, 2).T
        xy, yx = _row_sums(x, y), _row_sums(y, x)
        matched = _kernel_of_rows(x[paired_x], y[paired_y])
        xy[paired_x] -= matched
        yx[paired_y] -= matched
        xx, yy = (_row_sums(one, one) - _kernel_of_rows(one, one) for one in (x, y))
        return cls(xx, yy, xy, yx, paired_x, paired_y)

    def figure(self) -> float:
        """Return the squared discrepancy of all pictures."""
        m, n = len(self.xx), len(self.yy)
        if min(m, n) < 2:
            return float("nan")
        within = self.xx.sum() / (m * (m - 1)) + self.yy.sum() / (n * (n - 1))
        return float(within - 2 * self.xy.sum() / (m * n - len(self.paired_x)))

    def standard_error(self) -> float:
        """Return the jackknife's standard error; pairs and single pictures are its strata."""
        if min(len(self.xx), len(self.yy)) < 3:
            return float("nan")
        nothing = np.array([], int)
        single_x = np.setdiff1d(np.arange(len(self.xx)), self.paired_x)
        single_y = np.setdiff1d(np.arange(len(self.yy)), self.paired_y)
        variance = 0.0
        for out_x, out_y in (
            (self.paired_x, self.paired_y),
            (single_x, nothing),
            (nothing, single_y),
        ):
            left = self._without(out_x, out_y)
            if len(left):
                variance += float((len(left) - 1) * left.var())
        return float(np.sqrt(variance))

    def _without(self, out_x: np.ndarray, out_y: np.ndarray) -> np.ndarray:
        """Return the figure without each of these pictures, or pairs where both are given."""
        m, n, paired = len(self.xx), len(self.yy), len(self.paired_x)
        xx, yy, xy = self.xx.sum(), self.yy.sum(), self.xy.sum()
        left_m, left_n = m - bool(len(out_x)), n - bool(len(out_y))
        if len(out_x):  # two pictures of one set are in its sum twice: i, j and j, i
            xx = xx - 2 * self.xx[out_x]
            xy = xy - self.xy[out_x]
        if len(out_y):
            yy = yy - 2 * self.yy[out_y]
            xy = xy - self.yx[out_y]
        left_paired = paired - bool(len(out_x) and len(out_y))
        counted = left_m * left_n - left_paired
        within = xx / (left_m * (left_m - 1)) + yy / (left_n * (left_n - 1))
        return np.atleast_1d(within - 2 * xy / counted) if len(out_x) + len(out_y) else np.array([])


def _row_sums(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Sum of k(a_i, b_j) over j, for each i; a block of rows in memory at a time."""
    blocks = [_kernel(a[i : i + _BLOCK] @ b.T, b.shape[1]) for i in range(0, len(a), _BLOCK)]
    return np.concatenate([block.sum(axis=1) for block in blocks] or [np.zeros(0)])


def _kernel_of_rows(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Kernel of each row of a and the same row of b."""
    return _kernel(np.einsum("ij,ij->i", a, b), a.shape[1])


def _kernel(product: np.ndarray, size: int) -> np.ndarray:
    base = product / size + 1
    cubed: np.ndarray = base * base * base  # `np.power` takes many times as long
    return cubed


def frechet_distance(x: np.ndarray, y: np.ndarray) -> float:
    """Squared Frechet distance of two samples, as if both were normally distributed.

    M. Heusel et al., "GANs Trained by a Two Time-Scale Update Rule Converge to a Local Nash
    Equilibrium" (NeurIPS 2017), equation 6:

        |mu_x - mu_y|^2 + Tr(C_x + C_y - 2 (C_x C_y)^(1/2))

    With the centred samples X and Y, C_x = X'X / (m - 1) and C_y = Y'Y / (n - 1), the trace of
    the root is the sum of the singular values of X Y', over the root of (m - 1) (n - 1). That is
    exact for any number of pictures, where the root of a singular product of covariances is not.

    The figure is biased: the fewer pictures, the larger it comes out. Compare figures of equal
    numbers of pictures only.

    Args:
        x: features of the first set, float m,d.
        y: features of the second set, float n,d.

    Returns:
        The figure, 0 at least. NaN where it is not defined: with fewer than two pictures in a set,
        or features that are no numbers.
    """
    if min(len(x), len(y)) < 2 or not (np.isfinite(x).all() and np.isfinite(y).all()):
        return float("nan")
    x, y = x.astype(np.float64), y.astype(np.float64)
    offset = x.mean(axis=0) - y.mean(axis=0)
    x, y = (_root_of_covariance(sample) for sample in (x, y))
    shared = np.linalg.svd(x @ y.T, compute_uv=False).sum()
    squared = np.square(offset).sum() + np.square(x).sum() + np.square(y).sum() - 2 * shared
    return max(0.0, float(squared))


def _root_of_covariance(sample: np.ndarray) -> np.ndarray:
    """Return R with R'R the covariance of a sample n,d; it has min(n, d) rows."""
    centred: np.ndarray = (sample - sample.mean(axis=0)) / np.sqrt(len(sample) - 1)
    if len(centred) <= centred.shape[1]:
        return centred
    root: np.ndarray = np.linalg.qr(centred).R
    return root
