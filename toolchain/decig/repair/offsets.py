"""What a layer's own bias or the normalisation behind it does to what the weights give.

Each class maps p, what the weights give at sampled positions counted from its mean, to the value
at the end of the layer's tail as gamma p / spread + beta, and knows which of its numbers may be
fitted.
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
        if bias is None:
            self.centre = ()

    def spread(self, given: np.ndarray) -> np.ndarray:
        """What p is divided by, broadcastable to `given`."""
        return np.ones(1, np.float32)

    def normalise(self, given: np.ndarray) -> np.ndarray:
        """The value before gamma and beta."""
        return given

    def apply(self, given: np.ndarray) -> np.ndarray:
        """Value at the end of the tail for p, [images, positions, outputs] both."""
        value: np.ndarray = self.gamma * self.normalise(given) + self.beta
        return value

    def wish(self, given: np.ndarray, wanted: np.ndarray) -> np.ndarray:
        """The p that gives `wanted`, the spread taken as it is now."""
        strength = np.abs(self.gamma)
        # A channel that gamma all but mutes cannot be steered.
        gamma = np.where(strength < 1e-3 * strength.max(), np.inf, self.gamma)
        missing = (wanted - self.apply(given)) / gamma
        wished: np.ndarray = given + missing * self.spread(given)
        return wished

    def refit(self, given: np.ndarray, wanted: np.ndarray, weight: np.ndarray | None) -> None:
        """Move beta so that the mean of the value is that of `wanted`."""
        if self._bias is not None:
            missing = np.average(wanted - given, axis=(0, 1), weights=_full(weight, given))
            self.beta = missing.astype(np.float32)

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
        self.gamma, self.beta = (weights[name] for name in node.input[1:3])

    def normalise(self, given: np.ndarray) -> np.ndarray:
        """P over its spread."""
        result: np.ndarray = given / self.spread(given)
        return result

    def refit(self, given: np.ndarray, wanted: np.ndarray, weight: np.ndarray | None) -> None:
        """Least squares of `wanted` on the normalised value: gamma = cov / var."""
        value = self.normalise(given)
        share = _full(weight, given)
        means = [np.average(part, axis=(0, 1), weights=share) for part in (value, wanted)]
        value, rest = value - means[0], wanted - means[1]
        variance = np.average(np.square(value), axis=(0, 1), weights=share)
        covariance = np.average(value * rest, axis=(0, 1), weights=share)
        self.gamma = (covariance / np.maximum(variance, _TINY)).astype(np.float32)
        self.beta = (means[1] - self.gamma * means[0]).astype(np.float32)

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
        self._root = np.sqrt(variance + self.epsilon).astype(np.float32)
        self._mean = mean

    def spread(self, given: np.ndarray) -> np.ndarray:
        """Square root of the running variance."""
        return self._root

    def stored(self, mean: np.ndarray) -> dict[str, np.ndarray]:
        """As for a Norm, and the running mean."""
        return super().stored(mean) | {self.node.input[3]: mean + self._own}


class InstanceNorm(Norm):
    """Statistics of each image.

    The sample knows them at its positions only; how far the original's sample is off the whole
    image's mean m and spread s, both known there, corrects them (a ratio estimate):

        spread(p) = std(p at the sample) * s / std(z at the sample), z the original's output
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

    def spread(self, given: np.ndarray) -> np.ndarray:
        """Standard deviation over each image, [images, 1, outputs]."""
        spread = given.std(axis=1, keepdims=True) * self._ratio
        root: np.ndarray = np.sqrt(np.square(spread) + self.epsilon)
        return root

    def normalise(self, given: np.ndarray) -> np.ndarray:
        """Like the norm itself, over the whole image."""
        result: np.ndarray = given / self.spread(given) - self._off
        return result


def _full(weight: np.ndarray | None, like: np.ndarray) -> np.ndarray | None:
    return None if weight is None else np.broadcast_to(weight, like.shape)
