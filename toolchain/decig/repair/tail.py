"""What follows a layer up to its next nonlinearity: crops and a normalisation."""

from collections import defaultdict
from dataclasses import dataclass

import numpy as np
import onnx

from decig.graph.model import initializers

_NORMS = ("InstanceNormalization", "BatchNormalization")


@dataclass(frozen=True)
class Tail:
    """The linear tail of a layer.

    Attributes:
        value: the value at its end.
        norm: the normalisation that ends it.
        last: name of its last node.
    """

    value: str
    norm: onnx.NodeProto | None
    last: str


def tails(proto: onnx.ModelProto) -> dict[str, Tail]:
    """Tail of every node, by node name; one that branches or leaves the graph ends there."""
    readers: dict[str, list[onnx.NodeProto]] = defaultdict(list)
    for node in proto.graph.node:
        for name in node.input:
            readers[name].append(node)
    outputs = {value.name for value in proto.graph.output}
    constants = initializers(proto)

    def follow(node: onnx.NodeProto) -> Tail:
        tail = Tail(node.output[0], None, node.name)
        while tail.norm is None and len(readers[tail.value]) == 1 and tail.value not in outputs:
            step = readers[tail.value][0]
            if step.op_type in _NORMS:
                tail = Tail(step.output[0], step, step.name)
            elif step.op_type == "Slice" and _crops_the_end(step, constants):
                tail = Tail(step.output[0], None, step.name)
            else:
                break
        return tail

    return {node.name: follow(node) for node in proto.graph.node}


def _crops_the_end(node: onnx.NodeProto, constants: dict[str, np.ndarray]) -> bool:
    """Whether a Slice keeps the origin and every position after it, but for the end."""
    given = [constants.get(name) for name in node.input[1:]]
    starts, axes = given[0], given[2] if len(given) > 2 else None
    steps = given[3] if len(given) > 3 else None
    if starts is None or axes is None or (steps is not None and (steps != 1).any()):
        return False
    return bool((starts == 0).all() and (axes >= 2).all())
