"""The consumers of channels: what each reads on real inputs, and what it makes of it."""

import logging
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import onnx

from decig.data.feeds import Feeds
from decig.graph.channels import ChannelMap
from decig.graph.flow import Read
from decig.graph.model import initializers
from decig.repair.activations import Stream

_log = logging.getLogger(__name__)

_RIDGE = 1e-3  # of the mean variance: channels that never move have an inverse, too
_FEW = 4
"""Values of a channel from which on something can be told of how channels go together."""


@dataclass(frozen=True)
class Reader:
    """One consumer's view of the channels it reads.

    Attributes:
        read: the node and its input.
        axis: of the channels in that input.
        labels: class of every channel read.
        mean: of the channels, over positions and images.
        inverse: Q, inverse of the channels' covariance.
        product: MM', [channels, channels], of the weights M, [channels, outputs times taps], scaled
            to output energy one.
    """

    read: Read
    axis: int
    labels: np.ndarray
    mean: np.ndarray
    inverse: np.ndarray
    product: np.ndarray

    def estimate(self, gone: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Estimate all channels from those that stay: x B + c is closest to x in the mean square.

        For x ~ (mean, inverse(Q)) and parts R (gone) and K (kept),

            E[x_R | x_K] = mean_R - inverse(Q_RR) Q_RK (x_K - mean_K)

        Args:
            gone: boolean mask over the channels.

        Returns:
            B, [channels, channels] with zero rows for what is gone, and c, [channels].
        """
        matrix = np.diag(np.where(gone, 0.0, 1.0))
        between = self.inverse[np.ix_(gone, ~gone)]
        solved = np.linalg.solve(self.inverse[np.ix_(gone, gone)], between)
        matrix[np.ix_(~gone, gone)] = -solved.T
        return matrix, self.mean - self.mean @ matrix


def find_readers(
    proto: onnx.ModelProto, channels: ChannelMap, inputs: Sequence[Feeds]
) -> list[Reader]:
    """Run a graph on real inputs and look at what every consumer of channels reads.

    Args:
        proto: graph in normal form.
        channels: its channel groups.
        inputs: what it takes, by input name, for every image.

    Raises:
        BadInputError: there are none, or they do not fit the graph.
    """
    weights = initializers(proto)
    bindings = {b.node: b for b in channels.bindings if b.role == "read"}
    stream = Stream(proto, inputs)
    readers, fewest = list[Reader](), _FEW
    for read in channels.reads:
        stream.advance(read.node)
        axis = int(np.argmax(read.ids.shape)) - read.ids.ndim
        batches = stream.value(read.value)
        mean, covariance = _moments(batches, axis)
        labels = channels.classes_of(read.ids).ravel()
        if len(labels) != len(covariance):
            continue  # a single channel stands for all that is read: nothing to tell apart
        product = np.eye(len(labels))  # a product of two computed tensors has no weights
        if binding := bindings.get(read.node):
            rows = np.moveaxis(weights[binding.initializer], int(np.argmax(binding.ids.shape)), 0)
            matrix = rows.reshape(len(rows), -1).astype(np.float64)
            matrix = np.resize(matrix, (len(labels), matrix.shape[1]))
            product = matrix @ matrix.T
        energy = (product * covariance).sum()  # tr(M' covariance M)
        ridge = _RIDGE * (np.trace(covariance) + _RIDGE * mean @ mean) / len(covariance) + 1e-12
        inverse = np.linalg.inv(covariance + ridge * np.eye(len(covariance)))
        # Of channels that never moved, only the size of their weights can be told.
        energy = max(energy, ridge * np.trace(product), 1e-30)
        readers.append(Reader(read, axis, labels, mean, inverse, product / energy))
        fewest = min(fewest, sum(batch.size for batch in batches) // len(covariance))
    if fewest < _FEW:
        _log.warning(
            "channels are scored by values of which each image has one, and there are %d images: "
            "more of them (some thirty) score better",
            fewest,
        )
    return readers


def _moments(batches: list[np.ndarray], axis: int) -> tuple[np.ndarray, np.ndarray]:
    """Mean and covariance of the channels over positions and images."""
    size = batches[0].shape[axis]
    total, mean, count = np.zeros((size, size)), np.zeros(size), 0
    for batch in batches:
        rows = np.moveaxis(batch, axis, 0).reshape(size, -1)
        rows = rows.astype(np.float32, copy=False)  # sums over an image overflow float16
        new, own = rows.shape[1], rows.mean(1, dtype=np.float64)
        centred = rows - own[:, None].astype(np.float32)
        # Of two parts, the squares about their common mean (Chan et al., 1979): the difference of
        # squares and squared mean would leave nothing but rounding where channels hardly move.
        away = own - mean
        total += (centred @ centred.T).astype(np.float64)
        total += np.outer(away, away) * (count * new / (count + new))
        mean, count = mean + away * (new / (count + new)), count + new
    return mean, total / count
