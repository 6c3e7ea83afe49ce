"""Least squares for one layer: new weights from what it reads and what it should give."""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import onnx
from scipy.linalg import cho_factor, cho_solve


@dataclass(frozen=True)
class Regression:
    """Ridge regression towards the weights that are there.

        min over W of sum_p w_p |x_p W - z_p|^2 + ridge tr(X'X)/F |W - W0|^2

    X and Z are centred, over each image where an InstanceNormalization follows (it removes the
    mean of each image), else over all.

    Attributes:
        source: X, [images, positions, F].
        before: W0, [F, outputs].
        ridge: strength, as a share of the mean energy of the columns of X.
        by_image: what the centring runs over.
        weight: w, [images, positions, 1]; 1 where None.
    """

    source: np.ndarray
    before: np.ndarray
    ridge: float
    by_image: bool
    weight: np.ndarray | None = None

    @cached_property
    def centred(self) -> np.ndarray:
        """X less its means, [images, positions, F]."""
        return self._centre(self.source)

    @cached_property
    def _gram(self) -> tuple[object, float]:
        flat = self._flat
        gram = (flat.T @ flat).astype(np.float64)
        strength = self.ridge * np.trace(gram) / len(gram) + 1e-12
        gram[np.diag_indices(len(gram))] += strength
        return cho_factor(gram, lower=True), float(strength)

    def fit(self, target: np.ndarray) -> np.ndarray:
        """Weights [F, outputs] for a target [images, positions, outputs]."""
        factor, strength = self._gram
        wanted = self._weigh(self._centre(target)).reshape(-1, target.shape[-1])
        right = (self._flat.T @ wanted).astype(np.float64) + strength * self.before
        solution: np.ndarray = cho_solve(factor, right)
        return solution.astype(np.float32)

    @cached_property
    def _flat(self) -> np.ndarray:
        return self._weigh(self.centred).reshape(-1, self.source.shape[-1])

    def _weigh(self, values: np.ndarray) -> np.ndarray:
        return values if self.weight is None else values * np.sqrt(self.weight, dtype=np.float32)

    def _centre(self, values: np.ndarray) -> np.ndarray:
        axes = (1,) if self.by_image else (0, 1)
        centred: np.ndarray = values - values.mean(axis=axes, keepdims=True)
        return centred


def as_matrix(node: onnx.NodeProto, weight: np.ndarray) -> np.ndarray:
    """Weights of a layer as [inputs times taps, outputs], in the order of `taps.columns`."""
    if node.op_type == "Gemm":
        transposed = any(a.name == "transB" and a.i for a in node.attribute)
        return weight.T if transposed else weight
    channels_first = weight if node.op_type == "ConvTranspose" else weight.swapaxes(0, 1)
    moved = np.moveaxis(channels_first, 1, -1)
    return moved.reshape(-1, moved.shape[-1])


def from_matrix(node: onnx.NodeProto, matrix: np.ndarray, like: np.ndarray) -> np.ndarray:
    """Inverse of `as_matrix`, for weights of the shape and type of `like`."""
    if node.op_type == "Gemm":
        weight = as_matrix(node, matrix)
    else:
        inputs = like.shape[0 if node.op_type == "ConvTranspose" else 1]
        kernel = like.shape[2:]
        moved = np.moveaxis(matrix.reshape(inputs, *kernel, matrix.shape[-1]), -1, 1)
        weight = moved if node.op_type == "ConvTranspose" else moved.swapaxes(0, 1)
    return np.ascontiguousarray(weight.astype(like.dtype))
