"""From the graph in a file to one with static inputs that ONNX's tools can work on."""

import numpy as np
import onnx
from onnx import NodeProto, helper, inliner, numpy_helper

from decig.errors import BadInputError
from decig.graph.axes import FileTypes, analysed_sizes, has_dynamic_axes
from decig.graph.fit import require_sizes_before_slices
from decig.graph.inference import (
    all_nodes,
    infer_shapes,
    opset,
    require_operators,
    require_portable,
)
from decig.graph.legacy import modernise
from decig.graph.order import in_order
from decig.graph.size_inputs import Values, state_values, with_values
from decig.graph.storage import check_model

_LONG_DOMAIN = "ai.onnx"
_PICTURE_AXES = 4
_COLOURS = 4
"""Most channels of a last axis that is taken for the colours of a picture."""


_ANY_SIZE = 256
"""Pixels that most generators can take along an axis that is open."""


class UnknownInputError(BadInputError):
    """A shape is given for an input that a model does not have.

    Attributes:
        name: of that input.
        inputs: names of those that it has, in order.
    """

    def __init__(self, name: str, inputs: list[str]) -> None:
        super().__init__(f"--input-shape {name}: no such input; inputs are {', '.join(inputs)}")
        self.name, self.inputs = name, inputs


class OpenAxesError(BadInputError):
    """An input has dynamic axes or no shape, and nothing says at which size it is to be read.

    Attributes:
        name: of the input.
        shape: sizes that would do, for whoever only wants to see what else is not known.
    """

    def __init__(self, text: str, name: str, shape: list[int]) -> None:
        super().__init__(text)
        self.name, self.shape = name, shape


def prepare(
    proto: onnx.ModelProto, input_shapes: dict[str, list[int]], values: Values
) -> tuple[onnx.ModelProto, FileTypes]:
    """Give a graph current operators, static inputs, sorted nodes, and no local functions.

    Args:
        proto: as a file has it; it may be changed.
        input_shapes: full shapes for inputs whose axes are dynamic; the shape of an only input may
            have an empty name.
        values: numbers that are declared to feed inputs (`decig.graph.size_inputs`).

    Returns:
        The graph, which ONNX has checked, and the types that the file states.

    Raises:
        BadInputError: an operator without a current form, or of one kind of device, an input
            without a size, or one that sets sizes and has no value.
        Exception: whatever ONNX raises on a graph that is not valid.
    """
    # Below IR version 4 every initializer would have to be an input as well.
    proto.ir_version = max(proto.ir_version, 4)
    _use_short_domain(proto)
    _sort_nodes(proto.graph)
    _write_out_sparse(proto.graph)
    proto = modernise(proto)
    require_portable(proto)
    require_operators(proto)
    types = FileTypes.of(proto.graph)
    counts = {name: [len(numbers)] for name, numbers in values.items()}
    _fix_inputs(proto.graph, input_shapes, counts | analysed_sizes(proto))
    if proto.functions:
        proto = inliner.inline_local_functions(proto)
    state_values(proto, values)
    known = with_values(proto)
    _shape_outputs(known)
    for value, inferred in zip(proto.graph.output, known.graph.output, strict=True):
        value.type.CopyFrom(inferred.type)
    check_model(proto)
    return proto, types


def _use_short_domain(proto: onnx.ModelProto) -> None:
    """Call the default domain "" wherever it is called "ai.onnx": ONNX's tools know "" only."""
    if any(entry.domain == _LONG_DOMAIN for entry in proto.opset_import):
        version = opset(proto)
        others = [e for e in proto.opset_import if e.domain not in ("", _LONG_DOMAIN)]
        del proto.opset_import[:]
        proto.opset_import.extend([helper.make_opsetid("", version), *others])
    for node in all_nodes(proto.graph):
        if node.domain == _LONG_DOMAIN:
            node.domain = ""


def _sort_nodes(graph: onnx.GraphProto) -> None:
    """Put the nodes in the order in which they can run, as ONNX Runtime does by itself."""
    nodes = list(graph.node)
    ordered = list(in_order(nodes))
    if any(one is not other for one, other in zip(nodes, ordered, strict=True)):
        copies = [NodeProto.FromString(node.SerializeToString()) for node in ordered]
        del graph.node[:]
        graph.node.extend(copies)


def _write_out_sparse(graph: onnx.GraphProto) -> None:
    """Make sparse initializers ordinary ones."""
    for sparse in graph.sparse_initializer:
        values, places = map(numpy_helper.to_array, (sparse.values, sparse.indices))
        dense = np.zeros(tuple(sparse.dims), values.dtype)
        # Indices are flat, or rows of coordinates.
        if places.ndim == 2:
            places = np.ravel_multi_index(tuple(places.T), dense.shape)
        np.put(dense, places, values)
        graph.initializer.append(numpy_helper.from_array(dense, sparse.values.name))
    del graph.sparse_initializer[:]


