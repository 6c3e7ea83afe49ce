"""True multiply-accumulates and parameters of a graph."""

import math
from dataclasses import dataclass

import onnx
from onnx import TensorProto

from decig.graph.flow import attributes
from decig.graph.model import shapes
from decig.graph.operators import find

FLOATS = (TensorProto.FLOAT, TensorProto.FLOAT16, TensorProto.BFLOAT16, TensorProto.DOUBLE)
"""Element types of parameters."""

_QUANTISING = ("QuantizeLinear", "DequantizeLinear")


@dataclass(frozen=True)
class Cost:
    """Parameters and multiply-accumulates.

    Attributes:
        params: elements of all float initializers except scalars, and of quantised weights,
            without their scales.
        macs: multiply-accumulates of one run at the graph's input shape.
        by_node: multiply-accumulates of each node that has any.
    """

    params: int
    macs: int
    by_node: dict[str, int]


def count(proto: onnx.ModelProto) -> Cost:
    """Count the cost of a graph with inferred shapes; `decig.graph.macs` says how."""
    known = shapes(proto)
    by_node = {}
    for node in proto.graph.node:
        macs = _macs(node, known)
        if macs:
            by_node[node.name] = macs
    quantising = [node for node in proto.graph.node if node.op_type in _QUANTISING]
    scales = {node.input[1] for node in quantising}
    weights = {node.input[0] for node in quantising}
    params = sum(
        math.prod(tensor.dims)
        for tensor in proto.graph.initializer
        if tensor.dims
        and tensor.name not in scales
        and (tensor.data_type in FLOATS or tensor.name in weights)
    )
    return Cost(params, sum(by_node.values()), by_node)


def _macs(node: onnx.NodeProto, known: dict[str, tuple[int, ...]]) -> int:
    """Multiply-accumulates of a node; 0 where one of the shapes they depend on is not known."""
    entry = find(node)
    if entry.count is None:
        return 0
    operands = node.input if node.op_type == "Einsum" else node.input[:2]  # a third is a bias
    found = [known[name] for name in (*operands, node.output[0]) if name in known]
    if len(found) <= len(operands):
        return 0
    return entry.count(found[:-1], found[-1], attributes(node))
