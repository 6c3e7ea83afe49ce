"""Folding: what does not depend on the inputs' values becomes an initializer.

This is the work of onnx-graphsurgeon (`Graph.fold_constants`): it finds the nodes whose inputs are
all constant, evaluates them in one ONNX Runtime session, replaces shape arithmetic on known shapes
(Shape, Gather, Unsqueeze, Slice of a shape) by its values, and drops and sorts what is left. Around
it stand here what it does not do: branches of an If whose condition turns out constant, sequences
that can be taken apart, constants that it misreads, and repeating until nothing more folds.
Everywhere else decig works on ONNX's own protobuf messages: they keep names, types and the order of
nodes as the file has them, and copying them is cheap.
"""

import numpy as np
import onnx
from onnx import helper, numpy_helper

from decig.graph.branches import take_branches
from decig.graph.inference import infer_shapes, shapes
from decig.graph.operators import Kind, find, names
from decig.graph.sequences import unroll_sequences
from decig.graph.size_inputs import with_values

_LARGEST = 2**30
"""Most bytes of a constant that is folded; a larger one stays computed."""
_NOT_FOLDED = frozenset(names(Kind.RANDOM, Kind.SEQUENCE))
"""Operators that give other numbers in every run, or values that are no tensors."""


def fold_constants(file: onnx.ModelProto) -> tuple[onnx.ModelProto, onnx.ModelProto]:
    """Fold constant subgraphs, shape arithmetic included, into initializers.

    Returns:
        The graph before and after folding. In both, every If whose condition turned out constant
        is replaced by the branch that it takes.
    """
    while True:
        folded = _fold_all(with_values(file))
        while unroll_sequences(folded):
            folded = _fold_all(folded)
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
        if not any(find(node).kind is Kind.SIZE for node in proto.graph.node):
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
        size_threshold=_LARGEST,
        should_exclude_node=lambda node: node.op in _NOT_FOLDED,
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
    types = _element_types(proto.graph)
    for node in proto.graph.node:
        if node.op_type == "CastLike" and types.get(node.input[1]):
            # The value may be constant although the one whose type it takes is not.
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


def _element_types(graph: onnx.GraphProto) -> dict[str, int]:
    values = (*graph.input, *graph.value_info, *graph.output)
    types = {value.name: value.type.tensor_type.elem_type for value in values}
    return types | {tensor.name: tensor.data_type for tensor in graph.initializer}
