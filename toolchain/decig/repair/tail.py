"""What follows a layer: crops, a normalisation, a residual sum, a rectifier, the way out."""

import math
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
import onnx
from onnx import helper, numpy_helper

from decig.device.run.device import Device
from decig.device.run.runs import run_session
from decig.graph.inference import inputs_of, kinds
from decig.graph.model import initializers, shapes
from decig.graph.operators import Kind, find

_ARITHMETIC = ("Add", "Sub", "Mul", "Div", "Identity")

Values = Callable[[np.ndarray], np.ndarray]


@dataclass(frozen=True)
class Tail:
    """The linear tail of a layer and what comes after it.

    Attributes:
        value: the value at its end, where a layer is matched.
        last: name of the node that makes it.
        norm: the normalisation in it.
        skip: the other operand of a residual sum behind; it is computed before the layer.
        rectified: whether a Relu alone reads the value.
    """

    value: str
    last: str
    norm: onnx.NodeProto | None = None
    skip: str | None = None
    rectified: bool = False


def tails(proto: onnx.ModelProto) -> dict[str, Tail]:
    """Tail of every node, by node name; one that branches or leaves the graph ends there."""
    readers = _readers(proto)
    outputs = {value.name for value in proto.graph.output}
    constants = initializers(proto)
    known = shapes(proto)
    made = {
        name: index for index, node in enumerate(proto.graph.node) for name in node.output if name
    }

    def follow(index: int, node: onnx.NodeProto) -> Tail:
        tail = Tail(node.output[0], node.name)
        while len(readers[tail.value]) == 1 and tail.value not in outputs:
            step = readers[tail.value][0]
            here = replace(tail, value=step.output[0], last=step.name)
            if step.op_type == "Relu":
                return replace(tail, rectified=True)
            if _is_affine_norm(step) and tail.norm is None and tail.skip is None:
                if not all(name in constants for name in step.input[1:]):
                    return tail
                tail = replace(here, norm=step)
            elif step.op_type == "Add" and tail.skip is None:
                other = next((name for name in step.input if name != tail.value), "")
                alike = [known.get(name) for name in (tail.value, other, here.value)]
                if made.get(other, index) >= index or not _adds_up(*alike):
                    return tail
                tail = replace(here, skip=other)
            elif step.op_type == "Slice" and _crops_the_end(step, constants):
                if tail.norm is not None or tail.skip is not None:  # they are of the whole size
                    return tail
                tail = here
            else:
                return tail
        return tail

    return {node.name: follow(index, node) for index, node in enumerate(proto.graph.node)}


def _is_affine_norm(node: onnx.NodeProto) -> bool:
    """Whether a node is a normalisation whose scale and shift repair can choose anew."""
    entry = find(node)
    return entry.kind is Kind.NORM and entry.absorbs_affine


def _adds_up(
    one: tuple[int, ...] | None, other: tuple[int, ...] | None, total: tuple[int, ...] | None
) -> bool:
    """Whether a sum has the shape of its first operand, over which the second may be broadcast."""
    if one is None or other is None or one != total:
        return False
    return len(other) == len(one) and other[:1] == one[:1]


def way_out(proto: onnx.ModelProto, value: str) -> Values | None:
    """Function from a value to an output, if nothing but elementwise steps lie between.

    Args:
        proto: the graph.
        value: name of a value of shape [N, C, *spatial].

    Returns:
        A function of [N, P, C] arrays; None if the value goes another way.
    """
    readers = _readers(proto)
    numbers = _numbers(proto)
    outputs = {output.name for output in proto.graph.output}
    steps = []
    name = value
    while name not in outputs:
        if len(readers[name]) != 1:
            return None
        step = readers[name][0]
        scalars = all(other in numbers for other in step.input if other and other != name)
        pointwise = find(step).kind is Kind.ACTIVATION or step.op_type in _ARITHMETIC
        if not pointwise or not scalars:
            return None
        steps.append(step)
        name = step.output[0]
    return _function(proto, steps, value, name) if steps else None


def _function(proto: onnx.ModelProto, steps: list[onnx.NodeProto], first: str, last: str) -> Values:
    used = {name for step in steps for name in step.input}
    kind = kinds(proto)[first]
    numbers = {name: number for name, number in _numbers(proto).items() if name in used}
    graph = helper.make_graph(
        steps,
        "way_out",
        [helper.make_tensor_value_info(first, kind, [None] * 3)],
        [helper.make_tensor_value_info(last, kind, [None] * 3)],
        [numpy_helper.from_array(number, name) for name, number in numbers.items()],
    )
    model = helper.make_model(graph, opset_imports=proto.opset_import, ir_version=proto.ir_version)
    session = Device.for_work().open(model)

    def run(values: np.ndarray) -> np.ndarray:
        given = values.astype(helper.tensor_dtype_to_np_dtype(kind))
        return run_session(session, {first: given})[0].astype(np.float32, copy=False)

    return run


def _numbers(proto: onnx.ModelProto) -> dict[str, np.ndarray]:
    """Constants of one element, without axes: those of four would widen values that have three."""
    return {
        tensor.name: numpy_helper.to_array(tensor).reshape(())
        for tensor in proto.graph.initializer
        if math.prod(tensor.dims) == 1
    }


def _readers(proto: onnx.ModelProto) -> dict[str, list[onnx.NodeProto]]:
    readers: dict[str, list[onnx.NodeProto]] = defaultdict(list)
    for node in proto.graph.node:
        for name in inputs_of(node):
            readers[name].append(node)
    return readers


def _crops_the_end(node: onnx.NodeProto, constants: dict[str, np.ndarray]) -> bool:
    """Whether a Slice keeps the origin and every position after it, but for the end."""
    given = [constants.get(name) for name in node.input[1:]]
    starts, axes = given[0] if given else None, given[2] if len(given) > 2 else None
    steps = given[3] if len(given) > 3 else None
    if starts is None or axes is None or (steps is not None and (steps != 1).any()):
        return False
    return bool((starts == 0).all() and (axes >= 2).all())
