"""Spare axes: axes of computed weights that may turn out to be channels.

StyleGAN2 multiplies the weights of a convolution by a style before it uses them, and scales noise
channel by channel before it adds it. There a constant varies along an axis along which no computed
operand does: a spare axis. It gets identities of its own. They are channels if in the end a
convolution takes the value as its weights, or if the axis meets channels in a sum or a product.
Until then they move from node to node like channels; any other use of them freezes them.
"""

from collections.abc import Callable
from functools import partial

import onnx

from decig.graph.flow import Binding, Flow, attributes, on_axis
from decig.graph.ids import Ids, varying_axes
from decig.graph.operators import Kind, names
from decig.graph.rules import elementwise, normalisation, random
from decig.graph.rules.layout import mend_sizes
from decig.graph.rules.reshape import regroup

Spare = dict[int, Ids]
"""Spare axes of one value: 1-D identities by axis."""


def carry(flow: Flow, node: onnx.NodeProto) -> None:
    """Find the spare axes of a node's output, and freeze those of its inputs that end there."""
    move = _MOVES.get(node.op_type)
    spare: Spare = {}
    if move is not None:
        try:
            spare = move(flow, node)
        except (KeyError, IndexError, ValueError):
            move = None
    if move is None:
        for name in node.input:
            _freeze(flow, node, flow.spare.get(name, {}))
    elif spare:
        flow.spare[node.output[0]] = spare
        if not flow.products.isdisjoint(node.input):
            flow.products.add(node.output[0])


def _freeze(flow: Flow, node: onnx.NodeProto, spare: Spare) -> None:
    what = "computed weights as a picture"
    if not flow.products.isdisjoint(node.input):
        what = "a product of channels with channels in another way than attention does"
    for ids in spare.values():
        flow.space.freeze(ids, f"{node.op_type} {node.name} uses {what}")


def _elementwise(flow: Flow, node: onnx.NodeProto) -> Spare:
    """Unite the spare axes of the operands; an axis along which only constants vary is new."""
    shape = flow.shape(node.output[0])
    ids = flow.of(node.output[0])
    spare: Spare = {}
    for axis, size in enumerate(shape):
        if size == 1:
            continue
        constants, carried, stuck = _operands(flow, node, axis, len(shape))
        if ids is not None and ids.shape[axis] > 1:
            for other in carried:
                flow.space.unite(
                    on_axis(other, axis, len(shape)), ids, f"{node.op_type} {node.name}"
                )
        elif stuck:
            _freeze(flow, node, dict(enumerate(carried)))
        elif carried or constants:
            found = carried[0] if carried else flow.space.fresh(size)
            for other in carried[1:]:
                flow.space.unite(found, other, f"{node.op_type} {node.name}")
            for slot, place in constants:
                _bind_spare(flow, node, slot, place, found)
            spare[axis] = found
    return spare


def _operands(
    flow: Flow, node: onnx.NodeProto, axis: int, rank: int
) -> tuple[list[tuple[int, int]], list[Ids], bool]:
    """Sort the operands that extend along an axis of the output.

    Returns:
        Slot and own axis of each constant; the spare identities of other operands; whether there
        is an operand with neither spare identities nor channels along that axis.
    """
    constants, carried, stuck = [], [], False
    for slot, name in enumerate(node.input):
        own = flow.shape(name) if name else ()
        place = axis - (rank - len(own))
        if place < 0 or own[place] == 1:
            continue
        if flow.is_constant(name):
            constants.append((slot, place))
        elif place in flow.spare.get(name, {}):
            carried.append(flow.spare[name][place])
        else:
            ids = flow.of(name)
            stuck |= ids is None or ids.shape[place] == 1
    return constants, carried, stuck


def _bind_spare(flow: Flow, node: onnx.NodeProto, slot: int, axis: int, ids: Ids) -> None:
    shape = flow.shape(node.input[slot])
    if not flow.products.isdisjoint(node.input):
        flow.bind(node, slot, "value", on_axis(ids, axis, len(shape)))
        return
    # A matrix or a kernel makes channels; a vector scales what others make.
    role = "write" if sum(size > 1 for size in shape) > 1 else "value"
    bound = on_axis(ids, axis, len(shape))
    flow.spare_bindings.append(Binding(node.input[slot], node.name, role, bound))  # type: ignore[arg-type]


def _transpose(flow: Flow, node: onnx.NodeProto) -> Spare:
    spare = flow.spare.get(node.input[0], {})
    rank = len(flow.shape(node.input[0]))
    perm = list(attributes(node).get("perm", range(rank)[::-1]))
    return {perm.index(axis): ids for axis, ids in spare.items()}


def _reshape(flow: Flow, node: onnx.NodeProto) -> Spare:
    """Regroup each axis by itself; two axes that become one are frozen."""
    before, after = flow.shape(node.input[0]), flow.shape(node.output[0])
    channels = flow.of(node.output[0])
    taken = [] if channels is None else varying_axes(channels)
    found: Spare = {}
    for axis, ids in flow.spare.get(node.input[0], {}).items():
        moved = regroup(flow, node, on_axis(ids, axis, len(before)), before, after)
        axes = varying_axes(moved)
        if len(axes) != 1 or axes[0] in taken or axes[0] in found:
            _freeze(flow, node, {axis: ids})
            _freeze(flow, node, {place: found.pop(place) for place in axes if place in found})
            taken += axes
        else:
            found[axes[0]] = moved.ravel()
    _mend(flow, node, found, after)
    return found


