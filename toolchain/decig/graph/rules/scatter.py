"""Writing into a tensor: a part of it is replaced, the rest stays what it was.

PyTorch's `h[:, :8] = ...` becomes a ScatterND. A written channel and the one that it replaces are
united, so that both tensors lose the same places; the indices are renumbered when channels go.
"""

from collections.abc import Sequence
from functools import partial

import numpy as np
import onnx

from decig.graph.flow import Cut, Flow, attributes
from decig.graph.ids import Ids, compress
from decig.graph.rules.picks import follow
from decig.graph.rules.registry import rule


@rule("ScatterND")
def scatter_nd(flow: Flow, node: onnx.NodeProto) -> Ids | list[Ids | None] | None:
    """Write slices: indices [..., k] say where on the first k axes; the others are whole."""
    data, indices, updates = node.input[:3]
    if flow.of(data) is None and flow.of(updates) is None:
        return None
    shape, spread = flow.shape(data), flow.shape(indices)
    depth, lead = spread[-1], len(spread) - 1
    places = flow.constant(indices)
    grid = None if places is None else _grid(places, shape)
    if grid is not None:
        targets = [*grid, *(np.arange(size) for size in shape[depth:])]
        joined = _join(flow, node, targets)
        axes = [axis for axis in range(depth) if joined.shape[axis] > 1]
        if axes:
            flow.on_cut(partial(_mend_grid, indices, joined, axes, grid))
        return joined
    for name, fixed in ((data, depth), (updates, lead)):
        ids = flow.of(name)
        if ids is not None and max(ids.shape[:fixed], default=1) > 1:
            return flow.block(node, f"ScatterND {node.name} writes channels at scattered places")
    return _join(flow, node, [np.zeros(1, int)] * depth, rest=lead)


def _mend_grid(
    indices: str, ids: Ids, axes: Sequence[int], grid: Sequence[np.ndarray], cut: Cut
) -> None:
    """Drop the places that go, and renumber the others."""
    found = cut.constant(indices).copy()
    for axis in axes:
        kept = cut.kept(ids, axis)
        found = found.compress(kept[grid[axis]], axis)
        found[..., axis] = (np.cumsum(kept) - 1)[grid[axis][kept[grid[axis]]]].reshape(
            [-1 if a == axis else 1 for a in range(found.ndim - 1)]
        )
    cut.set_constant(indices, found)


@rule("ScatterElements", "Scatter")
def scatter_elements(flow: Flow, node: onnx.NodeProto) -> Ids | list[Ids | None] | None:
    """Write elements: indices, of the updates' shape, say where along one axis."""
    data, indices, updates = node.input[:3]
    if flow.of(data) is None and flow.of(updates) is None:
        return None
    shape, places = flow.shape(data), flow.constant(indices)
    axis = attributes(node).get("axis", 0) % len(shape)
    if places is None:
        return _at_computed_places(flow, node, axis)
    targets = [np.arange(size) for size in places.shape]
    row = _row(places, axis)
    if row is not None:
        targets[axis] = row % shape[axis]
    elif any(ids is not None and ids.shape[axis] > 1 for ids in map(flow.of, (data, updates))):
        return flow.block(node, f"{node.op_type} {node.name} writes channels one by one")
    joined = _join(flow, node, targets)
    axes = [a for a in range(len(shape)) if joined.shape[a] > 1]
    if axes:
        flow.on_cut(partial(_mend_elements, indices, joined, axes, targets, axis))
    return joined


def _at_computed_places(
    flow: Flow, node: onnx.NodeProto, axis: int
) -> Ids | list[Ids | None] | None:
    """Channels on other axes pass, if the places are copied for every one of them."""
    data, indices, updates = node.input[:3]
    whole = flow.shape(data)[:axis] + flow.shape(data)[axis + 1 :]
    same = whole == flow.shape(updates)[:axis] + flow.shape(updates)[axis + 1 :]
    sides = [ids for ids in (flow.of(data), flow.of(updates)) if ids is not None]
    if not same or any(ids.shape[axis] > 1 for ids in sides):
        return flow.block(node, f"{node.op_type} {node.name} writes at computed places")
    joined = _join(flow, node, [np.arange(size) for size in flow.shape(data)])
    if not follow(flow, indices, node, joined):
        return flow.block(node, f"{node.op_type} {node.name} writes at computed places")
    return joined


def _mend_elements(
    indices: str,
    ids: Ids,
    axes: Sequence[int],
    targets: Sequence[np.ndarray],
    axis: int,
    cut: Cut,
) -> None:
    """Drop the elements that go, and renumber the others along `axis`."""
    found = cut.constant(indices)
    for a in axes:
        kept = cut.kept(ids, a)
        found = found.compress(kept[targets[a]], a)
        if a == axis:
            found = (np.cumsum(kept) - 1)[found % len(kept)].astype(found.dtype)
    cut.set_constant(indices, found)


def _grid(places: np.ndarray, shape: Sequence[int]) -> list[np.ndarray] | None:
    """Places along each indexed axis, if the written ones are all combinations of these.

    Returns:
        None where they are not: component j of `places` must change along axis j alone.
    """
    depth = places.shape[-1]
    if places.ndim != depth + 1:
        return None
    found = []
    for axis in range(depth):
        row = _row(places[..., axis], axis)
        if row is None:
            return None
        found.append(row % shape[axis])
    return found


def _row(places: np.ndarray, axis: int) -> np.ndarray | None:
    """Values along one axis, if those along all others are equal."""
    others = tuple(a for a in range(places.ndim) if a != axis)
    row = places[tuple(slice(0, 1) if a in others else slice(None) for a in range(places.ndim))]
    return row.ravel() if (places == row).all() else None


def _join(
    flow: Flow, node: onnx.NodeProto, targets: Sequence[np.ndarray], rest: int | None = None
) -> Ids:
    """Unite what is written with what it replaces; a constant on either side follows the other.

    Args:
        flow: state of the pass.
        node: inputs are data, indices and updates.
        targets: written places along every axis of the data.
        rest: where the updates have other axes than the data, the first of them that both have.
    """
    data, updates = node.input[0], node.input[2]
    shape = flow.shape(data)
    new = flow.of_or_fixed(updates)
    if rest is not None:
        new = new.reshape((1,) * (len(shape) - (new.ndim - rest)) + new.shape[rest:])
        targets = [*targets, *(np.arange(size) for size in shape[len(targets) :])]
    old = flow.of_or_fixed(data)
    axes = [a for a in range(len(shape)) if old.shape[a] > 1 or new.shape[a] > 1]
    extent = [size if axis in axes else 1 for axis, size in enumerate(shape)]
    if flow.is_constant(data):
        old = flow.space.fresh(int(np.prod(extent))).reshape(extent)
        flow.bind(node, 0, "value", old)
    wide = np.broadcast_to(old, extent)
    where = np.ix_(*(targets[a] if a in axes else np.zeros(1, int) for a in range(len(shape))))
    if flow.is_constant(updates):
        flow.bind(node, 2, "value", _part(wide[where], rest, flow.shape(updates)))
    else:
        why = f"{node.op_type} {node.name} writes them into fixed channels"
        flow.space.unite(wide[where], new, why)
    return compress(wide)


def _part(ids: Ids, rest: int | None, shape: Sequence[int]) -> Ids:
    """Give identities the axes of the updates."""
    if rest is None:
        return ids
    return ids.reshape((1,) * rest + ids.shape[ids.ndim - (len(shape) - rest) :])
