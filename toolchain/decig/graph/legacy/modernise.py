"""Graphs of any opset, rewritten for one that ONNX Runtime runs and for current operators."""

import contextlib
from collections.abc import Callable

import numpy as np
import onnx
from onnx import helper, numpy_helper, version_converter

from decig.errors import BadInputError
from decig.graph.inference import defines, infer_shapes, opset
from decig.graph.legacy.draft import Draft
from decig.graph.legacy.rules import CHANGED, WITHDRAWN, Rule, batch_normalization

OLDEST_OPSET = 7
"""First opset that is kept: it brought today's broadcasting, and ONNX Runtime runs no older one."""

_NO_OPSET = 1 << 31
_UNKNOWN: tuple[np.dtype, int | None] = (np.dtype(np.float32), None)


def modernise(proto: onnx.ModelProto) -> onnx.ModelProto:
    """Rewrite withdrawn operators and lift opsets before 7.

    Nodes and values that are still there keep their names. Operators without a rule stay: see
    `decig.graph.inference.require_operators`.

    Args:
        proto: a graph as a file has it; it may be changed.

    Raises:
        BadInputError: an operator, or the opset, has no current form.
    """
    if not 1 <= opset(proto) < _NO_OPSET:
        raise BadInputError(f"opset {opset(proto)}: there is no such operator set")
    if opset(proto) == 1:
        _second_opset(proto)
    _rewrite(proto)
    if opset(proto) < OLDEST_OPSET:
        proto = _lift(proto)
        _rewrite(proto)
    return proto


def _rule(node: onnx.NodeProto, version: int) -> Rule | None:
    """Return the rule of a node that must be rewritten; None for others, and without a rule."""
    if not defines(node, version):
        return WITHDRAWN.get(node.op_type)
    if version >= OLDEST_OPSET and node.op_type == "BatchNormalization":
        by_position = any(a.name == "spatial" and not a.i for a in node.attribute)
        return batch_normalization if by_position else None
    return CHANGED.get(node.op_type) if version < OLDEST_OPSET else None


def _rewrite(proto: onnx.ModelProto) -> None:
    """Replace every node that needs a rule, in `proto` itself."""
    version = opset(proto)
    if not any(_rule(node, version) for node in proto.graph.node):
        return
    known = _types(proto)
    constant = _constants(proto)
    nodes: list[onnx.NodeProto] = []
    for node in proto.graph.node:
        rule = _rule(node, version)
        if rule is None:
            nodes.append(node)
            continue
        dtypes, ranks = zip(*(known.get(name, _UNKNOWN) for name in node.input), strict=True)
        draft = Draft(node, version, dtypes[0], list(ranks), constant)
        rule(draft, node.input[0])
        nodes += draft.finish()
        proto.graph.initializer.extend(draft.constants)
    copies = [onnx.NodeProto.FromString(node.SerializeToString()) for node in nodes]
    del proto.graph.node[:], proto.graph.value_info[:]
    proto.graph.node.extend(copies)


def _types(proto: onnx.ModelProto) -> dict[str, tuple[np.dtype, int | None]]:
    """Element type and rank of every value, as far as they can be told.

    No operator that is rewritten changes them, so shape inference sees each as an Identity.
    """
    known = onnx.ModelProto()
    known.CopyFrom(proto)
    version = opset(proto)
    for node in known.graph.node:
        if _rule(node, version) is not None:
            node.op_type = "Identity"
            del node.input[1:], node.attribute[:]
    with contextlib.suppress(Exception):  # the checker that comes later says what is wrong
        infer_shapes(known)
    found: dict[str, tuple[np.dtype, int | None]] = {
        tensor.name: (helper.tensor_dtype_to_np_dtype(tensor.data_type), len(tensor.dims))
        for tensor in proto.graph.initializer
    }
    for value in (*known.graph.input, *known.graph.value_info):
        kind = value.type.tensor_type
        if kind.elem_type:
            rank = len(kind.shape.dim) if kind.HasField("shape") else None
            found[value.name] = (helper.tensor_dtype_to_np_dtype(kind.elem_type), rank)
    return found


def _constants(proto: onnx.ModelProto) -> Callable[[str], np.ndarray | None]:
    tensors = {tensor.name: tensor for tensor in proto.graph.initializer}
    for node in proto.graph.node:
        if node.op_type == "Constant" and node.attribute and node.attribute[0].name == "value":
            tensors[node.output[0]] = node.attribute[0].t
    return lambda name: numpy_helper.to_array(tensors[name]) if name in tensors else None


def _second_opset(proto: onnx.ModelProto) -> None:
    """Call opset 1 opset 2: they differ in one name of Pad, at which ONNX's converter fails."""
    for node in proto.graph.node:
        for attribute in node.attribute:
            if node.op_type == "Pad" and attribute.name == "paddings":
                attribute.name = "pads"
    del proto.opset_import[:]
    proto.opset_import.append(helper.make_opsetid("", 2))


def _lift(proto: onnx.ModelProto) -> onnx.ModelProto:
    """Convert a graph of before opset 7 to that opset; BadInputError if ONNX cannot."""
    try:
        lifted = version_converter.convert_version(proto, OLDEST_OPSET)
    except Exception as error:  # the converter raises RuntimeError and classes of its own
        reason = str(error).rpartition("failed: ")[2].partition("\n")[0]
        raise BadInputError(
            f"opset {opset(proto)} is from before 2018 and cannot be converted ({reason}): "
            f"export the model again with opset {OLDEST_OPSET} or later"
        ) from error
    del lifted.graph.value_info[:]  # the converter leaves some half written
    return lifted
