"""The oracle: the original graph with the removed channels read as zero.

For any graph and plan, `slice_graph` must give the output of `masked_graph` to rounding. Where a
norm takes its statistics over several channels (those groups are not exact), it takes them over
the kept ones.
"""

import onnx
from onnx import helper, numpy_helper

from decig.graph.channels import ChannelMap
from decig.graph.flow import pad_rank
from decig.graph.model import infer_shapes, opset, shapes
from decig.graph.operators import Kind, find
from decig.graph.plan import Plan
from decig.graph.statistics import Masked


def masked_graph(proto: onnx.ModelProto, channels: ChannelMap, plan: Plan) -> onnx.ModelProto:
    """Multiply every input at which channels are mixed by a mask of the plan's kept channels.

    For a convolution that is the same as setting to zero the weights by which it reads them.
    """
    masked = onnx.ModelProto()
    masked.CopyFrom(proto)
    removed = channels.removed(plan.keep)
    known = shapes(proto)
    values = (*proto.graph.input, *proto.graph.value_info)
    types = {value.name: value.type.tensor_type.elem_type for value in values}
    types |= {tensor.name: tensor.data_type for tensor in proto.graph.initializer}
    places = {(read.node, read.slot): read for read in channels.reads}
    statistics = {read.node: read for read in channels.statistics}
    nodes = []
    for node in masked.graph.node:
        shared = statistics.get(node.name)
        if shared is not None and removed[shared.ids].any():
            shape = known[shared.value]
            keep = ~removed[pad_rank(shared.ids, len(shape))]
            ones = keep.astype(helper.tensor_dtype_to_np_dtype(types[shared.value]))
            spelled = Masked(node, ones, shape, opset(proto), _axes(node, masked.graph))
            masked.graph.initializer.extend(spelled.constants)
            nodes.extend(spelled.nodes)
            continue
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


def _axes(node: onnx.NodeProto, graph: onnx.GraphProto) -> list[int] | None:
    """Axes that a reduction is given as a constant."""
    if find(node).kind is not Kind.REDUCTION or len(node.input) < 2 or not node.input[1]:
        return None
    given = next(tensor for tensor in graph.initializer if tensor.name == node.input[1])
    return [int(axis) for axis in numpy_helper.to_array(given)]
