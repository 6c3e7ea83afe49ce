"""How much each channel matters, from the weights alone."""

import numpy as np
import onnx

from decig.graph.channels import ChannelMap, Group
from decig.graph.flow import Binding
from decig.graph.model import initializers


def magnitude_scores(proto: onnx.ModelProto, channels: ChannelMap) -> dict[str, np.ndarray]:
    """Score every channel of every prunable group by the size of its weights.

    score_j = spread_j * |weights that read j|_2, where spread_j is the size of what the channel
    carries: the norm's |gamma_j| where a normalisation scales it (the weights before one can
    shrink without changing the picture), else the 2-norm of the weights that make it.

    Returns:
        One array a group, in the group's channel order.
    """
    weights = initializers(proto)
    return {
        group.name: channel_norm(channels, group, weights, ("read",))
        * _spread(channels, group, weights)
        for group in channels.prunable
    }


def _spread(channels: ChannelMap, group: Group, weights: dict[str, np.ndarray]) -> np.ndarray:
    scale = channel_norm(channels, group, weights, ("scale",))
    return scale if scale.any() else channel_norm(channels, group, weights, ("write", "value"))


def channel_norm(
    channels: ChannelMap, group: Group, weights: dict[str, np.ndarray], roles: tuple[str, ...]
) -> np.ndarray:
    """2-norm, for each channel of a group, of all weights bound to it in these roles."""
    total = np.zeros(group.channels)
    place = {int(label): index for index, label in enumerate(group.classes)}
    for binding in channels.bindings:
        if binding.role in roles and binding.node in group.nodes:
            total += _squares(channels, binding, weights[binding.initializer], place)
    norm: np.ndarray = np.sqrt(total)
    # Nothing reads them (or nothing of that kind): all equal, so that order decides.
    return norm if norm.any() or "read" not in roles else np.ones_like(norm)


def _squares(
    channels: ChannelMap, binding: Binding, weight: np.ndarray, place: dict[int, int]
) -> np.ndarray:
    labels = channels.classes_of(binding.ids)
    other = tuple(axis for axis, size in enumerate(labels.shape) if size == 1)
    squares = (weight.astype(np.float64) ** 2).sum(axis=other, keepdims=True)
    index = np.array([place.get(int(label), len(place)) for label in labels.ravel()])
    result: np.ndarray = np.bincount(index, squares.ravel(), minlength=len(place) + 1)[:-1]
    return result