def _fix_inputs(
    graph: onnx.GraphProto, input_shapes: dict[str, list[int]], usual: dict[str, list[int]]
) -> None:
    """Drop initializers from the inputs and make every input's shape static.

    `usual` is for inputs whose axes are dynamic and that `input_shapes` does not name.
    """
    constant = {tensor.name for tensor in graph.initializer}
    inputs = [value for value in graph.input if value.name not in constant]
    input_shapes = _named(input_shapes, [value.name for value in inputs])
    unknown = input_shapes.keys() - {value.name for value in inputs}
    if unknown:
        raise UnknownInputError(min(unknown), [value.name for value in inputs])
    changed = False
    for value in inputs:
        if value.type.HasField("optional_type"):
            raise BadInputError(f"input {value.name} is optional: only tensors can be inputs")
        wanted = input_shapes.get(value.name)
        if wanted is None and has_dynamic_axes(value.type):
            wanted = usual.get(value.name)
            if len(wanted or ()) != len(value.type.tensor_type.shape.dim):
                wanted = None
        changed |= _fix_shape(value, wanted)
    del graph.input[:]
    graph.input.extend(inputs)
    for value in graph.output:
        for dim in value.type.tensor_type.shape.dim:
            if changed or dim.dim_value < 0:
                dim.Clear()


def _named(input_shapes: dict[str, list[int]], inputs: list[str]) -> dict[str, list[int]]:
    """Name a shape that stands alone after the only input; BadInputError if there are more."""
    if "" not in input_shapes:
        return input_shapes
    if len(inputs) != 1 or len(input_shapes) != 1:
        sizes = ",".join(map(str, input_shapes[""]))
        raise BadInputError(
            f"--input-shape {sizes} needs the name of its input ({', '.join(inputs)}), "
            f"as in {inputs[0]}:{sizes}"
        )
    return {inputs[0]: input_shapes[""]}


def _shape_outputs(proto: onnx.ModelProto) -> None:
    """Infer the shapes of the outputs: those that files claim are often wrong or missing."""
    require_sizes_before_slices(proto)
    infer_shapes(proto)
    for value in proto.graph.output:
        if value.type.HasField("tensor_type") and not value.type.tensor_type.HasField("shape"):
            raise BadInputError(f"output {value.name} has no shape, and none can be inferred")


def _fix_shape(value: onnx.ValueInfoProto, wanted: list[int] | None) -> bool:
    if value.type.HasField("tensor_type") and not value.type.tensor_type.HasField("shape"):
        if wanted is None:
            raise OpenAxesError(
                f"input {value.name} has no shape: give its size, as in "
                f"--input-shape {value.name}:1,3,256,256",
                value.name,
                [1, 3, _ANY_SIZE, _ANY_SIZE],
            )
        for _ in wanted:
            value.type.tensor_type.shape.dim.add()
    dims = value.type.tensor_type.shape.dim
    static = [dim.dim_value if dim.dim_value > 0 else None for dim in dims]
    if wanted is not None and len(wanted) != len(dims):
        raise BadInputError(f"--input-shape {value.name}: this input has {len(dims)} axes")
    if wanted is not None:
        _require_channels(value.name, static, wanted)
    else:
        wanted = [
            1 if axis == 0 and size is None else size or 0 for axis, size in enumerate(static)
        ]
    if not all(wanted):
        shown = "x".join(str(size or "?") for size in static)
        raise OpenAxesError(
            f"input {value.name} has dynamic axes ({shown}): "
            f"give its size, as in --input-shape {value.name}:1,3,256,256",
            value.name,
            [size or _ANY_SIZE for size in wanted],
        )
    for dim, size in zip(dims, wanted, strict=True):
        dim.Clear()
        dim.dim_value = size
    return wanted != static


def _require_channels(name: str, static: list[int | None], wanted: list[int]) -> None:
    """Refuse a size of another channel count than the file states for a picture.

    A constant per channel would stretch a single channel over all of them, and the graph would
    still fit together.
    """
    axis = _channel_axis(static)
    if axis is not None and wanted[axis] != static[axis]:
        raise BadInputError(
            f"--input-shape {name}:{','.join(map(str, wanted))}: this input has {static[axis]} "
            f"channels (axis {axis}), not {wanted[axis]}"
        )


def _channel_axis(static: list[int | None]) -> int | None:
    """Axis of the channels of a picture N,C,H,W or N,H,W,C; None where that cannot be told.

    Args:
        static: sizes as the file states them, None for an open one.
    """
    if len(static) != _PICTURE_AXES:
        return None
    _, first, *plane, last = static
    if first is None:
        return len(static) - 1 if last is not None and plane == [None] else None
    behind = (
        last is not None and last <= _COLOURS and last < min(first, *(n or first for n in plane))
    )
    return len(static) - 1 if behind else 1
