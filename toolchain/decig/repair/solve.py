"""Least squares for one layer: new weights from what it reads and what it should give."""

import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import pairwise
from typing import Any

import numpy as np
import onnx
from scipy.linalg import LinAlgError, cho_factor, cho_solve

from decig.device.run.threads import side_by_side
from decig.graph.operators import Kind, find

_FLOOR = 1e-10  # keeps the factorisation defined where inputs are constant
_PARTS = 4  # into which products are cut, each for one thread


@dataclass(frozen=True)
class Fit:
    """Weights that were found.

    Attributes:
        given: what they give from its mean, [images, positions, outputs].
        ridge: with which they were found.
    """

    given: np.ndarray
    ridge: float
    _weights: Callable[[], np.ndarray]

    @cached_property
    def matrix(self) -> np.ndarray:
        """The weights, float32 [F, outputs]."""
        return self._weights().astype(np.float32)


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
        if centre:
            source -= self.mean
        self._root = None
        if weight is not None:
            self._root = np.sqrt(weight / weight.mean()).astype(np.float32)
            source *= self._root
        self._rows = source
        self._seen = len(source) - max(1, len(source) // 4)
        self._factors: dict[float, tuple[Any, float]] = {}

    def fit(self, target: np.ndarray, ridges: Sequence[float]) -> Fit:
        """Fit weights to a target.

        Args:
            target: z, [images, positions, outputs].
            ridges: to be chosen from, by the error on the last quarter of the images of what is
                fitted to the others; of a single image the largest is taken.
        """
        if self._axes:
            target = target - target.mean(axis=self._axes, keepdims=True)
        if self._root is not None:
            target = target * self._root
        fit = self._fit(target, ridges)
        return fit if self._root is None else replace(fit, given=fit.given / self._root)

    @abstractmethod
    def _fit(self, target: np.ndarray, ridges: Sequence[float]) -> Fit:
        """Fit weights; the target is centred and weighted, as the rows are, and so is `given`."""

    @property
    @abstractmethod
    def _product(self) -> np.ndarray:
        """X'X or XX' over all images, float64."""

    def _factored(self, ridge: float) -> tuple[Any, float]:
        """What `_factor` makes of all images; kept until another ridge is asked for."""
        if ridge not in self._factors:
            self._factors = {ridge: _factor(self._product, ridge, self._rows.shape[2])}
        return self._factors[ridge]

    def _least(self, ridges: Sequence[float], error: Callable[[float], float]) -> float:
        """The ridge of least error on images that are not seen."""
        if len(ridges) == 1 or not self._seen:
            return max(ridges)
        errors = side_by_side(error, ridges)
        return ridges[errors.index(min(errors))]


class ByFeatures(Regression):
    """Solves for the weights themselves: an equation for every feature, for many rows."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        """Take the rows in, as every `Regression`."""
        super().__init__(*args, **kwargs)
        cuts = np.linspace(0, self._seen, _PARTS).astype(int)
        self._parts = [slice(*ends) for ends in pairwise([*cuts, len(self._rows)])]
        self._grams = self._moments(self._rows)

    @property
    def _product(self) -> np.ndarray:
        return _total(self._grams)

    def _fit(self, target: np.ndarray, ridges: Sequence[float]) -> Fit:
        seen, unseen = self._moments(target)

        def error(ridge: float) -> float:
            matrix = self._solve(_factor(self._grams[0], ridge, len(seen)), seen)
            return float((matrix * (self._grams[1] @ matrix - 2 * unseen)).sum())

        ridge = self._least(ridges, error)
        matrix = self._solve(self._factored(ridge), seen + unseen).astype(np.float32)
        given = np.empty((*self._rows.shape[:2], matrix.shape[1]), np.float32)
        side_by_side(lambda part: np.matmul(self._rows[part], matrix, out=given[part]), self._parts)
        return Fit(given, ridge, lambda: matrix)

    def _moments(self, target: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """X'Z over the images that are seen, and over the others."""

        def moment(images: slice) -> np.ndarray:
            found: np.ndarray = _flat(self._rows[images]).T @ _flat(target[images])
            return found

        *seen, unseen = side_by_side(moment, self._parts)
        return _total(seen), _total([unseen])

    def _solve(self, factored: tuple[Any, float], moment: np.ndarray) -> np.ndarray:
        factor, strength = factored
        matrix: np.ndarray = cho_solve(factor, moment + strength * self.before)
        return matrix


class ByRows(Regression):
    """Solves for what every row adds to the weights: for fewer rows than features.

    The same weights are W0 + X'(XX' + s)^-1 (Z - X W0), with an equation for every row. Deep layers
    have many inputs and few positions: in pix2pix's U-Net thousands of features meet dozens.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        """Take the rows in, as every `Regression`."""
        super().__init__(*args, **kwargs)
        self._flat = _flat(self._rows)
        cuts = np.linspace(0, self._flat.shape[1], _PARTS + 1).astype(int)
        parts = [self._flat[:, start:stop] for start, stop in pairwise(cuts)]
        self._kernel = _total(side_by_side(lambda part: part @ part.T, parts))
        self._there = self._flat @ self.before

    @property
    def _product(self) -> np.ndarray:
        return self._kernel

    def _fit(self, target: np.ndarray, ridges: Sequence[float]) -> Fit:
        missing = (_flat(target) - self._there).astype(np.float64)
        rows, features = self._seen * self._rows.shape[1], self._flat.shape[1]

        def error(ridge: float) -> float:
            factor, _ = _factor(self._kernel[:rows, :rows], ridge, features)
            added = cho_solve(factor, missing[:rows])
            return float(np.square(missing[rows:] - self._kernel[rows:, :rows] @ added).sum())

        ridge = self._least(ridges, error)
        factor, _ = self._factored(ridge)
        added = cho_solve(factor, missing)
        given = (self._there + self._kernel @ added).astype(np.float32)
        return Fit(
            given.reshape(target.shape),
            ridge,
            lambda: self.before + self._flat.T @ added.astype(np.float32),
        )


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


def _factor(product: np.ndarray, ridge: float, features: int) -> tuple[Any, float]:
    """Factorise a product of the rows with its ridge.

    Args:
        product: X'X or XX', whose traces are the same.
        ridge: share of the mean square of a feature.
        features: F.

    Returns:
        The Cholesky factor, and what was added to the diagonal.
    """
    strength = ridge * np.trace(product) / features + _FLOOR
    while True:
        try:
            loaded = product.T.copy(order="F")  # LAPACK's order, so that it is not copied again
            loaded[np.diag_indices(len(loaded))] += strength
            return cho_factor(loaded, overwrite_a=True), strength
        except LinAlgError:
            # Inputs that repeat each other, as those of label maps do: the float32 product's
            # rounding then outweighs the least ridge.
            strength *= 10


def _total(parts: Sequence[np.ndarray]) -> np.ndarray:
    """Sum of float32 arrays, float64."""
    total = np.zeros(parts[0].shape)
    for part in parts:
        total += part
    return total


def _flat(values: np.ndarray) -> np.ndarray:
    return values.reshape(-1, values.shape[-1])


def as_matrix(node: onnx.NodeProto, weight: np.ndarray) -> np.ndarray:
    """Weights of a layer as [taps times inputs, outputs], in the order of `taps.columns`."""
    if find(node).kind is Kind.PRODUCT:
        return weight.T if _is_turned(node) else weight
    inputs_first = weight if find(node).transposed else weight.swapaxes(0, 1)
    taps_first = np.moveaxis(inputs_first, (0, 1), (-2, -1))
    return taps_first.reshape(-1, inputs_first.shape[1])


def features(node: onnx.NodeProto, shape: tuple[int, ...]) -> int:
    """Rows of the matrix that `as_matrix` makes of weights of a shape."""
    outputs_at = 1 if find(node).transposed else 0
    if find(node).kind is Kind.PRODUCT:
        outputs_at = 0 if _is_turned(node) else 1
    return math.prod(shape) // shape[outputs_at]


def from_matrix(node: onnx.NodeProto, matrix: np.ndarray, like: np.ndarray) -> np.ndarray:
    """Inverse of `as_matrix`, for weights of the shape and type of `like`."""
    entry = find(node)
    if entry.kind is Kind.PRODUCT:
        weight = as_matrix(node, matrix)
    else:
        inputs = like.shape[0 if entry.transposed else 1]
        apart = matrix.reshape(*like.shape[2:], inputs, matrix.shape[-1])
        inputs_first = np.moveaxis(apart, (-2, -1), (0, 1))
        weight = inputs_first if entry.transposed else inputs_first.swapaxes(0, 1)
    return np.ascontiguousarray(weight.astype(like.dtype))


def _is_turned(product: onnx.NodeProto) -> bool:
    return any(a.name == "transB" and a.i for a in product.attribute)
