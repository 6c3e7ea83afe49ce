"""Slicing: the smaller graph that a plan describes."""

import numpy as np
import onnx
from onnx import numpy_helper

from decig.graph.channels import ChannelMap
from decig.graph.flow import Cut
from decig.graph.model import infer_shapes
from decig.graph.plan import Plan


def slice_graph(proto: onnx.ModelProto, channels: ChannelMap, plan: Plan) -> onnx.ModelProto:
    """Take the kept channels out of every bound initializer and mend the shape constants.

    Args:
        proto: the graph that `channels` was made from, or one with other weights.
        channels: its channel groups.
        plan: what stays; see `Plan.require_fits`.

    Returns:
        A new graph with the same names of nodes, values and initializers.
    """
    sliced = onnx.ModelProto()
    sliced.CopyFrom(proto)
    removed = channels.removed(plan.keep)
    cut = Cut(sliced, removed)
    masks = _axis_masks(channels, cut)
    for tensor in sliced.graph.initializer:
        if tensor.name in masks:
            array = numpy_helper.to_array(tensor)
            for axis, mask in masks[tensor.name].items():
                array = array.compress(mask, axis)
            tensor.CopyFrom(numpy_helper.from_array(array, tensor.name))
    channels.mend(cut)
    return infer_shapes(sliced)


def _axis_masks(channels: ChannelMap, cut: Cut) -> dict[str, dict[int, np.ndarray]]:
    masks: dict[str, dict[int, np.ndarray]] = {}
    for binding in channels.bindings:
        for axis, size in enumerate(binding.ids.shape):
            if size > 1 and not (kept := cut.kept(binding.ids, axis)).all():
                masks.setdefault(binding.initializer, {})[axis] = kept
    return masks
