"""The oracle: the original graph with the removed channels read as zero.

For any graph and plan, `slice_graph` must give the output of `masked_graph` to rounding. Groups
that are not exact (statistics over several channels) are left out of that promise.
"""

import onnx
from onnx import helper, numpy_helper

from decig.graph.channels import ChannelMap
from decig.graph.flow import pad_rank
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
    values = (*proto.graph.input, *proto.graph.value_info)
    types = {value.name: value.type.tensor_type.elem_type for value in values}
    places = {(read.node, read.slot): read for read in channels.reads}
    nodes = []
    for node in masked.graph.node:
        for slot in range(len(node.input)):
            read = places.get((node.name, slot))
            if read is None or not removed[read.ids].any():
                continue
            keep = ~removed[pad_rank(read.ids, len(known[read.value]))]
            mask = f"{node.name}/mask{slot}"
            ones = keep.astype(helper.tensor_dtype_to_np_dtype(types[read.value]))
            masked.graph.initializer.append(numpy_helper.from_array(ones, mask))
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
