"""Graphs of any float type, rewritten in one wide type to compare them and to solve for weights.

float16 rounds at 1e-3 of the range, which would hide a wrong cut, and ONNX Runtime's CPU has no
kernels for bfloat16 and hardly any for double: so the wide type is float32. Where even that rounds
too much, it is double, which ONNX's reference evaluator runs.
"""

from collections.abc import Iterator

import onnx
from onnx import TensorProto, helper, numpy_helper

from decig.graph.inference import infer_shapes, subgraphs
from decig.graph.model import initializers, replace_initializers

_FLOATS: set[int] = {
    TensorProto.FLOAT16,
    TensorProto.BFLOAT16,
    TensorProto.FLOAT,
    TensorProto.DOUBLE,
}


def widen(proto: onnx.ModelProto) -> onnx.ModelProto:
    """Return a copy in which every float16, bfloat16 and double is a float32.

    A graph without any is returned itself.
    """
    others = _FLOATS - {TensorProto.FLOAT}
    if not _has_others(proto.graph, others):
        return proto
    return infer_shapes(_widened(proto, TensorProto.FLOAT, others), lenient=True)


def narrow(wide: onnx.ModelProto, like: onnx.ModelProto) -> onnx.ModelProto:
    """Put a widened graph's weights into the graph it comes from, in the types they have there.

    Args:
        wide: what `widen` returned; its weights may have changed since.
        like: the graph that was widened. Where it has no other type than float32, `wide` itself is
            returned.
    """
    if widen(like) is like:
        return wide
    found = onnx.ModelProto()
    found.CopyFrom(like)
    arrays, types = initializers(wide), initializers(like)
    replace_initializers(found, {n: arrays[n].astype(a.dtype) for n, a in types.items()})
    return found


def to_double(proto: onnx.ModelProto) -> onnx.ModelProto:
    """Return a copy in which every float is a double, also where ONNX demands float32.

    So it is no valid ONNX (the scales of a Resize), but the reference evaluator runs it.
    """
    return _widened(proto, TensorProto.DOUBLE, _FLOATS - {TensorProto.DOUBLE})


def _widened(proto: onnx.ModelProto, kind: int, others: set[int]) -> onnx.ModelProto:
    wide = onnx.ModelProto()
    wide.CopyFrom(proto)
    _widen_graph(wide.graph, kind, others)
    return wide


def _has_others(graph: onnx.GraphProto, others: set[int]) -> bool:
    values = (*graph.input, *graph.value_info)
    kinds = {value.type.tensor_type.elem_type for value in values}
    kinds.update(tensor.data_type for tensor in graph.initializer)
    return not kinds.isdisjoint(others)


def _widen_graph(graph: onnx.GraphProto, kind: int, others: set[int]) -> None:
    del graph.value_info[:]
    for value in (*graph.input, *graph.output):
        if value.type.tensor_type.elem_type in others:
            value.type.tensor_type.elem_type = kind
    for tensor in graph.initializer:
        _widen_tensor(tensor, kind, others)
    for node in graph.node:
        for attribute in node.attribute:
            if attribute.name in ("to", "dtype", "stash_type") and attribute.i in others:
                attribute.i = kind
        for tensor in _tensors_of(node):
            _widen_tensor(tensor, kind, others)
        for inner in subgraphs(node):
            _widen_graph(inner, kind, others)


def _tensors_of(node: onnx.NodeProto) -> Iterator[TensorProto]:
    for attribute in node.attribute:
        if attribute.type == onnx.AttributeProto.TENSOR:
            yield attribute.t


def _widen_tensor(tensor: TensorProto, kind: int, others: set[int]) -> None:
    if tensor.data_type in others:
        array = numpy_helper.to_array(tensor).astype(helper.tensor_dtype_to_np_dtype(kind))
        tensor.CopyFrom(numpy_helper.from_array(array, tensor.name))
