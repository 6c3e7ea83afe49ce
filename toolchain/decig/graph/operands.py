"""Whether the weights and constants of a node fit the channels that it is given.

ONNX's shape inference checks that for some operators only. Where it does not, a graph that is given
a wrong number of channels with `--input-shape` looks right until it runs.
"""

from collections.abc import Callable, Mapping

import numpy as np
import onnx
from onnx import numpy_helper

from decig.errors import BadInputError
from decig.graph.flow import attributes
from decig.graph.operators import Kind, find

Shape = tuple[int, ...]


class MisfitError(BadInputError):
    """The weights of a node do not fit what it is given; another size of input may."""


def require_fitting_operands(
    node: onnx.NodeProto,
    known: Mapping[str, Shape],
    constants: Mapping[str, onnx.TensorProto],
    opset: int,
) -> None:
    """Check one node.

    Args:
        node: of a graph, shapes inferred.
        known: shapes of the graph's values, by name.
        constants: its initializers, by name.
        opset: version of its default operator set.

    Raises:
        MisfitError: they do not fit; names the node and the sizes.
    """
    data = known.get(node.input[0]) if node.input else None
    if not data:
        return
    shapes = [known.get(name) for name in node.input]
    if find(node).kind is Kind.CONVOLUTION:
        _convolution(node, data, shapes)
    elif node.op_type == "GroupNormalization":
        _group_norm(node, data, shapes, opset)
    elif node.op_type == "Gather":
        _gather(node, data, constants)
    elif node.op_type in _CHECKS:
        _CHECKS[node.op_type](node, data, shapes)


def _convolution(node: onnx.NodeProto, data: Shape, shapes: list[Shape | None]) -> None:
    """Check channels and groups against the weights."""
    weights = shapes[1]
    if not weights:
        return
    groups = attributes(node).get("group", 1)
    of_one = data[1] / groups if groups > 0 else 0
    fits = weights[0] == data[1] if find(node).transposed else weights[1] == of_one
    if groups < 1 or weights[0] % groups or not fits:
        raise MisfitError(
            f"{named(node)} in {groups} groups has weights {by(weights)}, which do not fit "
            f"{by(data)}"
        )


def _per_channel(node: onnx.NodeProto, data: Shape, shapes: list[Shape | None]) -> None:
    """Check an instance norm: scale and shift have one number per channel."""
    for shape in shapes[1:3]:
        if shape not in (None, data[1:2]):
            raise MisfitError(f"{named(node)} has {by(shape)} numbers for {by(data)}")


def _group_norm(node: onnx.NodeProto, data: Shape, shapes: list[Shape | None], opset: int) -> None:
    """Check whole groups; scale and shift have one number per group up to operator set 20."""
    groups = attributes(node).get("num_groups", 1)
    if groups < 1 or data[1] % groups:
        raise MisfitError(f"{named(node)} cannot part {by(data)} into {groups} groups")
    per_group = not node.domain and opset < 21
    for shape in shapes[1:3]:
        if shape is not None and shape != ((groups,) if per_group else data[1:2]):
            raise MisfitError(f"{named(node)} has {by(shape)} numbers for {by(data)}")


def _stretched(node: onnx.NodeProto, data: Shape, shapes: list[Shape | None]) -> None:
    """Check operands that are stretched over the data, which keeps its shape."""
    for shape in shapes[1:]:
        if shape is None:
            continue
        pairs = zip(reversed(shape), reversed(data), strict=False)
        if len(shape) > len(data) or any(size not in (1, full) for size, full in pairs):
            raise MisfitError(f"{named(node)} has {by(shape)} numbers for {by(data)}")


def _depth_to_space(node: onnx.NodeProto, data: Shape, _shapes: list[Shape | None]) -> None:
    block = attributes(node).get("blocksize", 1)
    if block < 1 or data[1] % block**2:
        raise MisfitError(f"{named(node)} cannot make {block}x{block} blocks of {by(data)}")


def _space_to_depth(node: onnx.NodeProto, data: Shape, _shapes: list[Shape | None]) -> None:
    block = attributes(node).get("blocksize", 1)
    if block < 1 or any(size % block for size in data[2:]):
        raise MisfitError(f"{named(node)} cannot part {by(data)} into {block}x{block} blocks")


def _gather(node: onnx.NodeProto, data: Shape, constants: Mapping[str, onnx.TensorProto]) -> None:
    """Check constant indices."""
    size = data[attributes(node).get("axis", 0)]
    if node.input[1] not in constants:
        return
    indices = numpy_helper.to_array(constants[node.input[1]])
    outside = indices[(indices >= size) | (indices < -size)]
    if outside.size:
        raise MisfitError(
            f"{named(node)} takes index {int(np.ravel(outside)[0])} of an axis of {size}: "
            f"{by(data)}"
        )


def _einsum(node: onnx.NodeProto, _data: Shape, shapes: list[Shape | None]) -> None:
    """Check that a letter has one size in all operands, or 1."""
    text = attributes(node)["equation"].decode().replace(" ", "")
    sizes: dict[str, int] = {}
    for term, shape in zip(text.partition("->")[0].split(","), shapes, strict=False):
        if shape is None or "." in term or len(term) != len(shape):
            continue
        for letter, size in zip(term, shape, strict=True):
            if size != 1 and sizes.setdefault(letter, size) != size:
                raise MisfitError(
                    f"{named(node)}: {letter} of {text} is {sizes[letter]} and {size}, in "
                    f"{' and '.join(by(each) for each in shapes if each)}"
                )


_CHECKS: dict[str, Callable[[onnx.NodeProto, Shape, list[Shape | None]], None]] = {
    "InstanceNormalization": _per_channel,
    "LayerNormalization": _stretched,
    "RMSNormalization": _stretched,
    "PRelu": _stretched,
    "DepthToSpace": _depth_to_space,
    "SpaceToDepth": _space_to_depth,
    "Einsum": _einsum,
}


def named(node: onnx.NodeProto) -> str:
    """Name a node in a message."""
    return f"{node.op_type} {node.name or node.output[0]}"


def by(shape: Shape) -> str:
    """Write a shape as people do."""
    return "x".join(map(str, shape)) or "a number"
