"""Operators that move data: the identities move with the same NumPy call."""

from collections.abc import Callable

import numpy as np
import onnx

from decig.graph.flow import Cut, Flow, attributes, on_axis, pad_rank
from decig.graph.ids import FIXED, Ids, compress, varying_axes
from decig.graph.rules.registry import rule
from decig.graph.rules.reshape import regroup


@rule("Transpose")
def transpose(flow: Flow, node: onnx.NodeProto) -> Ids | None:
    """Permute the axes."""
    ids = flow.of(node.input[0])
    return None if ids is None else ids.transpose(attributes(node).get("perm"))


@rule("Reshape", "Flatten", "Squeeze", "Unsqueeze")
def reshape(flow: Flow, node: onnx.NodeProto) -> Ids | list[Ids | None] | None:
    """Regroup the axes; a constant target shape is mended when channels go."""
    ids = flow.of(node.input[0])
    if ids is None:
        return None
    before, after = flow.shape(node.input[0]), flow.shape(node.output[0])
    if node.op_type == "Squeeze" and flow.integers(node, "axes", 1) is None and ids.size > 1:
        return flow.block(node, f"Squeeze {node.name} names no axes")
    moved = regroup(flow, node, ids, before, after)
    if node.op_type == "Reshape":
        if flow.opset < 5 or not flow.is_constant(node.input[1]):
            if (ids != FIXED).any():
                return flow.block(node, f"Reshape {node.name} to a computed shape")
            return moved
        name = node.input[1]
        flow.on_cut(lambda cut: mend_sizes(cut, name, moved, after, ids))
    return moved


def mend_sizes(
    cut: Cut, name: str, ids: Ids, shape: tuple[int, ...], source: Ids | None = None
) -> None:
    """Write the remaining sizes into a constant shape; entries of 0 and -1 keep their meaning.

    But a 0 must not copy the size of an axis that is cut to one that is not.

    Args:
        cut: the cut.
        name: of the constant.
        ids: of what is made in that shape.
        shape: of that before the cut.
        source: of what is reshaped, whose sizes entries of 0 copy; None where none can.
    """
    target = cut.constant(name).copy()
    remaining = cut.shape(ids, shape)
    if source is not None:
        for axis in set(varying_axes(source)) - set(varying_axes(ids)):
            if axis < len(target) and target[axis] == 0:
                target[axis] = shape[axis]
    for axis in varying_axes(ids):
        if target[axis] > 0:
            target[axis] = remaining[axis]
    cut.set_constant(name, target)


@rule("Concat")
def concat(flow: Flow, node: onnx.NodeProto) -> Ids | None:
    """Join the arrays along the axis; on the other axes the operands are united."""
    axis = attributes(node)["axis"]
    parts = [flow.of(name) for name in node.input]
    if all(part is None for part in parts):
        return None
    rank = len(flow.shape(node.output[0]))
    axis %= rank
    padded = [_extent(flow, name, part, axis) for name, part in zip(node.input, parts, strict=True)]
    others = np.broadcast_shapes(*[(*p.shape[:axis], 1, *p.shape[axis + 1 :]) for p in padded])
    wide = [
        np.broadcast_to(p, others[:axis] + p.shape[axis : axis + 1] + others[axis + 1 :])
        for p in padded
    ]
    if all((p == p.take([0], axis)).all() for p in wide):
        for other in wide[1:]:
            left, right = (part.take([0], axis) for part in (wide[0], other))
            flow.space.unite(left, right, f"Concat {node.name} joins them with fixed channels")
    return compress(np.concatenate(wide, axis))


def _extent(flow: Flow, name: str, ids: Ids | None, axis: int) -> Ids:
    """Identities with the full extent along one axis; unknown content is fixed."""
    shape = flow.shape(name)
    if ids is None:
        ids = np.full((1,) * len(shape), FIXED)
    full = list(ids.shape)
    full[axis] = shape[axis]
    return np.broadcast_to(ids, full)


@rule("Split")
def split(flow: Flow, node: onnx.NodeProto) -> list[Ids | None]:
    """Take consecutive parts; their sizes are mended, or stated, when channels go."""
    ids = flow.of(node.input[0])
    if ids is None:
        return [None] * len(node.output)
    axis = attributes(node).get("axis", 0) % ids.ndim
    sizes = [flow.shape(name)[axis] for name in node.output]
    if ids.shape[axis] == 1:
        return [ids] * len(sizes)
    parts = np.split(ids, np.cumsum(sizes)[:-1], axis)
    by_input = flow.opset >= 13
    if by_input and (len(node.input) < 2 or not flow.is_constant(node.input[1])):
        if len({int(s) for s in sizes}) > 1 or len(node.input) > 1:
            return flow.block(node, f"Split {node.name} by computed sizes")
        # Equal parts without sizes stay equal when every part keeps the same places.
        stacked = np.stack(parts)
        flow.space.tie(stacked, (0,), f"parts of Split {node.name} must stay equal")
        return [*parts]
    flow.on_cut(lambda cut: _mend_split(cut, node, parts, axis, by_input=by_input))
    return [flow.part(part) for part in parts]


