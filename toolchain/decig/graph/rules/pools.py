"""Pools, and their inverse."""

import onnx

from decig.graph.flow import Flow
from decig.graph.ids import Ids
from decig.graph.operators import Kind, names
from decig.graph.rules.registry import rule


@rule(*names(Kind.POOL))
def window(flow: Flow, node: onnx.NodeProto) -> list[Ids | None]:
    """Pool each channel by itself; what varies inside the window is tied."""
    if len(node.output) > 1 and not _only_unpooled(flow, node.output[1]):
        return flow.block(node, f"the indices of {node.op_type} {node.name} count channels")
    ids = flow.of(node.input[0])
    if ids is not None:
        spatial = tuple(range(2, ids.ndim))
        ids = flow.space.tie(ids, spatial, f"{node.op_type} {node.name} pools over them")
    return [ids] * len(node.output)


def _only_unpooled(flow: Flow, indices: str) -> bool:
    """Whether the indices of a MaxPool go to MaxUnpool alone.

    They count the elements of all channels that there are, so they are right in a graph with fewer
    channels as long as nobody calculates with them.
    """
    readers = [node for node in flow.proto.graph.node if indices in node.input]
    ends = [value.name for value in flow.proto.graph.output]
    return indices not in ends and all(
        node.op_type == "MaxUnpool" and indices not in (node.input[0], *node.input[2:])
        for node in readers
    )


@rule("MaxUnpool")
def unpool(flow: Flow, node: onnx.NodeProto) -> Ids | list[Ids | None] | None:
    """Put each channel back to where its MaxPool found it; zeros elsewhere."""
    ids, found = flow.of(node.input[0]), flow.of(node.input[1])
    if len(node.input) > 2 and node.input[2]:
        return flow.block(node, f"MaxUnpool {node.name} names the size of its result")
    if ids is None or found is None or flow.is_constant(node.input[1]):
        return flow.block(node, f"MaxUnpool {node.name} puts channels at computed places")
    flow.space.unite(ids, found, f"{node.op_type} {node.name} joins them with fixed channels")
    why = f"{node.op_type} {node.name} moves them"
    return flow.space.tie(ids, tuple(range(2, ids.ndim)), why)
