"""Loading an ONNX file into the normal form that everything else works on, and saving one.

Normal form: checked by ONNX, static shapes, constants folded into initializers, no initializer
shared by two nodes or listed as an input, every node named, every value's shape inferred.
BatchNormalization is kept: training needs it, export folds it.
"""

import contextlib
import copy
import hashlib
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnx
from google.protobuf.message import DecodeError
from onnx import helper, inliner, numpy_helper

from decig.errors import BadInputError
from decig.files import write_bytes
from decig.graph.inference import infer_shapes, inputs_of, opset, require_operators, shapes
from decig.graph.sequences import unroll_sequences

__all__ = [
    "Model",
    "ValueInfo",
    "infer_shapes",
    "initializers",
    "input_info",
    "load_model",
    "normalise",
    "opset",
    "output_info",
    "replace_initializers",
    "save_model",
    "shapes",
]


@dataclass(frozen=True)
class Model:
    """An ONNX graph in normal form.

    Attributes:
        proto: the normalised graph.
        sha256: digest of the file's bytes; ties cost tables and plans to this graph.
        path: where it was read.
    """

    proto: onnx.ModelProto
    sha256: str
    path: Path


@dataclass(frozen=True)
class ValueInfo:
    """Name, static shape and element type of a graph input or output."""

    name: str
    shape: list[int]
    dtype: np.dtype


def load_model(path: Path | str, input_shapes: dict[str, list[int]] | None = None) -> Model:
    """Read an ONNX file, check it and bring it into normal form.

    Args:
        path: the `.onnx` file; external data is read from beside it.
        input_shapes: full shapes for inputs whose axes are dynamic. A dynamic first axis
            without one becomes 1.

    Raises:
        BadInputError: the file is missing, no ONNX, fails the ONNX checker, or has a dynamic
            axis that no shape was given for.
    """
    path = Path(path)
    try:
        content = path.read_bytes()
    except OSError as error:
        raise BadInputError(f"{path}: cannot read this model: {error.strerror}") from error
    try:
        proto = onnx.load_model_from_string(content)
    except DecodeError as error:
        raise BadInputError(f"{path}: not a readable ONNX file (truncated?)") from error
    if not proto.graph.node:
        raise BadInputError(f"{path}: not a usable ONNX file: its graph has no nodes")
    with _one_line_errors(path):
        onnx.load_external_data_for_model(proto, str(path.parent))
        return Model(_normalise(proto, input_shapes), hashlib.sha256(content).hexdigest(), path)


def normalise(
    proto: onnx.ModelProto, input_shapes: dict[str, list[int]] | None = None
) -> onnx.ModelProto:
    """Bring a graph into normal form (see the module's docstring); the argument is not changed."""
    return _normalise(copy.deepcopy(proto), input_shapes)


def _normalise(
    proto: onnx.ModelProto, input_shapes: dict[str, list[int]] | None
) -> onnx.ModelProto:
    # Below IR version 4 every initializer would have to be an input as well.
    proto.ir_version = max(proto.ir_version, 4)
    require_operators(proto)
    _fix_inputs(proto.graph, input_shapes or {})
    onnx.checker.check_model(proto)
    if proto.functions:
        proto = inliner.inline_local_functions(proto)
    proto = _fold_constants(proto)
    # Folding tells shapes, which fold in turn.
    while unroll_sequences(proto) or _has_known_shape(proto):
        proto = _fold_constants(proto)
    _name_nodes(proto.graph)
    _unshare_initializers(proto.graph)
    _require_whole(proto.graph)
    return infer_shapes(proto)


def save_model(proto: onnx.ModelProto, path: Path | str) -> None:
    """Check a graph and write it atomically; errors as in `decig.files.write_bytes`."""
    content = proto.SerializeToString()
    onnx.checker.check_model(content)
    write_bytes(Path(path), content)


def input_info(proto: onnx.ModelProto) -> list[ValueInfo]:
    """Describe the graph's inputs."""
    return [_value_info(value) for value in proto.graph.input]


