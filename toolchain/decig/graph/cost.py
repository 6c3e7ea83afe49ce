"""True multiply-accumulates and parameters of a graph."""

import math
from dataclasses import dataclass

import onnx
from onnx import TensorProto

from decig.graph.flow import attributes
from decig.graph.model import shapes

FLOATS = (TensorProto.FLOAT, TensorProto.FLOAT16, TensorProto.BFLOAT16, TensorProto.DOUBLE)
"""Element types of parameters."""

_QUANTISING = ("QuantizeLinear", "DequantizeLinear")


@dataclass(frozen=True)
class Cost:
    """Parameters and multiply-accumulates.

    Attributes:
        params: elements of all float initializers but scalars, and of quantised weights; their
            scales are none.
        macs: multiply-accumulates of one run at the graph's input shape.
        by_node: multiply-accumulates of each node that has any.
    """

    params: int
    macs: int
    by_node: dict[str, int]


def count(proto: onnx.ModelProto) -> Cost:
    """Count the cost of a graph with inferred shapes.

    A transposed convolution is counted at its input size, where it works; published figures often
    take its output size, four times too many at stride 2.
    """
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
    shapes_in = [known.get(name) for name in node.input]
    shape_out = known.get(node.output[0]) if node.output else None
    if len(shapes_in) < 2 or shapes_in[0] is None or shapes_in[1] is None or shape_out is None:
        return 0
    data, weight = shapes_in[0], shapes_in[1]
    op_type = node.op_type.removeprefix("Fused")  # by ONNX Runtime's optimiser
    if op_type == "Conv":
        return math.prod(shape_out) * math.prod(weight[1:])
    if op_type == "ConvTranspose":
        return math.prod(data) * math.prod(weight[1:])
    if op_type in ("Gemm", "MatMul"):
        return math.prod(shape_out) * data[-2 if attributes(node).get("transA") else -1]
    return 0
