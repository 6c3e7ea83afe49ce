"""Loading an ONNX file into the normal form that everything else works on, and saving one.

Normal form: checked by ONNX, static shapes, constants folded into initializers, no initializer
shared by two nodes or listed as an input, every node named, every value's shape inferred.
BatchNormalization is kept: training needs it, export folds it.
"""

import contextlib
import copy
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnx
from onnx import NodeProto, helper, inliner, numpy_helper

from decig.errors import BadInputError
from decig.graph.axes import FileTypes, OpenAxes, analysed_sizes, has_dynamic_axes, open_axes
from decig.graph.branches import take_branches
from decig.graph.inference import (
    all_nodes,
    infer_shapes,
    inputs_of,
    opset,
    require_operators,
    shapes,
)
from decig.graph.legacy import modernise
from decig.graph.order import in_order
from decig.graph.storage import check_model, read_model, save_model

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


_REASON_LINES = 3
_LONG_DOMAIN = "ai.onnx"

# Sequences and optionals are no tensors; noise is new in every run.
_NOT_FOLDED = ("Bernoulli", "Multinomial", "Optional", "Random", "Sequence", "SplitToSequence")


@dataclass(frozen=True)
class Model:
    """An ONNX graph in normal form.

    Attributes:
        proto: the normalised graph.
        sha256: digest of the file's bytes; ties cost tables and plans to this graph.
        path: where it was read.
        axes: how to give a graph made from this one the file's dynamic axes; None if it has none.
    """

    proto: onnx.ModelProto
    sha256: str
    path: Path
    axes: OpenAxes | None = None

    def reopen(self, proto: onnx.ModelProto) -> onnx.ModelProto:
        """Give a graph made from this one the dynamic axes of the file; see `OpenAxes.reopen`."""
        return proto if self.axes is None else self.axes.reopen(proto)


@dataclass(frozen=True)
class ValueInfo:
    """Name, static shape and element type of a graph input or output.

    What is no tensor of numbers has the type `object`.
    """

    name: str
    shape: list[int]
    dtype: np.dtype


def load_model(path: Path | str, input_shapes: dict[str, list[int]] | None = None) -> Model:
    """Read an ONNX file, check it and bring it into normal form.

    Args:
        path: the `.onnx` file; external data is read from beside it.
        input_shapes: full shapes for inputs whose axes are dynamic. A dynamic first axis
            without one becomes 1; a file that decig wrote names the sizes it was analysed at.

    Raises:
        BadInputError: the file is missing, no ONNX, fails the ONNX checker, or has a dynamic
            axis that no shape was given for.
    """
    path = Path(path)
    with _one_line_errors(path):
        proto, sha256 = read_model(path)
        if not proto.graph.node:
            raise BadInputError("not a usable ONNX file: its graph has no nodes")
        static, axes = _normalise(proto, input_shapes)
        return Model(static, sha256, path, axes)


def normalise(
    proto: onnx.ModelProto, input_shapes: dict[str, list[int]] | None = None
) -> onnx.ModelProto:
    """Bring a graph into normal form (see the module's docstring); the argument is not changed."""
    return _normalise(copy.deepcopy(proto), input_shapes)[0]


def _normalise(
    proto: onnx.ModelProto, input_shapes: dict[str, list[int]] | None
) -> tuple[onnx.ModelProto, OpenAxes | None]:
    # Below IR version 4 every initializer would have to be an input as well.
    proto.ir_version = max(proto.ir_version, 4)
    _use_short_domain(proto)
    _sort_nodes(proto.graph)
    _write_out_sparse(proto.graph)
    proto = modernise(proto)
    require_operators(proto)
    types = FileTypes.of(proto.graph)
    _fix_inputs(proto.graph, input_shapes or {}, analysed_sizes(proto))
    _shape_outputs(proto)
    check_model(proto)
    if proto.functions:
        proto = inliner.inline_local_functions(proto)
    file, proto = _fold_constants(proto)
    _name_nodes(proto.graph)
    twins = _unshare_initializers(proto.graph)
    _require_whole(proto.graph)
    infer_shapes(proto)
    return proto, open_axes(types, file.graph, proto.graph, twins)


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
            array = numpy_helper.from_array(np.asarray(arrays[tensor.name]), tensor.name)
            proto.graph.initializer[index].CopyFrom(array)


