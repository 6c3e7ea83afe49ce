"""The oracle: the original graph with the removed channels read as zero.

For any graph and plan, `slice_graph` must give the output of `masked_graph` to rounding. Groups
that are not exact (statistics over several channels) are left out of that promise.
"""

import numpy as np
import onnx
from onnx import helper, numpy_helper

from decig.graph.channels import ChannelMap
from decig.graph.model import infer_shapes, shapes
from decig.graph.plan import Plan


def masked_graph(proto: onnx.ModelProto, channels: ChannelMap, plan: Plan) -> onnx.ModelProto:
    """Multiply every input at which channels are mixed by a mask of the plan's kept channels.

    For a convolution that is the same as setting to zero the weights by which it reads them.
    """
    masked = onnx.ModelProto()
    masked.CopyFrom(proto)
    removed = channels.removed(plan)
    known = shapes(proto)
    places = {(read.node, read.slot): read for read in channels.reads}
    nodes = []
    for node in masked.graph.node:
        for slot in range(len(node.input)):
            read = places.get((node.name, slot))
            if read is None or not removed[read.ids].any():
                continue
            rank = len(known[read.value])
            keep = ~removed[read.ids.reshape((1,) * (rank - read.ids.ndim) + read.ids.shape)]
            mask = f"{node.name}/mask{slot}"
            masked.graph.initializer.append(numpy_helper.from_array(keep.astype(np.float32), mask))
            nodes.append(
                helper.make_node(
                    "Mul", [node.input[slot], mask], [f"{mask}/out"], name=f"{mask}/mul"
                )
            )
            node.input[slot] = f"{mask}/out"
        nodes.append(node)
    nodes = [onnx.NodeProto.FromString(node.SerializeToString()) for node in nodes]
    del masked.graph.node[:]  # invalidates the messages it held, hence the copies
    masked.graph.node.extend(nodes)
    return infer_shapes(masked)
