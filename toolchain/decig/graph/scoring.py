"""How much each channel matters, from the weights alone."""

from collections.abc import Mapping

import numpy as np
import onnx

from decig.graph.channels import ChannelMap
from decig.graph.flow import Role
from decig.graph.model import initializers


def magnitude_scores(proto: onnx.ModelProto, channels: ChannelMap) -> dict[str, np.ndarray]:
    """Score every channel of every prunable group by the size of its weights.

    score_j = spread_j * |weights that read j|_2, where spread_j is the size of what the channel
    carries: the norm's |gamma_j| where a normalisation scales it (the weights before one can
    shrink without changing the picture), else the 2-norm of the weights that make it.

    Returns:
        An array per group, with one score per channel in the group's order.
    """
    weights = initializers(proto)
    read, scale, made = (
        channel_norms(channels, weights, roles)
        for roles in (("read",), ("scale",), ("write", "value"))
    )
    return {
        group.name: _or_ones(read[group.name]) * _first(scale[group.name], made[group.name])
        for group in channels.prunable
    }


def magnitude_loss(scores: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """What is lost, by group, if the k best channels are kept, for k = 0 to all.

    The squared scores of those that go; it does not grow with k and ends at 0.
    """
    losses = {}
    for name, values in scores.items():
        best_first = np.sort(np.asarray(values, np.float64) ** 2)[::-1]
        losses[name] = best_first.sum() - np.concatenate([[0.0], np.cumsum(best_first)])
    return losses


def channel_norms(
    channels: ChannelMap, weights: dict[str, np.ndarray], roles: tuple[Role, ...]
) -> dict[str, np.ndarray]:
    """2-norm, for each channel of each group, of all weights bound to it in these roles."""
    total = np.zeros(channels.class_count)
    for binding in channels.bindings:
        if binding.role in roles:
            labels = channels.classes_of(binding.ids)
            other = tuple(axis for axis, size in enumerate(labels.shape) if size == 1)
            with np.errstate(over="ignore"):  # an infinite weight outweighs all others
                squares = np.square(weights[binding.initializer], dtype=np.float32)
            np.add.at(total, labels, squares.sum(axis=other, keepdims=True, dtype=np.float64))
    return {group.name: np.sqrt(total[group.classes]) for group in channels.groups}


def _or_ones(norm: np.ndarray) -> np.ndarray:
    """Ones where no weight reads the channels: all count the same, and the first ones are kept."""
    return norm if norm.any() else np.ones_like(norm)


def _first(scale: np.ndarray, made: np.ndarray) -> np.ndarray:
    return scale if scale.any() else made
