"""Damage for files that loaders must refuse in one line: of bytes, of texts and of ONNX graphs."""

from collections.abc import Callable

import numpy as np
import onnx
from onnx import TensorProto

Damage = Callable[[np.random.Generator, bytes], bytes]


def damaged(rng: np.random.Generator, data: bytes, times: int = 3) -> bytes:
    """Damage bytes once to `times` times, each time in one of the ways of `_BYTES`."""
    for _ in range(int(rng.integers(1, times + 1))):
        if data:
            data = _BYTES[rng.integers(len(_BYTES))](rng, data)
    return data


def _flip(rng: np.random.Generator, data: bytes) -> bytes:
    found = bytearray(data)
    found[rng.integers(len(found))] ^= 1 << int(rng.integers(8))
    return bytes(found)


def _cut_off(rng: np.random.Generator, data: bytes) -> bytes:
    return data[: rng.integers(len(data))]


def _take_out(rng: np.random.Generator, data: bytes) -> bytes:
    start = int(rng.integers(len(data)))
    return data[:start] + data[start + int(rng.integers(1, 16)) :]


def _put_in(rng: np.random.Generator, data: bytes) -> bytes:
    place, more = int(rng.integers(len(data) + 1)), rng.bytes(int(rng.integers(1, 16)))
    return data[:place] + more + data[place:]


def _repeat(rng: np.random.Generator, data: bytes) -> bytes:
    start = int(rng.integers(len(data)))
    end = start + int(rng.integers(1, 64))
    return data[:end] + data[start:end] + data[end:]


def _overwrite(rng: np.random.Generator, data: bytes) -> bytes:
    value = _EXTREMES[rng.integers(len(_EXTREMES))]
    place = int(rng.integers(len(data)))
    return data[:place] + value + data[place + len(value) :]


_EXTREMES = (b"\x00" * 4, b"\xff" * 4, b"\x7f\xff\xff\xff", b"\xff\xff\xff\x7f", b"\x80\x00")
_BYTES: tuple[Damage, ...] = (_flip, _cut_off, _take_out, _put_in, _repeat, _overwrite)


_WORDS = (
    b"null", b"true", b"-1", b"1e999", b"NaN", b"[]", b"{}", b'""', b"0", b"99999999999999999999",
    b"'", b'"', b"\xff", b"..", b"[[", b"=", b",", b"\n", b'"\\ud800"', b"1979-05-27",
)  # fmt: skip


def damaged_text(rng: np.random.Generator, data: bytes) -> bytes:
    """Replace a word of a text by one that does not belong there, or damage its bytes."""
    if rng.random() < 0.3:
        return damaged(rng, data)
    words = data.split(b" ")
    words[rng.integers(len(words))] = _WORDS[rng.integers(len(_WORDS))]
    return b" ".join(words)


def damaged_graph(rng: np.random.Generator, data: bytes) -> bytes:
    """Damage the graph of an ONNX file so that it is still a protobuf."""
    proto = onnx.ModelProto.FromString(data)
    for _ in range(int(rng.integers(1, 3))):
        _GRAPH[rng.integers(len(_GRAPH))](rng, proto)
    return proto.SerializeToString()


_OPERATORS = (
    "Conv", "ConvTranspose", "Reshape", "Concat", "Add", "MatMul", "Resize", "Slice", "Split",
    "Pad", "Gather", "Transpose", "InstanceNormalization", "DepthToSpace", "If", "Loop", "Expand",
    "Einsum", "Identity", "Nothing", "Constant", "Squeeze", "ReduceMean", "Gemm", "Tile", "Where",
)  # fmt: skip


def _node(rng: np.random.Generator, proto: onnx.ModelProto) -> onnx.NodeProto:
    nodes = proto.graph.node
    return nodes[rng.integers(len(nodes))] if nodes else nodes.add()


def _rename_operator(rng: np.random.Generator, proto: onnx.ModelProto) -> None:
    _node(rng, proto).op_type = _OPERATORS[rng.integers(len(_OPERATORS))]