def _mend_split(
    cut: Cut, node: onnx.NodeProto, parts: list[Ids], axis: int, *, by_input: bool
) -> None:
    sizes = [int(cut.kept(part, axis).sum()) for part in parts]
    if by_input:
        cut.set_constant(node.input[1], np.array(sizes, np.int64))
    else:
        cut.set_attribute(node.name, "split", sizes)


@rule("Slice")
def slice_(flow: Flow, node: onnx.NodeProto) -> Ids | list[Ids | None] | None:
    """Take a range; along channels, its bounds move with the channels that are kept."""
    ids = flow.of(node.input[0])
    if ids is None:
        return None
    starts, ends = flow.integers(node, "starts", 1), flow.integers(node, "ends", 2)
    computed = any(name and not flow.is_constant(name) for name in node.input[1:])
    if computed or starts is None or ends is None:
        return flow.block(node, f"Slice {node.name} by computed bounds")
    named = flow.integers(node, "axes", 3) or range(len(starts))
    axes = [axis % ids.ndim for axis in named]
    steps = flow.integers(node, "steps", 4) or [1] * len(starts)
    shape = flow.shape(node.input[0])
    for place, axis in enumerate(axes):
        if ids.shape[axis] == 1:
            continue
        if steps[place] != 1:
            return flow.block(node, f"Slice {node.name} steps over channels")
        first, last, _ = slice(starts[place], ends[place]).indices(shape[axis])
        flow.on_cut(_slice_mender(node, place, ids, axis, (first, last)))
        ids = flow.part(ids.take(np.arange(first, last), axis))
    return ids


def _slice_mender(
    node: onnx.NodeProto, place: int, ids: Ids, axis: int, bounds: tuple[int, int]
) -> Callable[[Cut], None]:
    def mend(cut: Cut) -> None:
        before = np.concatenate([[0], np.cumsum(cut.kept(ids, axis))])
        for slot, name, bound in zip((1, 2), ("starts", "ends"), bounds, strict=True):
            if len(node.input) == 1:  # before opset 10
                values = cut.attribute(node.name, name)
                values[place] = int(before[bound])
                cut.set_attribute(node.name, name, values)
            else:
                constant = cut.constant(node.input[slot]).copy()
                constant[place] = before[bound]
                cut.set_constant(node.input[slot], constant)

    return mend


@rule("Pad")
def pad(flow: Flow, node: onnx.NodeProto) -> Ids | list[Ids | None] | None:
    """Add borders; new channels among them are fixed."""
    ids = flow.of(node.input[0])
    if ids is None:
        return None
    amounts = _pad_amounts(flow, node, ids.ndim)
    before, after = flow.shape(node.input[0]), flow.shape(node.output[0])
    changed = [
        axis
        for axis in varying_axes(ids)
        if before[axis] != after[axis] or (amounts and amounts[axis])
    ]
    if not changed:
        return ids
    mode = attributes(node).get("mode", b"constant")
    if amounts is None or mode != b"constant" or min(amounts) < 0:
        return flow.block(node, f"Pad {node.name} pads channels")
    widths = [
        (amounts[axis], amounts[axis + ids.ndim]) if axis in changed else (0, 0)
        for axis in range(ids.ndim)
    ]
    return np.pad(ids, widths, constant_values=FIXED)


def _pad_amounts(flow: Flow, node: onnx.NodeProto, rank: int) -> list[int] | None:
    """Amounts before and then behind every axis; None if they are computed."""
    amounts = flow.integers(node, "pads", 1)
    if amounts is None or len(node.input) < 4 or not node.input[3]:
        return amounts
    axes = flow.integers(node, "axes", 3)
    if axes is None:
        return None
    full = [0] * (2 * rank)
    for place, axis in enumerate(axes):
        full[axis % rank] = amounts[place]
        full[axis % rank + rank] = amounts[place + len(axes)]
    return full


