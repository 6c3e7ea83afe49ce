"""Whether the sizes of a graph fit together, where ONNX's own shape inference does not look.

A net that works on windows, or shrinks its picture several times, takes some sizes of input only.
At others ONNX infers a Reshape that changes the number of elements, or a picture
of size 0 or less.
"""

import math
from collections.abc import Mapping

import onnx
from onnx import helper

from decig.errors import BadInputError
from decig.graph.flow import attributes
from decig.graph.inference import infer_shapes, opset, shapes
from decig.graph.operands import by, named, require_fitting_operands
from decig.graph.operators import Kind, find

_ADVICE = "give another size of input with --input-shape"
_HIDDEN = "decig.hidden"

Shape = tuple[int, ...]


def require_fitting_sizes(proto: onnx.ModelProto) -> None:
    """Check every node whose sizes are known.

    Args:
        proto: a graph, shapes inferred.

    Raises:
        BadInputError: the sizes of a node do not fit; the message names the node, the sizes and,
            where another size of input may help, the option that gives one.
    """
    known, version = shapes(proto), opset(proto)
    constants = {tensor.name: tensor for tensor in proto.graph.initializer}
    for node in proto.graph.node:
        _require_size(node, known)
        inputs = [known.get(name) for name in node.input]
        if node.op_type == "Reshape":
            _require_same_elements(node, inputs[0], known.get(node.output[0]))
        require_fitting_operands(node, known, constants, version)


def require_sizes_before_slices(proto: onnx.ModelProto) -> None:
    """Check the values that Slices read, before ONNX infers what those give.

    Of an axis of negative size, ONNX's inference of Slice (as of 1.23) ends the whole process in a
    failed assertion. So Slices are hidden from it until the sizes that they read are known.

    Raises:
        BadInputError: a size is negative; as `require_fitting_sizes`.
    """
    hidden = {node.output[0] for node in proto.graph.node if node.op_type == "Slice"}
    if not any(_may_overrun(node, proto.graph) for node in proto.graph.node):
        return
    while hidden:
        probe = onnx.ModelProto()
        probe.CopyFrom(proto)
        probe.opset_import.append(helper.make_opsetid(_HIDDEN, 1))
        for node in probe.graph.node:
            if node.output[0] in hidden:
                node.domain = _HIDDEN
        known = shapes(infer_shapes(probe, lenient=True))
        for node in proto.graph.node:
            _require_size(node, known)
        found = {n.output[0] for n in proto.graph.node if n.input and n.input[0] in known} & hidden
        if not found:
            return
        hidden -= found


def _may_overrun(node: onnx.NodeProto, graph: onnx.GraphProto) -> bool:
    """Whether a window is so large that a small input gives an output of negative size."""
    if find(node).kind not in (Kind.CONVOLUTION, Kind.POOL):
        return False
    given = attributes(node)
    weights = next((t for t in graph.initializer if t.name in node.input[1:2]), None)
    kernel = given.get("kernel_shape", [] if weights is None else list(weights.dims[2:]))
    rank = len(kernel)
    pads = given.get("pads", [0] * 2 * rank)
    steps = zip(
        kernel,
        given.get("dilations", [1] * rank),
        given.get("strides", [1] * rank),
        pads[:rank],
        pads[rank:],
        strict=False,
    )
    return any((k - 1) * d + 1 > s + begin + end for k, d, s, begin, end in steps)


def _require_size(node: onnx.NodeProto, known: Mapping[str, Shape]) -> None:
    """Refuse outputs of negative size, and empty ones where a window finds no place."""
    given = known.get(node.input[0], ()) if node.input else ()
    slides = find(node).kind in (Kind.CONVOLUTION, Kind.POOL) and 0 not in given
    for name in node.output:
        if min(known.get(name, ()), default=1) < (1 if slides else 0):
            raise BadInputError(
                f"{named(node)} would make {by(known[name])} of {by(given)}, which is too "
                f"small for it: {_ADVICE}"
            )


def _require_same_elements(node: onnx.NodeProto, before: Shape | None, after: Shape | None) -> None:
    if before is None or after is None or math.prod(before) == math.prod(after):
        return
    raise BadInputError(
        f"{named(node)} cannot make {by(after)} ({math.prod(after)} elements) of {by(before)} "
        f"({math.prod(before)} elements): {_ADVICE}"
    )