def _value_info(value: onnx.ValueInfoProto) -> ValueInfo:
    if not value.type.HasField("tensor_type"):
        return ValueInfo(value.name, [], np.dtype(object))
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
        # The checker names the node on the second and third line.
        lines = [line.strip() for line in str(error).splitlines() if line.strip()]
        reason = " ".join(lines[:_REASON_LINES]) or type(error).__name__
        raise BadInputError(f"{path}: not a valid ONNX graph: {reason}") from error


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
        # Places are flat, or one row of coordinates each.
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
    unknown = input_shapes.keys() - {value.name for value in inputs}
    if unknown:
        names = ", ".join(value.name for value in inputs)
        raise BadInputError(f"--input-shape {min(unknown)}: no such input; inputs are {names}")
    changed = False
    for value in inputs:
        if value.type.HasField("optional_type"):
            raise BadInputError(f"input {value.name} is optional: only tensors can be inputs")
        wanted = input_shapes.get(value.name)
        if wanted is None and has_dynamic_axes(value.type):
            wanted = usual.get(value.name)
        changed |= _fix_shape(value, wanted)
    del graph.input[:]
    graph.input.extend(inputs)
    for value in graph.output:
        for dim in value.type.tensor_type.shape.dim:
            if changed or dim.dim_value < 0:
                dim.Clear()


def _shape_outputs(proto: onnx.ModelProto) -> None:
    """Infer the outputs' shapes: what files claim is often stale, or not there."""
    infer_shapes(proto)
    for value in proto.graph.output:
        if value.type.HasField("tensor_type") and not value.type.tensor_type.HasField("shape"):
            raise BadInputError(f"output {value.name} has no shape, and none can be inferred")


def _fix_shape(value: onnx.ValueInfoProto, wanted: list[int] | None) -> bool:
    if value.type.HasField("tensor_type") and not value.type.tensor_type.HasField("shape"):
        if wanted is None:
            raise BadInputError(
                f"input {value.name} has no shape: give its size, as in "
                f"--input-shape {value.name}:1,3,256,256"
            )
        for _ in wanted:
            value.type.tensor_type.shape.dim.add()
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


def _fold_constants(file: onnx.ModelProto) -> tuple[onnx.ModelProto, onnx.ModelProto]:
    """Fold constant subgraphs, shape arithmetic included, into initializers.

    Returns the graph before and after. Where a condition turns out constant, both have the branch
    that is taken in the place of the If.
    """
    while True:
        folded = _fold_all(file)
        asked = {node.input[0] for node in file.graph.node if node.op_type == "If"}
        known = [tensor for tensor in folded.graph.initializer if tensor.name in asked]
        if not known:
            return file, folded
        conditions = {tensor.name: bool(numpy_helper.to_array(tensor)) for tensor in known}
        take_branches(file.graph, conditions)


def _fold_all(proto: onnx.ModelProto) -> onnx.ModelProto:
    """Fold until nothing more folds: a folded shape may decide the shape of a later value."""
    before = len(proto.graph.node) + 1
    while len(proto.graph.node) < before:
        before = len(proto.graph.node)
        proto = _fold_once(proto)
        if not any(node.op_type in ("Shape", "Size") for node in proto.graph.node):
            break
    return proto


def _fold_once(proto: onnx.ModelProto) -> onnx.ModelProto:
    import onnx_graphsurgeon as gs  # late: its import of onnxruntime costs a quarter second
    import onnxruntime as ort

    ort.set_default_logger_severity(4)  # graphsurgeon's sessions would warn on stderr
    gs.logger.G_LOGGER.severity = gs.logger.G_LOGGER.ERROR
    inferred = onnx.ModelProto()
    inferred.CopyFrom(infer_shapes(proto))
    tensors = [value for value in inferred.graph.value_info if value.type.HasField("tensor_type")]
    del inferred.graph.value_info[:]  # graphsurgeon cannot write other types
    inferred.graph.value_info.extend(tensors)
    _spell_out_constants(inferred)
    graph = gs.import_onnx(inferred)
    # graphsurgeon loses outputs of an If inside an If: `take_branches` does that part.
    graph.fold_constants(
        fold_shapes=True,
        flatten_subgraphs=False,
        should_exclude_node=lambda node: node.op.startswith(_NOT_FOLDED),
    ).cleanup().toposort()
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
    for node in proto.graph.node:
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


def _unshare_initializers(graph: onnx.GraphProto) -> dict[str, str]:
    """Give each use its own copy of a shared initializer: exporters merge equal constants.

    Returns the names of the copies, each with that of the shared one.
    """
    twins = {}
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
                twins[twin.name] = name
    return twins
