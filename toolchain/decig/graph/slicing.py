"""Slicing: the smaller graph that a plan describes."""

import numpy as np
import onnx
from onnx import numpy_helper

from decig.graph.channels import ChannelMap
from decig.graph.flow import Cut, kept_along
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
    masks = axis_masks(channels, plan)
    for tensor in sliced.graph.initializer:
        if tensor.name in masks:
            array = numpy_helper.to_array(tensor)
            for axis, mask in masks[tensor.name].items():
                array = array.compress(mask, axis)
            tensor.CopyFrom(numpy_helper.from_array(array, tensor.name))
    channels.mend(Cut(sliced, channels.removed(plan.keep)))
    return infer_shapes(sliced)


def axis_masks(channels: ChannelMap, plan: Plan) -> dict[str, dict[int, np.ndarray]]:
    """Find which indices of every initializer's axes a plan keeps.

    Returns:
        By initializer and axis, a boolean for every index along that axis; axes that lose nothing
        are left out.
    """
    removed = channels.removed(plan.keep)
    masks: dict[str, dict[int, np.ndarray]] = {}
    for binding in channels.bindings:
        for axis, size in enumerate(binding.ids.shape):
            if size > 1 and not (kept := kept_along(removed, binding.ids, axis)).all():
                masks.setdefault(binding.initializer, {})[axis] = kept
    return masks