@rule("Resize", "Upsample")
def resize(flow: Flow, node: onnx.NodeProto) -> Ids | list[Ids | None] | None:
    """Scale the spatial axes; `sizes`, where given, names the channel count too."""
    ids = flow.of(node.input[0])
    if ids is None:
        return None
    before, after = flow.shape(node.input[0]), flow.shape(node.output[0])
    resized = tuple(axis for axis in range(ids.ndim) if before[axis] != after[axis])
    ids = flow.space.tie(ids, resized, f"{node.op_type} {node.name} blends them")
    if _crops_channels(flow, node, ids):
        return flow.block(node, f"{node.op_type} {node.name} crops channels")
    if len(node.input) < 4 or not node.input[3]:
        return ids
    axes = attributes(node).get("axes")
    if axes is not None:  # the sizes of some axes, mostly the spatial ones
        named = {axis % ids.ndim for axis in axes}.intersection(varying_axes(ids))
        return flow.block(node, f"Resize {node.name} names channels") if named else ids
    if not flow.is_constant(node.input[3]):
        return flow.block(node, f"Resize {node.name} to a computed size")
    flow.on_cut(lambda cut: mend_sizes(cut, node.input[3], ids, after))
    return ids


def _crops_channels(flow: Flow, node: onnx.NodeProto, ids: Ids) -> bool:
    """Whether the region of interest is, or may be, a part of the channels only."""
    given = attributes(node)
    if given.get("coordinate_transformation_mode") != b"tf_crop_and_resize":
        return False
    axes = [axis % ids.ndim for axis in given.get("axes", range(ids.ndim))]
    region = flow.constant(node.input[1])
    if region is None or region.size != 2 * len(axes):
        return bool(varying_axes(ids))
    bounds = zip(axes, region[: len(axes)], region[len(axes) :], strict=True)
    return any((first, last) != (0, 1) for axis, first, last in bounds if ids.shape[axis] > 1)


@rule("Expand")
def expand(flow: Flow, node: onnx.NodeProto) -> Ids | list[Ids | None] | None:
    """Broadcast to a constant shape, mended when channels go."""
    ids = flow.of(node.input[0])
    if ids is None:
        return None
    after = flow.shape(node.output[0])
    ids = pad_rank(ids, len(after))
    target = flow.constant(node.input[1])
    if target is None or (len(target) != len(after) and (ids != FIXED).any()):
        return flow.block(node, f"Expand {node.name} to a computed shape")
    moved = ids
    flow.on_cut(lambda cut: mend_sizes(cut, node.input[1], moved, after))
    return ids


@rule("Tile")
def tile(flow: Flow, node: onnx.NodeProto) -> Ids | list[Ids | None] | None:
    """Repeat; the copies of a channel are the same channel."""
    ids = flow.of(node.input[0])
    repeats = flow.integers(node, "repeats", 1)
    if ids is None:
        return None
    if repeats is None:
        return flow.block(node, f"Tile {node.name} by computed repeats")
    return np.tile(ids, [n if ids.shape[a] > 1 else 1 for a, n in enumerate(repeats)])


@rule("DepthToSpace", "SpaceToDepth")
def depth_to_space(flow: Flow, node: onnx.NodeProto) -> Ids | list[Ids | None] | None:
    """Pixel shuffle and its inverse: the r*r channels that become one of axis 1 are one class."""
    source = flow.of(node.input[0])
    if source is None:
        return None
    options = attributes(node)
    if node.op_type == "SpaceToDepth" and options.get("mode", b"DCR") != b"DCR":
        return flow.block(node, f"SpaceToDepth {node.name} is in another order than DCR")
    block = options["blocksize"] ** 2
    count = flow.shape(node.input[0])[1]
    ids = flow.along(source, 1, count, f"{node.op_type} {node.name} moves them as one")
    if node.op_type == "SpaceToDepth":  # [C] -> [r, r, C]
        return np.tile(ids, block).reshape(1, -1, 1, 1)
    by_column = options.get("mode", b"DCR") == b"CRD"
    grid = ids.reshape(-1, block).T if by_column else ids.reshape(block, -1)
    why = f"DepthToSpace {node.name} makes one channel of them"
    return flow.space.tie(grid, (0,), why).reshape(1, -1, 1, 1)


@rule("Col2Im")
def column_to_image(flow: Flow, node: onnx.NodeProto) -> Ids | list[Ids | None] | None:
    """Sum windows [N, C * k, L] into a picture [N, C, *size]: k places of a window stay or go.

    PyTorch calls it fold.
    """
    source = flow.of(node.input[0])
    if source is None:
        return None
    rank, made = len(flow.shape(node.output[0])), flow.shape(node.output[0])[1]
    count = flow.shape(node.input[0])[1]
    ids = flow.along(source, 1, count, f"Col2Im {node.name} adds them up")
    why = f"Col2Im {node.name} makes one channel of them"
    return on_axis(flow.space.tie(ids.reshape(made, -1), (1,), why).ravel(), 1, rank)
