"""What a layer's own bias or the normalisation behind it does to what the weights give.

Each class maps p, what the weights give at sampled positions counted from its mean, to the value
at the end of the layer's tail as gamma (p scale - off) + beta, and knows which of its numbers may
be fitted.
"""

from collections.abc import Mapping

import numpy as np
import onnx

from decig.graph.flow import attributes
from decig.repair.sample import Sample

_TINY = 1e-6


class Offset:
    """Nothing, or a bias, behind the weights."""

    centre: tuple[int, ...] = (0, 1)

    def __init__(self, bias: str | None, weights: Mapping[str, np.ndarray], outputs: int) -> None:
        """Start from the weights that are there; `bias` names the layer's bias."""
        self._bias = bias
        self.gamma = np.ones(outputs, np.float32)
        self.beta = np.zeros(outputs, np.float32)
        self._scale = np.ones(1, np.float32)
        self._off = np.zeros(1, np.float32)
        self._given = np.zeros((0, 0, outputs), np.float32)
        if bias is None:
            self.centre = ()

    def take(self, given: np.ndarray) -> None:
        """Go by this p, [images, positions, outputs], from now on."""
        self._given = given

    def value(self) -> np.ndarray:
        """Value at the end of the tail, [images, positions, outputs]."""
        value: np.ndarray = self._given * (self.gamma * self._scale)
        value += self.beta - self.gamma * self._off
        return value

    def wish(self, wanted: np.ndarray) -> np.ndarray:
        """The p that would give `wanted` if its scale stayed as it is."""
        strength = np.abs(self.gamma)
        # A channel that gamma all but mutes cannot be steered.
        muted = strength <= 1e-3 * strength.max()
        gamma = np.where(muted, np.float32(1), self.gamma)
        wished: np.ndarray = wanted - (self.beta - self.gamma * self._off)
        wished /= gamma * self._scale
        wished[..., muted] = self._given[..., muted]
        return wished

    def refit(self, wanted: np.ndarray, weight: np.ndarray | None) -> None:
        """Move beta so that the mean of the value is that of `wanted`."""
        if self._bias is not None:
            means = (_means(part, weight).mean((0, 1)) for part in (wanted, self._given))
            self.beta = np.subtract(*means).astype(np.float32)

    def stored(self, mean: np.ndarray) -> dict[str, np.ndarray]:
        """Constants to write; `mean` [outputs] is what the weights give at the centre of X."""
        return {} if self._bias is None else {self._bias: self.beta - mean}


class Norm(Offset):
    """A normalisation; gamma and beta follow by least squares, a channel at a time."""

    def __init__(
        self, node: onnx.NodeProto, weights: Mapping[str, np.ndarray], outputs: int
    ) -> None:
        """Start from the norm's constants."""
        super().__init__("", weights, outputs)
        self.node = node
        self.epsilon = float(attributes(node).get("epsilon", 1e-5))
        self.gamma, self.beta = (weights[name].astype(np.float32) for name in node.input[1:3])

    def refit(self, wanted: np.ndarray, weight: np.ndarray | None) -> None:
        """Least squares of `wanted` on the normalised value v = p scale - off: gamma = cov / var.

        The means of v, v^2 and v times wanted follow from those of p over each image.
        """
        given, scale, off = self._given, self._scale, self._off
        share = np.ones(1) if weight is None else weight.mean(1, keepdims=True) / weight.mean()
        p, z = _means(given, weight), _means(wanted, weight)
        squares, products = _means(given, weight, given), _means(given, weight, wanted)
        mean, target = (p * scale - off * share).mean((0, 1)), z.mean((0, 1))
        square = (squares * scale**2 - 2 * p * scale * off + off**2 * share).mean((0, 1))
        product = (products * scale - z * off).mean((0, 1))
        gamma = (product - mean * target) / np.maximum(square - mean**2, _TINY)
        self.gamma = gamma.astype(np.float32)
        self.beta = (target - gamma * mean).astype(np.float32)

    def stored(self, mean: np.ndarray) -> dict[str, np.ndarray]:
        """Gamma and beta; an InstanceNorm takes the mean out by itself."""
        return {self.node.input[1]: self.gamma, self.node.input[2]: self.beta}


class BatchNorm(Norm):
    """Fixed statistics: the running mean follows the weights, the variance stays."""

    def __init__(
        self,
        node: onnx.NodeProto,
        weights: Mapping[str, np.ndarray],
        outputs: int,
        bias: np.ndarray | float,
    ) -> None:
        """Start from the norm's constants; `bias` is the layer's own, which stays."""
        super().__init__(node, weights, outputs)
        self._own = bias
        mean, variance = (weights[name] for name in node.input[3:5])
        self._scale = (1 / np.sqrt(variance + self.epsilon)).astype(np.float32)
        self._mean = mean

    def stored(self, mean: np.ndarray) -> dict[str, np.ndarray]:
        """As for a Norm, and the running mean."""
        return super().stored(mean) | {self.node.input[3]: mean + self._own}


class InstanceNorm(Norm):
    """Statistics of each image.

    The sample knows them at its positions only; how far the original's sample is off the whole
    image's mean m and spread s, both known there, corrects them (a ratio estimate):

        1 / scale(p) = std(p at the sample) * s / std(z at the sample), z the original's output
    """

    centre = (1,)

    def __init__(
        self,
        node: onnx.NodeProto,
        weights: Mapping[str, np.ndarray],
        outputs: int,
        sample: Sample,
    ) -> None:
        """Start from the norm's constants and the original's statistics."""
        super().__init__(node, weights, outputs)
        at_sample = np.maximum(sample.output.std(axis=1, keepdims=True), _TINY)
        self._ratio = np.clip(sample.spread / at_sample, 0.5, 2.0)
        off = sample.mean - sample.output.mean(axis=1, keepdims=True)
        self._off = off / np.maximum(sample.spread, _TINY)

    def take(self, given: np.ndarray) -> None:
        """Go by this p, whose mean over each image is 0."""
        super().take(given)
        variance = _means(given, None, given) * np.square(self._ratio)
        self._scale = (1 / np.sqrt(variance + self.epsilon)).astype(np.float32)


def _means(
    one: np.ndarray, weight: np.ndarray | None, other: np.ndarray | None = None
) -> np.ndarray:
    """Means over the positions of each image, or of a product, float64 [images, 1, outputs].

    Weighted ones, if there are weights, [images, positions, 1], counted from their mean over all.
    """
    if weight is not None:
        one = one * (weight / weight.mean())
    if other is None:
        sums: np.ndarray = one.sum(1, keepdims=True)
    else:
        sums = np.einsum("npo,npo->no", one, other)[:, None]
    means: np.ndarray = sums.astype(np.float64) / one.shape[1]
    return means
