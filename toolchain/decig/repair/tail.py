"""What follows a layer up to its next nonlinearity: crops, a normalisation, a residual sum."""

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
        norm: the normalisation in it.
        skip: the other operand of a residual sum behind the normalisation.
        last: name of its last node.
    """

    value: str
    norm: onnx.NodeProto | None
    skip: str | None
    last: str


def tails(proto: onnx.ModelProto) -> dict[str, Tail]:
    """Tail of every node, by node name; one that branches or leaves the graph ends there."""
    readers: dict[str, list[onnx.NodeProto]] = defaultdict(list)
    for node in proto.graph.node:
        for name in node.input:
            readers[name].append(node)
    outputs = {value.name for value in proto.graph.output}
    constants = initializers(proto)
    computed = {name for node in proto.graph.node for name in node.output}

    def follow(node: onnx.NodeProto) -> Tail:
        tail = Tail(node.output[0], None, None, node.name)
        while len(readers[tail.value]) == 1 and tail.value not in outputs:
            step = readers[tail.value][0]
            norm, skip = tail.norm, tail.skip
            if step.op_type in _NORMS and norm is None:
                norm = step
            elif step.op_type == "Add" and norm is not None and skip is None:
                skip = next((n for n in step.input if n != tail.value and n in computed), None)
                if skip is None:
                    return tail
            elif not (step.op_type == "Slice" and norm is None and _crops_the_end(step, constants)):
                return tail
            tail = Tail(step.output[0], norm, skip, step.name)
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
