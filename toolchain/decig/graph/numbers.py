"""Initializers that hold NaN or infinity, found when a graph is read.

A weight that is NaN spoils every picture, and a comparison of two graphs that both compute NaN
proves nothing. Infinities are often meant: the mask that is added in front of a Softmax, the bounds
of a Clip, the values of a Pad in front of a MaxPool. They are refused where they reach a layer, a
norm or an output, as nothing on the way there turns them into numbers.
"""

from collections.abc import Iterator, Mapping

import numpy as np
import onnx
from onnx import NodeProto, TensorProto, helper, numpy_helper

from decig.errors import BadInputError
from decig.graph.inference import inputs_of
from decig.graph.operators import Kind, find

_FLOATS = frozenset(
    (TensorProto.FLOAT, TensorProto.FLOAT16, TensorProto.BFLOAT16, TensorProto.DOUBLE)
)
_SPOILED = frozenset((Kind.CONVOLUTION, Kind.PRODUCT, Kind.NORM, Kind.QUANTISED))
"""Kinds of operators whose output is no number if a weight or an input is infinite."""
_NOT_FOLLOWED = frozenset((Kind.UNKNOWN, Kind.SEQUENCE, Kind.SIZE, Kind.RANDOM))
"""Kinds of operators behind which nothing is known of an infinity."""
_BOUNDED = frozenset(
    """
    ArgMax ArgMin Atan Clip Equal Erf Exp Greater GreaterOrEqual HardSigmoid Hardmax IsInf IsNaN
    Less LessOrEqual LogSoftmax Max MaxPool Min Pad Reciprocal ReduceLogSumExp ReduceMax ReduceMin
    Sigmoid Sign Softmax Softsign Tanh TopK Where
    """.split()  # noqa: SIM905  # a table, not a list of forty quoted words
)
"""Operators that may make numbers of an infinity, or choose another value instead of it."""
_CHOOSING = frozenset(("IsNaN", "Where"))
"""Operators that may choose another value instead of NaN."""
_INFINITE_ATTRIBUTES = frozenset(("alpha", "extrapolation_value", "max", "min", "value"))
"""Attributes that may be infinite: the bounds of a Clip, what a Pad or a Resize fills in, the
threshold of a ThresholdedRelu."""


def require_numbers(graph: onnx.GraphProto, file: onnx.GraphProto) -> None:
    """Check that the weights and the attributes of a graph are numbers.

    Args:
        graph: with constants folded.
        file: the same graph before folding, to name the initializer from which a folded constant
            was computed.

    Raises:
        BadInputError: they are not; names the initializer, or the node and its attribute.
    """
    for node in graph.node:
        _require_attributes(node)
    readers: dict[str, list[NodeProto]] = {}
    for node in graph.node:
        for name in dict.fromkeys(inputs_of(node)):
            readers.setdefault(name, []).append(node)
    outputs = {value.name for value in graph.output}
    for tensor in graph.initializer:
        what = _strange(tensor)
        if what is None:
            continue
        where = (
            _not_chosen(tensor.name, readers, outputs)
            if what == "NaN"
            else _spoils(tensor.name, readers, outputs)
        )
        if where is not None:
            raise BadInputError(f"{_named(tensor, file)}, which spoils {where}; {_ADVICE}")


_ADVICE = "train or export the model again"


def _require_attributes(node: NodeProto) -> None:
    for attribute in node.attribute:
        if attribute.type not in (onnx.AttributeProto.FLOAT, onnx.AttributeProto.FLOATS):
            continue
        values = np.ravel(helper.get_attribute_value(attribute))
        infinite = np.isinf(values).any() and attribute.name not in _INFINITE_ATTRIBUTES
        if np.isnan(values).any() or infinite:
            raise BadInputError(
                f"{node.op_type} {node.name}: attribute {attribute.name} is no number; {_ADVICE}"
            )


def _strange(tensor: TensorProto) -> str | None:
    """What a tensor holds beside numbers: "NaN", "infinity", or None for nothing."""
    if tensor.data_type not in _FLOATS:
        return None
    array = numpy_helper.to_array(tensor)
    if np.isfinite(array).all():
        return None
    return "NaN" if np.isnan(array).any() else "infinity"


def _not_chosen(name: str, readers: Mapping[str, list[NodeProto]], outputs: set[str]) -> str | None:
    """Name a reader that must take NaN as it is; None if all may choose another value."""
    for node in readers.get(name, []):
        if node.op_type not in _CHOOSING:
            return f"{node.op_type} {node.name}"
    return f"output {name}" if name in outputs else None


def _spoils(name: str, readers: Mapping[str, list[NodeProto]], outputs: set[str]) -> str | None:
    """Name the layer, norm or output that an infinite constant reaches; None if it reaches none."""
    seen, waiting = {name}, [name]
    while waiting:
        value = waiting.pop()
        if value in outputs:
            return f"output {value}"
        for node in readers.get(value, []):
            kind = find(node).kind
            if kind in _SPOILED:
                return f"{node.op_type} {node.name}"
            if kind in _NOT_FOLLOWED or node.op_type in _BOUNDED or _divides(node, value):
                continue
            fresh = [made for made in node.output if made and made not in seen]
            seen.update(fresh)
            waiting += fresh
    return None


def _divides(node: NodeProto, value: str) -> bool:
    """Whether a value is the divisor of a Div: infinity makes 0 there."""
    return node.op_type == "Div" and node.input[0] != value


def _named(tensor: TensorProto, file: onnx.GraphProto) -> str:
    """Say which initializer of the file holds what, and how much of it."""
    stored = {each.name: each for each in file.initializer}
    for name in _behind(tensor.name, file):
        if name in stored and _strange(stored[name]) is not None:
            return f"initializer {name} {_holds(stored[name])}"
    what = "initializer" if tensor.name in stored else "constant"
    return f"{what} {tensor.name} {_holds(tensor)}"


def _holds(tensor: TensorProto) -> str:
    array = numpy_helper.to_array(tensor)
    found = int((~np.isfinite(array)).sum())
    return f"holds {_strange(tensor)} ({found} of its {array.size} values)"


def _behind(name: str, file: onnx.GraphProto) -> Iterator[str]:
    """Yield a value and all that it is computed from, the nearest first."""
    makers = {made: node for node in file.node for made in node.output}
    seen, waiting = {name}, [name]
    while waiting:
        value = waiting.pop(0)
        yield value
        if value in makers:
            fresh = [read for read in inputs_of(makers[value]) if read not in seen]
            seen.update(fresh)
            waiting += fresh
