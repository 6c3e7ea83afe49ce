"""A graph of any float type in float32: to compare exactly, and to solve for weights.

float16 rounds at 1e-3 of the range, which would hide a wrong cut, and ONNX Runtime's CPU has no
kernels for bfloat16 and hardly any for double.
"""

from collections.abc import Iterator

import numpy as np
import onnx
from onnx import TensorProto, numpy_helper

from decig.graph.inference import infer_shapes, subgraphs

_OTHERS = (TensorProto.FLOAT16, TensorProto.BFLOAT16, TensorProto.DOUBLE)


def widen(proto: onnx.ModelProto) -> onnx.ModelProto:
    """Return a copy in which every float16, bfloat16 and double is a float32.

    A graph without any is returned itself.
    """
    if not _has_others(proto.graph):
        return proto
    wide = onnx.ModelProto()
    wide.CopyFrom(proto)
    _widen_graph(wide.graph)
    return infer_shapes(wide, lenient=True)


def _has_others(graph: onnx.GraphProto) -> bool:
    values = (*graph.input, *graph.value_info)
    kinds = {value.type.tensor_type.elem_type for value in values}
    kinds.update(tensor.data_type for tensor in graph.initializer)
    return not kinds.isdisjoint(_OTHERS)


def _widen_graph(graph: onnx.GraphProto) -> None:
    del graph.value_info[:]
    for value in (*graph.input, *graph.output):
        if value.type.tensor_type.elem_type in _OTHERS:
            value.type.tensor_type.elem_type = TensorProto.FLOAT
    for tensor in graph.initializer:
        _widen_tensor(tensor)
    for node in graph.node:
        for attribute in node.attribute:
            if attribute.name in ("to", "dtype", "stash_type") and attribute.i in _OTHERS:
                attribute.i = TensorProto.FLOAT
        for tensor in _tensors_of(node):
            _widen_tensor(tensor)
        for inner in subgraphs(node):
            _widen_graph(inner)


def _tensors_of(node: onnx.NodeProto) -> Iterator[TensorProto]:
    for attribute in node.attribute:
        if attribute.type == onnx.AttributeProto.TENSOR:
            yield attribute.t


def _widen_tensor(tensor: TensorProto) -> None:
    if tensor.data_type in _OTHERS:
        array = numpy_helper.to_array(tensor).astype(np.float32)
        tensor.CopyFrom(numpy_helper.from_array(array, tensor.name))
