"""How much the picture moves with what the last layer gives.

Generators end in a Tanh, a Sigmoid or a Clip. Where it is saturated, errors before it do not show;
least squares that did not know would spend itself there.
"""

import numpy as np
import onnx
from onnx import helper

from decig.device.session import DeviceOptions, open_session

_ELEMENTWISE = frozenset(
    [
        "Tanh",
        "Sigmoid",
        "HardSigmoid",
        "Clip",
        "Relu",
        "Identity",
        "Cast",
        "Add",
        "Sub",
        "Mul",
        "Div",
    ]
)
_STEP = 0.05  # of the standard deviation, for the difference quotient
_FLOOR = 1e-3  # of the mean: no position counts for nothing


def finish(proto: onnx.ModelProto, value: str) -> onnx.ModelProto | None:
    """Return the graph from a value to the output, if it works on each element by itself."""
    graph = proto.graph
    constant = {tensor.name for tensor in graph.initializer}
    output = graph.output[0]
    nodes: list[onnx.NodeProto] = []
    current = value
    while current != output.name:
        readers = [node for node in graph.node if current in node.input]
        if len(readers) != 1 or readers[0].op_type not in _ELEMENTWISE:
            return None
        if any(name and name != current and name not in constant for name in readers[0].input):
            return None
        nodes.append(readers[0])
        current = readers[0].output[0]
    used = {name for node in nodes for name in node.input}
    source = helper.make_tensor_value_info(value, output.type.tensor_type.elem_type, None)
    weights = [tensor for tensor in graph.initializer if tensor.name in used]
    tail = helper.make_graph(nodes, "finish", [source], [output], weights)
    return helper.make_model(tail, opset_imports=proto.opset_import, ir_version=proto.ir_version)


def sensitivity(tail: onnx.ModelProto, values: list[np.ndarray]) -> list[np.ndarray]:
    """Squared derivative of the output with respect to `values`, mean over channels.

    Args:
        tail: of `finish`.
        values: arrays [N, C, *spatial].

    Returns:
        One array [N, positions] each, with mean 1 over all.
    """
    if not tail.graph.node:
        return [np.ones((len(v), int(np.prod(v.shape[2:])))) for v in values]
    session = open_session(tail, DeviceOptions())
    name = tail.graph.input[0].name
    step = np.float32(_STEP * np.mean([v.std() for v in values]) + 1e-6)
    squares = []
    for value in values:
        up, down = (session.run(None, {name: value + sign * step})[0] for sign in (1, -1))
        slope = np.square((up - down) / (2 * step), dtype=np.float64)
        squares.append(slope.mean(axis=1).reshape(len(value), -1))
    mean = float(np.mean([square.mean() for square in squares])) or 1.0
    return [np.maximum(square / mean, _FLOOR) for square in squares]
