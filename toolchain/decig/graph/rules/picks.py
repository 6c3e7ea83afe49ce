"""Taking elements at given places: windows, embeddings, reordered channels.

Where no channels lie along the axes that are picked from, the places do not matter and may be
computed. Constant places among channels are renumbered when channels go.
"""

from collections.abc import Sequence
from functools import partial

import numpy as np
import onnx

from decig.graph.flow import Cut, Flow, attributes, on_axis
from decig.graph.ids import Ids, compress, varying_axes
from decig.graph.rules.registry import rule

Result = Ids | list[Ids | None] | None


@rule("Gather")
def gather(flow: Flow, node: onnx.NodeProto) -> Result:
    """Y = slices of X along one axis, at indices of any shape.

    PyTorch's `unfold` and `as_strided` pick whole windows so.
    """
    ids = flow.of(node.input[0])
    shape, rank = flow.shape(node.input[0]), len(flow.shape(node.input[1]))
    axis = attributes(node).get("axis", 0) % len(shape)
    places = flow.of(node.input[1])
    if places is not None and places.size > 1:
        return flow.block(node, f"Gather {node.name} picks at places that channels give")
    if ids is None:
        return _embedding(flow, node, axis, rank)
    indices = flow.constant(node.input[1])
    if ids.shape[axis] > 1 and indices is None:
        return flow.block(node, f"Gather {node.name} by computed indices")
    if ids.shape[axis] > 1 and len(varying_axes(ids)) > 1:
        # Queries, keys and values in one: what is picked along stays whole.
        ids = flow.space.tie(ids, (axis,), f"Gather {node.name} picks along them")
    if ids.shape[axis] == 1 or indices is None:
        return ids.reshape(ids.shape[:axis] + (1,) * rank + ids.shape[axis + 1 :])
    picked = ids.take(indices, axis)
    if rank == 0:
        flow.space.freeze(picked, f"Gather {node.name} picks single channels")
    flow.on_cut(partial(_mend_gather, node, ids, axis, picked))
    return flow.part(compress(picked) if rank > 1 else picked)


def _mend_gather(node: onnx.NodeProto, ids: Ids, axis: int, picked: Ids, cut: Cut) -> None:
    """Drop the places of channels that go, and renumber the others."""
    indices = cut.constant(node.input[1])
    wanted = indices % ids.shape[axis]
    for place in range(indices.ndim):
        wanted = wanted.compress(cut.kept(picked, axis + place), place)
    position = np.cumsum(cut.kept(ids, axis)) - 1
    cut.set_constant(node.input[1], position[wanted].astype(indices.dtype))


def _embedding(flow: Flow, node: onnx.NodeProto, axis: int, rank: int) -> Result:
    """Rows of a constant table at computed places (a codebook): its other axis makes channels."""
    shape = flow.shape(node.input[0])
    wide = [place for place, size in enumerate(shape) if size > 1 and place != axis]
    if not flow.is_constant(node.input[0]) or flow.is_constant(node.input[1]) or len(wide) != 1:
        return None
    made = on_axis(flow.space.fresh(shape[wide[0]]), wide[0], len(shape))
    flow.bind(node, 0, "write", made)
    return made.reshape(made.shape[:axis] + (1,) * rank + made.shape[axis + 1 :])


@rule("GatherND")
def gather_nd(flow: Flow, node: onnx.NodeProto) -> Result:
    """Y = slices of X at indices [..., k] of its first axes, behind `batch_dims` of both."""
    ids = flow.of(node.input[0])
    if ids is None:
        return None
    spread = flow.shape(node.input[1])
    batch, lead = attributes(node).get("batch_dims", 0), len(spread) - 1
    depth = batch + spread[-1]
    if max(ids.shape[:depth], default=1) == 1:
        return ids.reshape((1,) * lead + ids.shape[depth:])
    indices = flow.constant(node.input[1])
    if indices is None or batch:
        return flow.block(node, f"GatherND {node.name} picks channels at computed places")
    shape = flow.shape(node.input[0])
    axes = [axis for axis in range(depth) if ids.shape[axis] > 1]
    places = [indices[..., a] % shape[a] if a in axes else 0 for a in range(depth)]
    picked = ids[tuple(np.broadcast_arrays(*places))]
    if lead == 0:
        flow.space.freeze(picked, f"GatherND {node.name} picks single channels")
        return flow.fixed(node.output[0])
    flow.on_cut(partial(_mend_gather_nd, node, ids, axes, picked))
    return flow.part(compress(picked))


def _mend_gather_nd(
    node: onnx.NodeProto, ids: Ids, axes: Sequence[int], picked: Ids, cut: Cut
) -> None:
    """Drop the places of channels that go, and renumber the others."""
    indices = cut.constant(node.input[1]).copy()
    for place in range(indices.ndim - 1):
        indices = indices.compress(cut.kept(picked, place), place)
    for axis in axes:
        position = np.cumsum(cut.kept(ids, axis)) - 1
        indices[..., axis] = position[indices[..., axis] % ids.shape[axis]]
    cut.set_constant(node.input[1], indices)


@rule("GatherElements")
def gather_elements(flow: Flow, node: onnx.NodeProto) -> Result:
    """Y = elements of X; indices, of the result's shape, say where along one axis."""
    ids = flow.of(node.input[0])
    if ids is None:
        return None
    axis = attributes(node).get("axis", 0) % ids.ndim
    indices = flow.constant(node.input[1])
    if indices is None:
        if ids.shape[axis] > 1 or not follow(flow, node.input[1], node, ids):
            return flow.block(node, f"GatherElements {node.name} picks at computed places")
        return ids
    # The result may be shorter than X along any axis; along the picked one all of X is needed.
    sizes = [*indices.shape[:axis], flow.shape(node.input[0])[axis], *indices.shape[axis + 1 :]]
    picked = ids[tuple(slice(size) for size in sizes)]
    if ids.shape[axis] > 1:
        wide = np.broadcast_to(picked, sizes)
        picked = np.take_along_axis(wide, indices % sizes[axis], axis)
    flow.on_cut(partial(_mend_gather_elements, node, ids, axis, picked))
    return flow.part(compress(picked))


def _mend_gather_elements(node: onnx.NodeProto, ids: Ids, axis: int, picked: Ids, cut: Cut) -> None:
    """Drop the places of channels that go, and renumber the others along the axis."""
    indices = cut.constant(node.input[1])
    for place in varying_axes(picked):
        indices = indices.compress(cut.kept(picked, place), place)
    if ids.shape[axis] > 1:
        position = np.cumsum(cut.kept(ids, axis)) - 1
        indices = position[indices % ids.shape[axis]].astype(indices.dtype)
    cut.set_constant(node.input[1], indices)


def follow(flow: Flow, places: str, node: onnx.NodeProto, ids: Ids) -> bool:
    """Let computed places that are copied for every channel lose the copies of those that go.

    Returns:
        Whether they are so copied (by an Expand) along every axis of channels.
    """
    spare = flow.spare.get(places, {})
    if any(axis not in spare for axis in varying_axes(ids)):
        return False
    for axis in varying_axes(ids):
        flow.space.unite(on_axis(spare[axis], axis, ids.ndim), ids, f"{node.op_type} {node.name}")
    return True
