"""Operators that work on each element by itself: channels pass, operands are united."""

import onnx

from decig.graph.flow import Flow, attributes, pad_rank
from decig.graph.ids import FIXED, Ids, varying_axes
from decig.graph.operators import Kind, names
from decig.graph.rules.registry import rule

_LIKE = ("Bernoulli", "RandomNormalLike", "RandomUniformLike")
"""Operators that draw one number for each element."""
UNARY = [*names(Kind.ACTIVATION, Kind.FUNCTION), *_LIKE, "Dropout", "Identity"]
NARY = names(Kind.ARITHMETIC)


@rule(*UNARY)
def unary(flow: Flow, node: onnx.NodeProto) -> list[Ids | None]:
    """Pass the first input's channels on; bounds and ratios are scalars."""
    return [flow.of(node.input[0])] * len(node.output)


@rule(*NARY)
def nary(flow: Flow, node: onnx.NodeProto) -> Ids | None:
    """Unite the operands' channels index by index; constants are bound to them.

    An operand of size 1 along an axis of channels is broadcast over them: it does not restrict
    which of them may be removed.
    """
    rank = len(flow.shape(node.output[0]))
    joined: Ids | None = None
    for name in node.input:
        ids = None if flow.is_constant(name) or not name else flow.of(name)
        if ids is not None:
            joined = _join(flow, node, joined, pad_rank(ids, rank))
    if joined is None:
        return None
    for slot, name in enumerate(node.input):
        shape = (1,) * (rank - len(flow.shape(name))) + flow.shape(name)
        if flow.is_constant(name):
            _adopt(flow, node, slot, joined, shape)
        else:
            _guard_operand(flow, node, name, joined, shape)
    return joined


def _join(flow: Flow, node: onnx.NodeProto, joined: Ids | None, ids: Ids) -> Ids:
    """Unite two operands on the axes along which both vary; other axes are those of either."""
    if joined is None:
        return ids
    if (joined.size == 1) != (ids.size == 1):
        return joined if joined.size > 1 else ids
    flow.space.unite(joined, ids, f"{node.op_type} {node.name} joins them with fixed channels")
    return joined if joined.size >= ids.size else ids


def _guard_operand(
    flow: Flow, node: onnx.NodeProto, name: str, joined: Ids, shape: tuple[int, ...]
) -> None:
    """Freeze what cannot follow a cut: an operand of full size that has no channels there."""
    axes = varying_axes(joined)
    lead = joined.ndim - len(flow.shape(name))
    spare = flow.spare.get(name, {})
    full = [axis for axis in axes if shape[axis] > 1 and axis - lead not in spare]
    ids = flow.of(name)
    if ids is None:
        why = f"{node.op_type} {node.name} meets a computed tensor"
        if len(full) < len(axes):  # one number per head, say: heads stay, their channels may go
            flow.space.tie(joined, tuple(full), why)
        elif full:
            flow.space.freeze(joined, why)
        return
    ids = pad_rank(ids, joined.ndim)
    if full and ids.size == 1:
        flow.space.unite(joined, ids, f"{node.op_type} {node.name} joins them with fixed channels")
    elif not full and axes:
        flow.space.freeze(ids, f"broadcast by {node.op_type} {node.name}")


def _adopt(
    flow: Flow, node: onnx.NodeProto, slot: int, joined: Ids, shape: tuple[int, ...]
) -> None:
    """Bind a constant operand to the channels that it meets."""
    bound = joined
    for axis, size in enumerate(shape):
        if size == 1 and bound.shape[axis] > 1:
            bound = bound.take([0], axis)
    loose = bound.size < joined.size
    if bound.size == 1 and joined.size > 1:
        return  # a scalar or a spatial map: the same for every channel
    rank = len(flow.shape(node.input[slot]))
    bound = bound.reshape(bound.shape[bound.ndim - rank :])
    if (bound != FIXED).any():
        flow.bind(node, slot, "value", bound, loose=loose)


@rule(*names(Kind.SIZE))
def shape_of(flow: Flow, node: onnx.NodeProto) -> None:
    """Shapes have no channels; the rule of a node that lays out channels by one freezes them."""


@rule(*names(Kind.CONSTANT))
def constant(flow: Flow, node: onnx.NodeProto) -> None:
    """Constants that were not folded have no channels of their own."""


@rule("CumSum", "TopK", "ArgMax", "ArgMin")
def along_axis(flow: Flow, node: onnx.NodeProto) -> list[Ids | None]:
    """Compare or add up the elements of an axis; channels pass if that axis has none."""
    ids = flow.of(node.input[0])
    if ids is None:
        return [None] * len(node.output)
    options = attributes(node)
    axis = options.get("axis", -1 if node.op_type == "TopK" else 0)
    if node.op_type == "CumSum":
        given = flow.constant(node.input[1])
        if given is None:
            return flow.block(node, f"CumSum {node.name} along a computed axis")
        axis = given.item()
    if ids.shape[axis] > 1:
        return flow.block(node, f"{node.op_type} {node.name} compares channels")
    if not options.get("keepdims", 1):
        ids = ids.squeeze(axis)
    return [ids] * len(node.output)


@rule("LRN")
def response_norm(flow: Flow, node: onnx.NodeProto) -> list[Ids | None]:
    """Local response normalisation mixes neighbouring channels."""
    return flow.block(node, f"{node.op_type} {node.name} compares channels")


@rule("Softmax", "LogSoftmax", "Hardmax")
def softmax(flow: Flow, node: onnx.NodeProto) -> list[Ids | None]:
    """Compare the elements of one axis: over channels, those that stay share the sum of one."""
    ids = flow.of(node.input[0])
    if ids is None:
        return [None]
    varying = varying_axes(ids)
    compared = [axis for axis in compared_axes(flow, node, ids.ndim) if axis in varying]
    if compared and varying[-1] not in compared:  # as elsewhere, the last axis keeps them apart
        why = f"{node.op_type} {node.name} compares them"
        return [flow.space.tie(ids, tuple(compared), why)]
    if not compared:
        return [ids]
    if node.op_type == "Hardmax":
        return flow.block(node, f"{node.op_type} {node.name} compares channels")
    flow.share(node, ids)
    return [ids]


def compared_axes(flow: Flow, node: onnx.NodeProto, rank: int) -> range:
    """Axes along which a softmax compares; before opset 13 all axes from one on, together."""
    flattens = flow.opset < 13
    axis = attributes(node).get("axis", 1 if flattens else -1) % rank
    return range(axis, rank if flattens else axis + 1)