def _drop_node(rng: np.random.Generator, proto: onnx.ModelProto) -> None:
    if proto.graph.node:
        del proto.graph.node[rng.integers(len(proto.graph.node))]


def _drop_attribute(rng: np.random.Generator, proto: onnx.ModelProto) -> None:
    attributes = _node(rng, proto).attribute
    if attributes:
        del attributes[rng.integers(len(attributes))]


def _change_attribute(rng: np.random.Generator, proto: onnx.ModelProto) -> None:
    for attribute in _node(rng, proto).attribute:
        if attribute.ints:
            attribute.ints[rng.integers(len(attribute.ints))] = _number(rng)
        elif attribute.HasField("i"):
            attribute.i = _number(rng)
        elif attribute.HasField("f"):
            attribute.f = float(rng.choice([0, -1, np.nan, np.inf, 1e38]))


def _rewire(rng: np.random.Generator, proto: onnx.ModelProto) -> None:
    inputs, values = _node(rng, proto).input, ["", "nowhere"]
    values += [name for node in proto.graph.node for name in node.output]
    values += [tensor.name for tensor in proto.graph.initializer]
    if inputs:
        inputs[rng.integers(len(inputs))] = values[rng.integers(len(values))]


def _drop_input(rng: np.random.Generator, proto: onnx.ModelProto) -> None:
    inputs = _node(rng, proto).input
    if inputs:
        del inputs[rng.integers(len(inputs))]


def _change_shape(rng: np.random.Generator, proto: onnx.ModelProto) -> None:
    tensors = proto.graph.initializer
    if tensors:
        dims = tensors[rng.integers(len(tensors))].dims
        if dims:
            dims[rng.integers(len(dims))] = _number(rng)


def _change_type(rng: np.random.Generator, proto: onnx.ModelProto) -> None:
    tensors = proto.graph.initializer
    if tensors:
        kinds = [
            TensorProto.INT64,
            TensorProto.STRING,
            TensorProto.FLOAT16,
            0,
            99,
            TensorProto.BOOL,
        ]
        tensors[rng.integers(len(tensors))].data_type = int(rng.choice(kinds))


def _drop_weight(rng: np.random.Generator, proto: onnx.ModelProto) -> None:
    tensors = proto.graph.initializer
    if tensors:
        del tensors[rng.integers(len(tensors))]


def _change_port(rng: np.random.Generator, proto: onnx.ModelProto) -> None:
    ports = [*proto.graph.input, *proto.graph.output]
    if ports:
        dims = ports[rng.integers(len(ports))].type.tensor_type.shape.dim
        if dims and rng.random() < 0.7:
            dims[rng.integers(len(dims))].dim_value = _number(rng)
        else:
            ports[rng.integers(len(ports))].ClearField("type")


def _double_output(rng: np.random.Generator, proto: onnx.ModelProto) -> None:
    first, second = _node(rng, proto), _node(rng, proto)
    if first.output and second.output:
        first.output[0] = second.output[0]


def _change_opset(rng: np.random.Generator, proto: onnx.ModelProto) -> None:
    if proto.opset_import:
        proto.opset_import[0].version = int(rng.choice([0, 1, 6, 10, 99, -1]))


def _outside_data(rng: np.random.Generator, proto: onnx.ModelProto) -> None:
    tensors = proto.graph.initializer
    if tensors:
        tensor = tensors[rng.integers(len(tensors))]
        tensor.data_location = TensorProto.EXTERNAL
        places = ("../secret", "/etc/passwd", "missing.bin", "", ".")
        for key, value in (("location", places[rng.integers(len(places))]), ("offset", "-1")):
            tensor.external_data.add(key=key, value=value)


def _number(rng: np.random.Generator) -> int:
    return int(rng.choice([0, 1, -1, 2, 7, 64, 1 << 20, (1 << 31) - 1, (1 << 62), -(1 << 40)]))


_GRAPH = (
    _rename_operator, _drop_node, _drop_attribute, _change_attribute, _rewire, _drop_input,
    _change_shape, _change_type, _drop_weight, _change_port, _double_output, _change_opset,
    _outside_data,
)  # fmt: skip