def output_info(proto: onnx.ModelProto) -> list[ValueInfo]:
    """Describe the graph's outputs."""
    return [_value_info(value) for value in proto.graph.output]


def initializers(proto: onnx.ModelProto) -> dict[str, np.ndarray]:
    """Every initializer of the graph as an array, by name."""
    return {tensor.name: numpy_helper.to_array(tensor) for tensor in proto.graph.initializer}


def replace_initializers(proto: onnx.ModelProto, arrays: dict[str, np.ndarray]) -> None:
    """Put new arrays in place of the initializers of the same names, in `proto` itself."""
    for index, tensor in enumerate(proto.graph.initializer):
        if tensor.name in arrays:
            array = np.ascontiguousarray(arrays[tensor.name])
            proto.graph.initializer[index].CopyFrom(numpy_helper.from_array(array, tensor.name))


def _value_info(value: onnx.ValueInfoProto) -> ValueInfo:
    tensor_type = value.type.tensor_type
    shape = [dim.dim_value for dim in tensor_type.shape.dim]
    return ValueInfo(value.name, shape, helper.tensor_dtype_to_np_dtype(tensor_type.elem_type))


@contextlib.contextmanager
def _one_line_errors(path: Path) -> Iterator[None]:
    """Turn what the ONNX tools raise into one line that names the file.

    On a damaged file they raise anything: UnicodeDecodeError, KeyError, classes of their own.
    """
    try:
        yield
    except BadInputError as error:
        raise BadInputError(f"{path}: {error}") from error
    except Exception as error:
        first = next((line for line in str(error).splitlines() if line.strip()), "")
        reason = first.strip() or type(error).__name__
        raise BadInputError(f"{path}: not a valid ONNX graph: {reason}") from error


def _fix_inputs(graph: onnx.GraphProto, input_shapes: dict[str, list[int]]) -> None:
    """Drop initializers from the inputs and make every input's shape static."""
    constant = {tensor.name for tensor in graph.initializer}
    inputs = [value for value in graph.input if value.name not in constant]
    unknown = input_shapes.keys() - {value.name for value in inputs}
    if unknown:
        names = ", ".join(value.name for value in inputs)
        raise BadInputError(f"--input-shape {min(unknown)}: no such input; inputs are {names}")
    changed = False
    for value in inputs:
        if value.type.HasField("optional_type"):
            raise BadInputError(f"input {value.name} is optional: only tensors can be inputs")
        changed |= _fix_shape(value, input_shapes.get(value.name))
    del graph.input[:]
    graph.input.extend(inputs)
    if changed:
        del graph.value_info[:]
        for value in graph.output:
            for dim in value.type.tensor_type.shape.dim:
                dim.Clear()


def _fix_shape(value: onnx.ValueInfoProto, wanted: list[int] | None) -> bool:
    dims = value.type.tensor_type.shape.dim
    static = [dim.dim_value if dim.dim_value > 0 else None for dim in dims]
    if wanted is not None and len(wanted) != len(dims):
        raise BadInputError(f"--input-shape {value.name}: this input has {len(dims)} axes")
    if wanted is None:
        wanted = [
            1 if axis == 0 and size is None else size or 0 for axis, size in enumerate(static)
        ]
    if not all(wanted):
        shown = "x".join(str(size or "?") for size in static)
        raise BadInputError(
            f"input {value.name} has dynamic axes ({shown}): "
            f"give its size, as in --input-shape {value.name}:1,3,256,256"
        )
    for dim, size in zip(dims, wanted, strict=True):
        dim.Clear()
        dim.dim_value = size
    return wanted != static


