"""Least squares for one layer: new weights from what it reads and what it should give."""

from abc import ABC, abstractmethod
from functools import cached_property
from typing import Any

import numpy as np
import onnx
from scipy.linalg import LinAlgError, cho_factor, cho_solve

from decig.graph.operators import Kind, find

_FLOOR = 1e-10  # keeps the factorisation defined where inputs are constant


class Regression(ABC):
    """Weighted ridge regression towards the weights that are there.

        min over W of sum_p w_p |x_p W - z_p|^2 + ridge tr(X'X)/F |W - W0|^2

    The rows of X are positions of images; with an offset to take it up, x and z count from their
    means. `regression` makes the kind of it that takes less work.
    """

    def __init__(
        self,
        source: np.ndarray,
        before: np.ndarray,
        *,
        centre: tuple[int, ...] = (),
        weight: np.ndarray | None = None,
    ) -> None:
        """Take the rows in.

        Args:
            source: X, float32 [images, positions, F]; centred and weighted in place.
            before: W0, [F, outputs].
            centre: axes over which the means run: (1,) for each image, (0, 1) for all, () where
                nothing takes up an offset.
            weight: w, [images, positions, 1]; all equal if not given.
        """
        self.before = before
        self._axes = centre
        self.mean = source.mean(axis=centre, keepdims=True) if centre else np.zeros(1, np.float32)
        source -= self.mean
        self._root = np.ones(1, np.float32)
        if weight is not None:
            self._root = np.sqrt(weight / weight.mean()).astype(np.float32)
            source *= self._root
        self._rows = source

    def given(self, matrix: np.ndarray) -> np.ndarray:
        """What weights [F, outputs] give from their mean, [images, positions, outputs]."""
        result: np.ndarray = self._rows @ matrix / self._root
        return result

    def best_ridge(self, target: np.ndarray, ridges: tuple[float, ...]) -> float:
        """Choose the ridge by the error on the last quarter of the images, fitted to the others."""
        images = len(self._rows)
        if images < 2:
            return max(ridges)
        seen = images - max(1, images // 4)
        return self._best_ridge(target, ridges, seen)

    @abstractmethod
    def fit(self, target: np.ndarray, ridge: float) -> np.ndarray:
        """Weights [F, outputs] for a target [images, positions, outputs]."""

    @abstractmethod
    def _best_ridge(self, target: np.ndarray, ridges: tuple[float, ...], seen: int) -> float:
        """Choose the ridge by the error on all images but the first `seen`, fitted to those."""

    def _wanted(self, target: np.ndarray) -> np.ndarray:
        """The target from its mean and weighted, as the rows are."""
        if self._axes:
            target = target - target.mean(axis=self._axes, keepdims=True)
        wanted: np.ndarray = target * self._root
        return wanted


class ByFeatures(Regression):
    """Solves for the weights themselves: an equation for every feature, for many rows."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        """Take the rows in, as every `Regression`."""
        super().__init__(*args, **kwargs)
        self._factors: dict[float, Any] = {}

    def fit(self, target: np.ndarray, ridge: float) -> np.ndarray:
        """Weights [F, outputs] for a target [images, positions, outputs]."""
        if ridge not in self._factors:
            self._factors = {ridge: _factor(self._gram, ridge)}
        return self._solve(self._factors[ridge], self._moment(target, slice(None)))

    def _best_ridge(self, target: np.ndarray, ridges: tuple[float, ...], seen: int) -> float:
        unseen = slice(seen, None)
        gram_unseen = self._product(unseen)
        gram, moment = self._gram - gram_unseen, self._moment(target, slice(0, seen))
        moment_unseen = self._moment(target, unseen)

        def error(ridge: float) -> float:
            matrix = self._solve(_factor(gram, ridge), moment)
            return float((matrix * (gram_unseen @ matrix - 2 * moment_unseen)).sum())

        return min(ridges, key=error)

    @cached_property
    def _gram(self) -> np.ndarray:
        return self._product(slice(None))

    def _product(self, images: slice) -> np.ndarray:
        rows = _flat(self._rows[images])
        product: np.ndarray = (rows.T @ rows).astype(np.float64)
        return product

    def _moment(self, target: np.ndarray, images: slice) -> np.ndarray:
        wanted = _flat(self._wanted(target)[images])
        moment: np.ndarray = (_flat(self._rows[images]).T @ wanted).astype(np.float64)
        return moment

    def _solve(self, factored: tuple[Any, float], moment: np.ndarray) -> np.ndarray:
        factor, strength = factored
        matrix: np.ndarray = cho_solve(factor, moment + strength * self.before)
        return matrix.astype(np.float32)


class ByRows(Regression):
    """Solves for what every row adds to the weights: for fewer rows than features.

    The same weights are W0 + X'(XX' + s)^-1 (Z - X W0), with an equation for every row. Deep layers
    have many inputs and few positions: in pix2pix's U-Net thousands of features meet dozens.
    """

    def fit(self, target: np.ndarray, ridge: float) -> np.ndarray:
        """Weights [F, outputs] for a target [images, positions, outputs]."""
        factor, _ = _factor(self._kernel, ridge, self._features)
        added = cho_solve(factor, self._error(target)).astype(np.float32)
        matrix: np.ndarray = self.before + _flat(self._rows).T @ added
        return matrix.astype(np.float32)

    def _best_ridge(self, target: np.ndarray, ridges: tuple[float, ...], seen: int) -> float:
        rows = seen * self._rows.shape[1]
        kernel, wanted = self._kernel[:rows, :rows], self._error(target)

        def error(ridge: float) -> float:
            factor, _ = _factor(kernel, ridge, self._features)
            added = cho_solve(factor, wanted[:rows])
            return float(np.square(wanted[rows:] - self._kernel[rows:, :rows] @ added).sum())

        return min(ridges, key=error)

    @property
    def _features(self) -> int:
        return int(self._rows.shape[2])

    @cached_property
    def _kernel(self) -> np.ndarray:
        rows = _flat(self._rows)
        product: np.ndarray = (rows @ rows.T).astype(np.float64)
        return product

    def _error(self, target: np.ndarray) -> np.ndarray:
        """What the weights that are there leave, [rows, outputs]."""
        error: np.ndarray = _flat(self._wanted(target)) - _flat(self._rows) @ self.before
        return error.astype(np.float64)


def regression(
    source: np.ndarray,
    before: np.ndarray,
    *,
    centre: tuple[int, ...] = (),
    weight: np.ndarray | None = None,
) -> Regression:
    """Make the regression that takes less work for so many rows; arguments as for `Regression`."""
    images, positions, features = source.shape
    kind = ByRows if images * positions < features else ByFeatures
    return kind(source, before, centre=centre, weight=weight)


def _factor(product: np.ndarray, ridge: float, features: int | None = None) -> tuple[Any, float]:
    """Factorise a product of the rows with its ridge.

    Args:
        product: X'X or XX', whose traces are the same.
        ridge: share of the mean square of a feature.
        features: F; the side of the product if not given.

    Returns:
        The Cholesky factor, and what was added to the diagonal.
    """
    strength = ridge * np.trace(product) / (features or len(product)) + _FLOOR
    while True:
        try:
            return cho_factor(product + strength * np.eye(len(product))), strength
        except LinAlgError:
            # Inputs that repeat each other, as those of label maps do: the float32 product's
            # rounding then outweighs the least ridge.
            strength *= 10


def _flat(values: np.ndarray) -> np.ndarray:
    return values.reshape(-1, values.shape[-1])


def as_matrix(node: onnx.NodeProto, weight: np.ndarray) -> np.ndarray:
    """Weights of a layer as [inputs times taps, outputs], in the order of `taps.columns`."""
    if find(node).kind is Kind.PRODUCT:
        transposed = any(a.name == "transB" and a.i for a in node.attribute)
        return weight.T if transposed else weight
    channels_first = weight if find(node).transposed else weight.swapaxes(0, 1)
    moved = np.moveaxis(channels_first, 1, -1)
    return moved.reshape(-1, moved.shape[-1])


def from_matrix(node: onnx.NodeProto, matrix: np.ndarray, like: np.ndarray) -> np.ndarray:
    """Inverse of `as_matrix`, for weights of the shape and type of `like`."""
    entry = find(node)
    if entry.kind is Kind.PRODUCT:
        weight = as_matrix(node, matrix)
    else:
        inputs = like.shape[0 if entry.transposed else 1]
        kernel = like.shape[2:]
        moved = np.moveaxis(matrix.reshape(inputs, *kernel, matrix.shape[-1]), -1, 1)
        weight = moved if entry.transposed else moved.swapaxes(0, 1)
    return np.ascontiguousarray(weight.astype(like.dtype))
