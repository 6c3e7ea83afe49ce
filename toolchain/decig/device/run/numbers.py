"""Which node of a graph computes NaN or infinity."""

from collections.abc import Iterable, Iterator, Mapping, Sequence

import numpy as np
import onnx
from onnx import helper

from decig.device.run.device import Device
from decig.device.run.runs import run_session
from decig.errors import BadInputError
from decig.graph.inference import kinds

_AT_ONCE = 16
"""Values inside a graph that are looked at in one run; more would need more memory."""

Feeds = Mapping[str, np.ndarray]


class NoNumbersError(BadInputError):
    """A model computes NaN or infinity; the message names the first node that does."""


def are_numbers(arrays: Iterable[np.ndarray]) -> bool:
    """Whether arrays hold no NaN and no infinity; those of whole numbers or texts never do."""
    return all(
        array.dtype.kind not in "fcV" or bool(np.isfinite(_computable(array)).all())
        for array in arrays
    )


def run_to_numbers(
    device: Device, graph: onnx.ModelProto, inputs: Sequence[Feeds], wanted: Sequence[str]
) -> list[np.ndarray]:
    """Run a graph on a list of inputs, as `Device.run_over` does.

    Raises:
        NoNumbersError: an output holds NaN or infinity; names the first node that computes such.
        BadInputError: as for `Device.run_over`.
    """
    found = device.run_over(graph, inputs, wanted)
    if not are_numbers(found):
        raise no_numbers(graph, inputs, wanted)
    return found


def no_numbers(
    graph: onnx.ModelProto, inputs: Sequence[Feeds], wanted: Sequence[str]
) -> NoNumbersError:
    """Make the error for outputs that hold NaN or infinity for some of the inputs."""
    for feeds in inputs:
        if not are_numbers(values_of(graph, feeds, list(wanted))):
            return NoNumbersError(
                f"{first_without_numbers(graph, feeds, wanted)}: check the weights, and what "
                "feeds the model"
            )
    return NoNumbersError(f"{', '.join(wanted)}: NaN or infinity, on this provider alone")


def first_without_numbers(
    proto: onnx.ModelProto, feeds: Feeds, wanted: Sequence[str] | None = None
) -> str:
    """Name the first node that computes NaN, or infinity where the outputs have no NaN.

    Infinities inside a graph may be meant, as in the masks of an attention.

    Args:
        proto: the graph, shapes inferred.
        feeds: what it takes, by input name.
        wanted: names of values that hold NaN or infinity; by default the graph's outputs.

    Returns:
        The start of a message.
    """
    names = list(wanted or [value.name for value in proto.graph.output])
    nan = any(_has_nan(value) for value in values_of(proto, feeds, names))
    for makers in in_order(proto, names):
        values = values_of(proto, feeds, list(makers))
        for node, value in zip(makers.values(), values, strict=True):
            if _has_nan(value) if nan else not are_numbers([value]):
                what = "NaN" if nan else "infinity"
                return f"node {node.name} ({node.op_type}) computes {what}"
    return f"{names[0]} holds values that are no numbers"


def in_order(proto: onnx.ModelProto, wanted: list[str]) -> Iterator[dict[str, onnx.NodeProto]]:
    """List what the wanted values are computed from, a few values at once, with their makers."""
    makers = {name: node for node in proto.graph.node for name in node.output if name}
    needed, left = set[str](), list(wanted)
    while left:
        name = left.pop()
        if name in makers and name not in needed:
            needed.add(name)
            left += makers[name].input
    values = [name for name in makers if name in needed]
    for start in range(0, len(values), _AT_ONCE):
        yield {name: makers[name] for name in values[start : start + _AT_ONCE]}


def values_of(proto: onnx.ModelProto, feeds: Feeds, names: list[str]) -> list[np.ndarray]:
    """Values of a graph as ONNX Runtime computes them on the CPU, without rewriting the graph."""
    asked = onnx.ModelProto()
    asked.CopyFrom(proto)
    del asked.graph.output[:]
    asked.graph.output.extend(described(proto, name) for name in names)
    session = Device.for_work().open(asked, optimisation="none")
    used = {value.name for value in session.get_inputs()}
    return run_session(session, {name: feeds[name] for name in feeds if name in used}, names)


def described(
    proto: onnx.ModelProto, name: str, shape: Sequence[int] | None = None
) -> onnx.ValueInfoProto:
    """Describe a value of a graph, shapes inferred, as an input or output."""
    return helper.make_tensor_value_info(name, kinds(proto)[name], shape)


def _has_nan(array: np.ndarray) -> bool:
    return array.dtype.kind in "fcV" and bool(np.isnan(_computable(array)).any())


def _computable(array: np.ndarray) -> np.ndarray:
    """The array in a type of NumPy's own; bfloat16, which is of kind V, is none."""
    return array.astype(np.float32) if array.dtype.kind == "V" else array
