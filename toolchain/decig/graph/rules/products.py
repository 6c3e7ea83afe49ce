"""Matrix products of two computed operands: attention of every kind, and weights in the making.

The product sums over its inner axis: channels there are united and read. Channels of an outer axis
pass. Where both outer axes have channels, as in attention between channels (Zamir et al.,
"Restormer", CVPR 2022, equation 1), the result has channels of two factors. It has no identities
then, but two spare axes (`decig.graph.rules.spare`), which lead through temperature and softmax to
the product that sums over one of them.
"""

import onnx

from decig.graph.flow import Flow, on_axis, pad_rank
from decig.graph.ids import Ids, varying_axes

Sides = dict[int, Ids]
"""Identities of one operand that vary along its last or last but one axis, by that axis: -1, -2."""


def product(flow: Flow, node: onnx.NodeProto) -> Ids | list[Ids | None] | None:
    """Identities of [..., M, K] x [..., K, N]."""
    left, right = (_sides(flow, name) for name in node.input)
    if not left and not right:
        return _of_stacks(flow, node)
    if any(_spans_both(ids) for ids in (*left.values(), *right.values())):
        return flow.block(node, f"MatMul {node.name} multiplies channels along two axes at once")
    for name, sides in zip(node.input, (left, right), strict=True):
        ids = flow.of(name)
        if not sides and ids is not None and ids.size > 1:  # along the leading axes
            flow.space.freeze(ids, f"heads of {node.op_type} {node.name} have one channel each")
    inner, rows, columns = (left.get(-1), right.get(-2)), left.get(-2), right.get(-1)
    if any(ids is not None for ids in inner) and not _join(flow, node, inner):
        return flow.block(node, f"MatMul {node.name} joins channels with a computed tensor")
    rank = len(flow.shape(node.output[0]))
    if rows is not None and columns is not None:
        output = node.output[0]
        flow.spare[output] = {
            rank - 2: _apart(flow, node, rows).ravel(),
            rank - 1: _apart(flow, node, columns).ravel(),
        }
        flow.products.add(output)
        return None
    if rows is not None:
        return _passed(flow, node, rows, other_slot=1)
    return None if columns is None else _passed(flow, node, columns, other_slot=0)


def _sides(flow: Flow, name: str) -> Sides:
    """Find the channels of an operand, those of two factors included."""
    rank = len(flow.shape(name))
    ids = flow.of(name)
    found = {}
    if ids is not None:
        found = {axis: ids for axis in (-2, -1) if ids.shape[axis] > 1}
    for axis, one in flow.spare.get(name, {}).items():
        if axis >= rank - 2 and name in flow.products:
            found[axis - rank] = on_axis(one, axis, rank)
    return found


def _spans_both(ids: Ids) -> bool:
    return bool(min(ids.shape[-2:]) > 1)


def _apart(flow: Flow, node: onnx.NodeProto, ids: Ids) -> Ids:
    """Tie identities along the leading axes: every head keeps the same places."""
    why = f"heads of {node.op_type} {node.name} must stay equal"
    return flow.space.tie(ids, tuple(range(ids.ndim - 2)), why)


def _join(flow: Flow, node: onnx.NodeProto, inner: tuple[Ids | None, Ids | None]) -> bool:
    """Unite the channels that are summed over, and note that they are read.

    Returns:
        Whether that is possible: False where one operand has no channels there.
    """
    ends = []
    for slot, (ids, axis) in enumerate(zip(inner, (-1, -2), strict=True)):
        if ids is None:
            ids = flow.of(node.input[slot])
            if ids is None:
                return False
            ids = ids.take([0], -2 if slot == 0 else -1)
        ends.append(_apart(flow, node, ids).swapaxes(axis, -1).reshape(-1))
    flow.space.unite(ends[0], ends[1], f"{node.op_type} {node.name} joins them")
    slot = 0 if inner[0] is not None else 1
    ids = inner[slot]
    assert ids is not None
    flow.read(node, slot, ids)
    return True


def _passed(flow: Flow, node: onnx.NodeProto, ids: Ids, other_slot: int) -> Ids:
    """Channels of an outer axis pass; heads that the other operand has too must stay equal."""
    rank = len(flow.shape(node.output[0]))
    other = flow.shape(node.input[other_slot])
    other = (1,) * (rank - len(other)) + other
    ids = pad_rank(ids, rank)
    met = tuple(axis for axis in range(rank - 2) if other[axis] > 1)
    return flow.space.tie(ids, met, f"heads of {node.op_type} {node.name} must stay equal")


def _of_stacks(flow: Flow, node: onnx.NodeProto) -> Ids | list[Ids | None] | None:
    """Both operands are stacks of matrices, with channels along the leading axes if anywhere."""
    operands = [flow.of(name) for name in node.input]
    rank = len(flow.shape(node.output[0]))
    known = [pad_rank(ids, rank) for ids in operands if ids is not None]
    if len(known) == 2:
        flow.space.unite(known[0], known[1], f"{node.op_type} {node.name} joins them")
    stacked = max(known, key=lambda ids: ids.size, default=None)
    if stacked is None or stacked.size == 1:
        return None
    for name, ids in zip(node.input, operands, strict=True):
        shape = flow.shape(name)
        shape = (1,) * (rank - len(shape)) + shape
        if ids is None and any(shape[axis] > 1 for axis in varying_axes(stacked)):
            return flow.block(node, f"MatMul {node.name} joins channels with a computed tensor")
    return stacked
