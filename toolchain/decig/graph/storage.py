"""ONNX files: read with their external data, written whole or not at all.

A protobuf message cannot exceed 2 GiB, so the weights of a larger model stand in a file beside it.
"""

import contextlib
import glob
import hashlib
from collections.abc import Collection
from pathlib import Path

import onnx
from google.protobuf.message import DecodeError
from onnx import TensorProto, numpy_helper

from decig.errors import BadInputError
from decig.files import Destination, atomic_path, destination, write_bytes

LIMIT = 2**31 - 2**24
"""Bytes of weights above which they go into a file of their own. A protobuf message holds 2**31
bytes; the room left is for the rest of the graph."""
_HEAVY = 2**24  # bytes of weights that are not copied for ONNX's checker to look at
_SMALL = 1024  # bytes of a tensor that stays in the graph: inference reads short constants
_ORT_FORMAT = b"ORTM"
"""What a file in ONNX Runtime's own format holds behind its first four bytes."""
_PAGE = 4096  # ONNX Runtime maps weights into memory by pages


def read_model(path: Path) -> tuple[onnx.ModelProto, str]:
    """Read a file and the weights that it keeps in others.

    Returns:
        The model and the SHA-256 of its bytes; external weights count too.

    Raises:
        BadInputError: the file is missing, or no ONNX.
        Exception: whatever ONNX raises where external data is missing or damaged.
    """
    try:
        content = path.read_bytes()
    except OSError as error:
        raise BadInputError(f"cannot read this model: {error.strerror}") from error
    if content[4:8] == _ORT_FORMAT:
        raise BadInputError(
            "this is ONNX Runtime's own format (.ort), made for running alone: give the .onnx "
            "file that it was made from"
        )
    try:
        proto = onnx.load_model_from_string(content)
    except DecodeError as error:
        raise BadInputError("not a readable ONNX file (truncated?)") from error
    digest = hashlib.sha256(content)
    external = [t for t in proto.graph.initializer if t.data_location == TensorProto.EXTERNAL]
    onnx.load_external_data_for_model(proto, str(_beside(path, external)))
    for tensor in external:
        digest.update(tensor.raw_data)
    return proto, digest.hexdigest()


def _beside(path: Path, external: list[TensorProto]) -> Path:
    """Folder of a model's external data: that of the path or, where it is a link, of its file."""
    names = [entry.value for t in external for entry in t.external_data if entry.key == "location"]
    there = all((path.parent / name).exists() for name in names)
    return path.parent if there else path.resolve().parent


def save_model(proto: onnx.ModelProto, path: Path | str) -> None:
    """Check a graph and write it atomically; the weights into a second file if it is too large.

    The second file lies beside the first one, behind any links to it. Its name holds a digest of
    the weights, so that another file of the same folder never loses its own; nothing is left if
    writing fails, nor of the weights of the file that was there before.

    Raises:
        BadInputError: as in `decig.files.write_bytes`; a model of two files is to be written into
            a device or a pipe.
        DecigError: as in `decig.files.write_bytes`.
    """
    place = destination(Path(path))
    weights = place.path.parent.glob(f"{glob.escape(place.path.name)}.????????.data")
    before = set() if place.stream else set(weights)
    if is_large(proto):
        before.discard(_save_pair(proto, path, place, before))
    else:
        check_model(proto)
        write_bytes(Path(path), proto.SerializeToString())
    for stale in before:
        with contextlib.suppress(OSError):  # the model is written, whoever holds what is stale
            stale.unlink()


def _save_pair(
    proto: onnx.ModelProto, given: Path | str, place: Destination, before: Collection[Path]
) -> Path:
    """Write a graph, and its weights into a second file; returns the path of the weights.

    Args:
        proto: the graph.
        given: path of the file, for messages.
        place: where writing to that ends.
        before: files of weights that are there.
    """
    if place.stream:
        raise BadInputError(
            f"{given}: not written: the weights need a second file beside the model, and this is "
            "no place for files"
        )
    path = place.path
    large = [tensor for tensor in proto.graph.initializer if _size(tensor) > _SMALL]
    weights = _weights_path(large, path)
    slim = _write_weights(proto, large, weights)
    try:
        with atomic_path(path) as temporary:
            temporary.write_bytes(slim.SerializeToString())
            onnx.checker.check_model(temporary)
    except BaseException:
        if weights not in before:
            weights.unlink(missing_ok=True)
        raise
    return weights


def is_large(proto: onnx.ModelProto) -> bool:
    """Whether a graph does not fit into one file."""
    return _weight(proto) > LIMIT


def check_model(proto: onnx.ModelProto) -> None:
    """Have ONNX check a graph; the large weights of a heavy one are taken for inputs."""
    if _weight(proto) > _HEAVY:
        slim = without_weights(proto)
        for tensor in proto.graph.initializer:
            if _size(tensor) > _SMALL:
                kind = onnx.helper.make_tensor_type_proto(tensor.data_type, tensor.dims)
                slim.graph.input.append(onnx.helper.make_value_info(tensor.name, kind))
        proto = slim
    onnx.checker.check_model(proto)


def without_weights(proto: onnx.ModelProto) -> onnx.ModelProto:
    """Return a copy that has the small initializers only."""
    slim = onnx.ModelProto(ir_version=proto.ir_version)
    slim.opset_import.extend(proto.opset_import)
    slim.metadata_props.extend(proto.metadata_props)
    slim.functions.extend(proto.functions)
    graph = slim.graph
    graph.name = proto.graph.name
    graph.node.extend(proto.graph.node)
    graph.input.extend(proto.graph.input)
    graph.output.extend(proto.graph.output)
    graph.value_info.extend(proto.graph.value_info)
    graph.initializer.extend(t for t in proto.graph.initializer if _size(t) <= _SMALL)
    return slim


def _weights_path(large: list[TensorProto], path: Path) -> Path:
    """File beside `path` for these weights; other weights get another file."""
    digest = hashlib.sha256()
    for tensor in large:
        digest.update(f"{tensor.name} {tensor.data_type} {list(tensor.dims)}".encode())
        digest.update(_content(tensor))
    return path.with_name(f"{path.name}.{digest.hexdigest()[:8]}.data")


def _content(tensor: TensorProto) -> bytes:
    return tensor.raw_data or numpy_helper.to_array(tensor).tobytes()


def _write_weights(
    proto: onnx.ModelProto, large: list[TensorProto], weights: Path
) -> onnx.ModelProto:
    """Write the large tensors to a file and return the graph that points to it."""
    slim = without_weights(proto)
    with atomic_path(weights) as temporary, temporary.open("wb") as file:
        for tensor in large:
            file.write(bytes(-file.tell() % _PAGE))
            start = file.tell()
            content = _content(tensor)
            file.write(content)
            outside = slim.graph.initializer.add()
            outside.name, outside.data_type = tensor.name, tensor.data_type
            outside.dims.extend(tensor.dims)
            outside.data_location = TensorProto.EXTERNAL
            where = {"location": weights.name, "offset": start, "length": len(content)}
            for key, value in where.items():
                outside.external_data.add(key=key, value=str(value))
    return slim


def _weight(proto: onnx.ModelProto) -> int:
    """Bytes of all initializers."""
    return sum(_size(tensor) for tensor in proto.graph.initializer)


def _size(tensor: TensorProto) -> int:
    """Bytes of a tensor's content, wherever it stands."""
    narrow, wide = (tensor.float_data, tensor.int32_data), (tensor.double_data, tensor.int64_data)
    return len(tensor.raw_data) + 4 * sum(map(len, narrow)) + 8 * sum(map(len, wide))