def _expand(flow: Flow, node: onnx.NodeProto) -> Spare:
    """Carry axes on; along an axis of copies, any of them can go with what it meets."""
    before, after = flow.shape(node.input[0]), flow.shape(node.output[0])
    lead = len(after) - len(before)
    spare = {lead + axis: ids for axis, ids in flow.spare.get(node.input[0], {}).items()}
    for axis, size in enumerate(after):
        if size > 1 and (axis < lead or before[axis - lead] == 1):
            spare[axis] = flow.space.fresh(size)
    _mend(flow, node, spare, after)
    return spare


def _mend(flow: Flow, node: onnx.NodeProto, spare: Spare, after: tuple[int, ...]) -> None:
    """Let a constant target shape follow when spare axes lose channels."""
    if node.op_type not in ("Reshape", "Expand") or not spare:
        return
    target = flow.constant(node.input[1])
    if target is None or len(target) != len(after):
        _freeze(flow, node, spare)
        return
    laid = [on_axis(ids, axis, len(after)) for axis, ids in spare.items()]
    for ids in laid:
        flow.on_cut(partial(mend_sizes, name=node.input[1], ids=ids, shape=after))


def _softmax(flow: Flow, node: onnx.NodeProto) -> Spare:
    """Compare the channels of a spare axis: those that stay share the sum of one."""
    spare = flow.spare.get(node.input[0], {})
    rank = len(flow.shape(node.input[0]))
    compared = {
        a: ids for a, ids in spare.items() if a in elementwise.compared_axes(flow, node, rank)
    }
    if node.input[0] not in flow.products or len(compared) > 1:
        _freeze(flow, node, compared)
    else:
        for axis, ids in compared.items():
            flow.share(node, on_axis(ids, axis, rank))
    return spare


def _product(flow: Flow, node: onnx.NodeProto) -> Spare:
    """The rule of products has followed channels of two factors, between computed operands."""
    followed = not any(flow.is_constant(name) for name in node.input)
    for name in node.input:
        for axis, ids in flow.spare.get(name, {}).items():
            if not (followed and name in flow.products and axis >= len(flow.shape(name)) - 2):
                _freeze(flow, node, {axis: ids})
    return flow.spare.get(node.output[0], {})


def _einsum(flow: Flow, node: onnx.NodeProto) -> Spare:
    """The rule of Einsum has followed channels of two factors; weights it has not."""
    for name in node.input:
        if name not in flow.products:
            _freeze(flow, node, flow.spare.get(name, {}))
    return flow.spare.get(node.output[0], {})


def _places(flow: Flow, node: onnx.NodeProto) -> Spare:
    """Places that are copied for every channel have met these; other spare axes are frozen."""
    ids = flow.of(node.output[0])
    for slot, name in enumerate(node.input):
        for axis, one in flow.spare.get(name, {}).items():
            if slot != 1 or ids is None or ids.shape[axis] == 1:
                _freeze(flow, node, {axis: one})
    return {}


def _reduce(flow: Flow, node: onnx.NodeProto) -> Spare:
    reduced = normalisation.reduced_axes(flow, node, len(flow.shape(node.input[0])))
    rank = len(flow.shape(node.input[0]))
    spare = flow.spare.get(node.input[0], {})
    gone = {axis: ids for axis, ids in spare.items() if axis in reduced}
    if node.input[0] not in flow.products or len(gone) > 1:
        _freeze(flow, node, gone)
    else:
        for axis, ids in gone.items():
            normalisation.note_reduced(flow, node, on_axis(ids, axis, rank))
    lost = () if attributes(node).get("keepdims", 1) else reduced
    return {
        axis - sum(gone < axis for gone in lost): ids
        for axis, ids in spare.items()
        if axis not in reduced
    }


def _convolution(flow: Flow, node: onnx.NodeProto) -> Spare:
    """Freeze all but the first two axes of the weights: the rule of convolutions takes those."""
    for slot, name in enumerate(node.input):
        spare = flow.spare.get(name, {})
        if slot == 1:
            spare = {axis: ids for axis, ids in spare.items() if axis > 1}
        _freeze(flow, node, spare)
    return {}


_MOVES: dict[str, Callable[[Flow, onnx.NodeProto], Spare]] = {
    **dict.fromkeys((*elementwise.UNARY, *elementwise.NARY), _elementwise),
    **dict.fromkeys(("Reshape", "Flatten", "Squeeze", "Unsqueeze"), _reshape),
    **dict.fromkeys(names(Kind.REDUCTION), _reduce),
    **dict.fromkeys(names(Kind.CONVOLUTION), _convolution),
    **dict.fromkeys(("Softmax", "LogSoftmax"), _softmax),
    "MatMul": _product,
    "Einsum": _einsum,
    **dict.fromkeys(("GatherElements", "ScatterElements"), _places),
    "Transpose": _transpose,
    "Expand": _expand,
    **dict.fromkeys(random.DRAWN, random.spare_axes),
}
