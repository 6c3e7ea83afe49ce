"""Shapes of values, and operators that ONNX does not know."""

from collections.abc import Iterator

import onnx
from onnx import shape_inference

from decig.errors import BadInputError
from decig.graph.operators import find
from decig.graph.storage import without_weights

_ONE_DEVICE = ("com.microsoft.nchwc", "com.ms.internal.nhwc")
"""Domains of operators that ONNX Runtime writes for one kind of device."""
_COMPILED = "EPContext"
"""Operator that holds what an execution provider has compiled."""


def infer_shapes(proto: onnx.ModelProto, *, lenient: bool = False) -> onnx.ModelProto:
    """Infer the shape of every value, in `proto` itself; the shapes that a file claims are dropped.

    Values behind an operator for which ONNX infers nothing are left without a shape. With
    `lenient`, so are values for which inference fails, as it may where axes are dynamic. Graph
    outputs without an inferred shape keep the one that is claimed.

    Raises:
        onnx.shape_inference.InferenceError: the shapes contradict each other.
    """
    skeleton = _skeleton(proto)
    strict = not lenient and all(_is_inferable(node, opset(proto)) for node in skeleton.graph.node)
    inferred = shape_inference.infer_shapes(skeleton, strict_mode=strict, data_prop=True).graph
    for found, claimed in zip(inferred.output, proto.graph.output, strict=True):
        if _has_shape(found) or not found.type.HasField("tensor_type"):
            claimed.type.CopyFrom(found.type)
    del proto.graph.value_info[:]
    proto.graph.value_info.extend(inferred.value_info)
    return proto


def shapes(proto: onnx.ModelProto) -> dict[str, tuple[int, ...]]:
    """Static shape of every value of a graph in normal form; values without one are left out."""
    known = {tensor.name: tuple(tensor.dims) for tensor in proto.graph.initializer}
    for value in (*proto.graph.input, *proto.graph.value_info, *proto.graph.output):
        tensor_type = value.type.tensor_type
        dims = tensor_type.shape.dim
        if tensor_type.HasField("shape") and all(dim.HasField("dim_value") for dim in dims):
            known[value.name] = tuple(dim.dim_value for dim in dims)
    return known


def kinds(proto: onnx.ModelProto) -> dict[str, int]:
    """Element type (of `TensorProto`) of every value of a graph in normal form."""
    known = {tensor.name: tensor.data_type for tensor in proto.graph.initializer}
    values = (*proto.graph.input, *proto.graph.value_info, *proto.graph.output)
    return known | {value.name: value.type.tensor_type.elem_type for value in values}


def opset(proto: onnx.ModelProto) -> int:
    """Version of the default operator set."""
    return max((o.version for o in proto.opset_import if o.domain in ("", "ai.onnx")), default=1)


def require_operators(proto: onnx.ModelProto) -> None:
    """Check that ONNX defines every operator of the default domain at the graph's opset.

    Raises:
        BadInputError: one was an experiment (ATen, GRUUnit), was withdrawn or never existed.
    """
    version = opset(proto)
    for node in all_nodes(proto.graph):
        if not defines(node, version):
            raise BadInputError(
                f"operator {node.op_type} (node '{node.name or node.output[0]}') is not in ONNX "
                f"opset {version}: export the model again with current operators"
            )


def require_portable(proto: onnx.ModelProto) -> None:
    """Check that a graph was not optimised or compiled by ONNX Runtime for one kind of device.

    Raises:
        BadInputError: a node stores its weights as one processor reads them, or holds a program
            for one accelerator; nothing can be cut or moved there any more.
    """
    for node in all_nodes(proto.graph):
        if node.domain in _ONE_DEVICE or node.op_type == _COMPILED:
            raise BadInputError(
                f"ONNX Runtime has optimised this file for one kind of device (operator "
                f"{node.op_type} of {node.domain}, node '{node.name or node.output[0]}'): give the "
                "file that it was made from"
            )


def defines(node: onnx.NodeProto, version: int) -> bool:
    """Whether ONNX defines a node's operator at an opset; always true in other domains."""
    return node.domain not in ("", "ai.onnx") or _schema(node, version) is not None


def inputs_of(node: onnx.NodeProto) -> Iterator[str]:
    """Yield the names that a node reads, those that its subgraphs read included."""
    yield from node.input
    for graph in subgraphs(node):
        for inner in graph.node:
            yield from inputs_of(inner)
        yield from (value.name for value in graph.output)


def subgraphs(node: onnx.NodeProto) -> Iterator[onnx.GraphProto]:
    """Yield the graphs inside a node: the branches of an If, the body of a Loop."""
    for attribute in node.attribute:
        if attribute.type == onnx.AttributeProto.GRAPH:
            yield attribute.g
        yield from attribute.graphs


def all_nodes(graph: onnx.GraphProto) -> Iterator[onnx.NodeProto]:
    """Yield the nodes of a graph and of the graphs inside them."""
    for node in graph.node:
        yield node
        for inner in subgraphs(node):
            yield from all_nodes(inner)


def _schema(node: onnx.NodeProto, version: int) -> onnx.defs.OpSchema | None:
    try:
        schema = onnx.defs.get_schema(node.op_type, version, "")
    except onnx.defs.SchemaError:
        return None
    return None if schema.deprecated else schema


def _is_inferable(node: onnx.NodeProto, version: int) -> bool:
    if node.domain not in ("", "ai.onnx") or any(subgraphs(node)):
        return False
    schema = _schema(node, version)
    return schema is not None and schema.has_type_and_shape_inference_function


def _has_shape(value: onnx.ValueInfoProto) -> bool:
    return bool(value.type.tensor_type.HasField("shape"))


def _swaps(node: onnx.NodeProto) -> bool:
    """Whether a FusedMatMul transposes an operand, which no plain product does."""
    return node.op_type == "FusedMatMul" and any(
        a.i for a in node.attribute if a.name.startswith("trans")
    )


def _skeleton(proto: onnx.ModelProto) -> onnx.ModelProto:
    """Copy what shape inference looks at: of large weights the shapes alone, no claimed shapes."""
    skeleton = without_weights(proto)
    graph = skeleton.graph
    del graph.value_info[:]
    for value in graph.output:
        if value.type.HasField("tensor_type"):
            value.type.tensor_type.ClearField("shape")
    for node in graph.node:
        entry = find(node)
        if entry.keeps_shape:
            node.op_type = "Identity"
            node.domain = ""
            del node.input[1:], node.attribute[:]
        elif entry.plain and not _swaps(node):  # a fused operator has the shape of what it was
            node.op_type = entry.plain
            node.domain = ""
            del node.input[entry.operands :]
    kept = {tensor.name for tensor in graph.initializer}
    for tensor in proto.graph.initializer:
        if tensor.name not in kept:
            graph.initializer.add(name=tensor.name, dims=tensor.dims, data_type=tensor.data_type)
    return skeleton
