"""Fourier transforms: along one axis, every channel by itself."""

import onnx

from decig.graph.flow import Flow, attributes
from decig.graph.ids import Ids
from decig.graph.rules.registry import rule


@rule("DFT")
def fourier(flow: Flow, node: onnx.NodeProto) -> Ids | list[Ids | None] | None:
    """[..., real or complex]: channels on other axes pass, one along the transform is frozen.

    The last axis holds real and imaginary part, which the transform mixes: both stay or go.
    """
    ids = flow.of(node.input[0])
    if ids is None:
        return None
    axis = dft_axis(flow, node)
    if axis is None:
        return flow.block(node, f"DFT {node.name} along a computed axis")
    axis %= ids.ndim
    if ids.shape[axis] > 1:
        return flow.block(node, f"DFT {node.name} transforms along channels")
    why = f"DFT {node.name} mixes real and imaginary parts"
    return flow.space.tie(ids, (ids.ndim - 1,), why)


def dft_axis(flow: Flow, node: onnx.NodeProto) -> int | None:
    """Axis of a transform: an attribute before opset 20, then an input; None if it is computed."""
    if flow.opset < 20:
        return int(attributes(node).get("axis", 1))
    if len(node.input) < 3 or not node.input[2]:
        return -2
    given = flow.constant(node.input[2])
    return None if given is None else int(given.item())