def _fold_constants(proto: onnx.ModelProto) -> onnx.ModelProto:
    """Fold constant subgraphs, shape arithmetic included, into initializers."""
    import onnx_graphsurgeon as gs  # late: its import of onnxruntime costs a quarter second
    import onnxruntime

    gs.logger.G_LOGGER.severity = gs.logger.G_LOGGER.ERROR
    onnxruntime.set_default_logger_severity(3)  # it folds with it, and that talks
    inferred = infer_shapes(proto)
    tensors = [value for value in inferred.graph.value_info if value.type.HasField("tensor_type")]
    del inferred.graph.value_info[:]  # graphsurgeon cannot write other types
    inferred.graph.value_info.extend(tensors)
    _spell_out_constants(inferred)
    graph = gs.import_onnx(inferred)
    graph.fold_constants(fold_shapes=True).cleanup().toposort()
    folded: onnx.ModelProto = gs.export_onnx(graph, do_type_check=False)
    # graphsurgeon writes its own opset list and IR version: keep those of the source.
    del folded.opset_import[:]
    folded.opset_import.extend(proto.opset_import)
    folded.ir_version = proto.ir_version
    folded.metadata_props.extend(proto.metadata_props)
    return folded


def _spell_out_constants(proto: onnx.ModelProto) -> None:
    """Write as tensors what graphsurgeon would get wrong.

    It reads a Constant's `value_floats` as float64, and overlooks `start` and `end` of a Shape.
    """
    known = shapes(proto)
    types = _element_types(proto.graph)
    for node in proto.graph.node:
        if node.op_type == "CastLike" and types.get(node.input[1]):
            # What it casts may be constant though its model is not.
            node.op_type = "Cast"
            node.attribute.append(helper.make_attribute("to", types[node.input[1]]))
            del node.input[1]
        given = {a.name: helper.get_attribute_value(a) for a in node.attribute}
        value: np.ndarray | None = None
        if node.op_type == "Shape" and node.input[0] in known:
            dims = known[node.input[0]][given.get("start", 0) : given.get("end")]
            value = np.array(dims, np.int64)
        for key, dtype in (("value_float", np.float32), ("value_int", np.int64)):
            found = given.get(key, given.get(f"{key}s")) if node.op_type == "Constant" else None
            value = value if found is None else np.array(found, dtype)
        if value is not None:
            tensor = helper.make_attribute("value", numpy_helper.from_array(value))
            node.op_type = "Constant"
            del node.input[:], node.attribute[:]
            node.attribute.append(tensor)


def _has_known_shape(proto: onnx.ModelProto) -> bool:
    """Whether a Shape is left whose input's shape is known by now."""
    measured = [node.input[0] for node in proto.graph.node if node.op_type == "Shape"]
    return bool(measured) and not shapes(infer_shapes(proto)).keys().isdisjoint(measured)


def _element_types(graph: onnx.GraphProto) -> dict[str, int]:
    values = (*graph.input, *graph.value_info, *graph.output)
    types = {value.name: value.type.tensor_type.elem_type for value in values}
    return types | {tensor.name: tensor.data_type for tensor in graph.initializer}


def _require_whole(graph: onnx.GraphProto) -> None:
    for tensor in graph.initializer:
        try:
            numpy_helper.to_array(tensor)
        except ValueError as error:
            raise BadInputError(
                f"initializer {tensor.name} has too little or too much data for its shape "
                f"{list(tensor.dims)}: is its data file complete?"
            ) from error


def _name_nodes(graph: onnx.GraphProto) -> None:
    """Give every node a unique name, keeping the names it can."""
    taken = Counter(node.name for node in graph.node)
    for index, node in enumerate(graph.node):
        if not node.name or taken[node.name] > 1:
            stem = node.name or node.op_type
            name = f"{stem}_{index}"
            while name in taken:
                name += "_"
            taken[name] = 1
            node.name = name


def _unshare_initializers(graph: onnx.GraphProto) -> None:
    """Give each use its own copy of a shared initializer: exporters merge equal constants."""
    by_name = {tensor.name: tensor for tensor in graph.initializer}
    # Subgraphs and outputs refer to the name itself, so it is theirs.
    uses = Counter(value.name for value in graph.output)
    for node in graph.node:
        uses.update(set(inputs_of(node)) - set(node.input))
    for node in graph.node:
        for slot, name in enumerate(node.input):
            if name not in by_name:
                continue
            uses[name] += 1
            if uses[name] > 1:
                twin = graph.initializer.add()
                twin.CopyFrom(by_name[name])
                twin.name = f"{name}__{node.name}_{slot}"
                node.input[slot] = twin.name
