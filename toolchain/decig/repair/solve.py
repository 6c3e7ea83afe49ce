"""Least squares for one layer: new weights from what it reads and what it should give."""

from functools import cached_property

import numpy as np
import onnx
from scipy.linalg import LinAlgError, cho_factor, cho_solve

from decig.graph.operators import Kind, find

_FLOOR = 1e-10  # keeps the factorisation defined where inputs are constant


class Regression:
    """Weighted ridge regression towards the weights that are there.

        min over W of sum_p w_p |x_p W - z_p|^2 + ridge tr(X'X)/F |W - W0|^2

    The rows of X are positions of images; with an offset to take it up, x and z count from their
    means.
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

    def fit(self, target: np.ndarray, ridge: float) -> np.ndarray:
        """Weights [F, outputs] for a target [images, positions, outputs]."""
        return self._solve(self._gram, self._moment(target, slice(None)), ridge)

    def best_ridge(self, target: np.ndarray, ridges: tuple[float, ...]) -> float:
        """Choose the ridge by the error on the last quarter of the images, fitted to the others."""
        held = max(1, len(self._rows) // 4)
        if len(self._rows) < 2:
            return max(ridges)
        seen = slice(0, len(self._rows) - held)
        unseen = slice(len(self._rows) - held, None)
        gram_unseen = self._product(unseen)
        gram, moment = self._gram - gram_unseen, self._moment(target, seen)
        moment_unseen = self._moment(target, unseen)

        def error(ridge: float) -> float:
            matrix = self._solve(gram, moment, ridge)
            return float((matrix * (gram_unseen @ matrix - 2 * moment_unseen)).sum())

        return min(ridges, key=error)

    @cached_property
    def _gram(self) -> np.ndarray:
        return self._product(slice(None))

    def _product(self, images: slice) -> np.ndarray:
        rows = self._flat(self._rows[images])
        product: np.ndarray = (rows.T @ rows).astype(np.float64)
        return product

    def _moment(self, target: np.ndarray, images: slice) -> np.ndarray:
        if self._axes:
            target = target - target.mean(axis=self._axes, keepdims=True)
        wanted = self._flat((target * self._root)[images])
        moment: np.ndarray = (self._flat(self._rows[images]).T @ wanted).astype(np.float64)
        return moment

    def _solve(self, gram: np.ndarray, moment: np.ndarray, ridge: float) -> np.ndarray:
        strength = ridge * np.trace(gram) / len(gram) + _FLOOR
        while True:
            try:
                factor = cho_factor(gram + strength * np.eye(len(gram)))
                break
            except LinAlgError:
                # Inputs that repeat each other, as those of label maps do: the float32 product's
                # rounding then outweighs the least ridge.
                strength *= 10
        matrix: np.ndarray = cho_solve(factor, moment + strength * self.before)
        return matrix.astype(np.float32)

    @staticmethod
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
