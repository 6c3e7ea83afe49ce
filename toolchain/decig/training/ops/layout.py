"""Operators that move data: reshapes, slices and joins."""

import math
import operator
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, fx

from decig.training.ops.node import OpNode
from decig.training.ops.registry import op
from decig.training.ops.sizes import Dim, Size, declared, follows_input


@op("Reshape")
def reshape(node: OpNode) -> fx.Node:
    """Y = X in another shape; numbers of it that are sizes of the input follow the input."""
    x = node.tensor(0)
    target = node.setting("shape", 1) or []
    if not node.attr("allowzero", 0):
        target = [node.shape(x)[axis] if n == 0 else n for axis, n in enumerate(target)]
    known = math.prod(n for n in target if n != -1)
    whole = math.prod(node.shape(x))
    if known == 0 or whole % known or (-1 not in target and known != whole):
        raise node.error(f"cannot reshape {list(node.shape(x))} to {target}")
    return _regrouped(node, x, [whole // known if n == -1 else n for n in target])


def _regrouped(node: OpNode, x: fx.Node, target: list[int]) -> fx.Node:
    dims = node.tracer.regroup(node.name, x, target)
    follow = [sum(isinstance(factor, Size) for factor in dim) for dim in dims]
    # One size may be left to torch: the one that would take most arithmetic.
    inferred = follow.index(max(follow)) if any(follow) else None
    shape = [-1 if axis == inferred else node.tracer.size(dim) for axis, dim in enumerate(dims)]
    return node.emit(torch.reshape, x, tuple(shape), dims=dims)


@op("Flatten")
def flatten(node: OpNode) -> fx.Node:
    """Y = X with the axes before `axis` joined, and those from it on."""
    x = node.tensor(0)
    shape, axis = node.shape(x), node.attr("axis", 1)
    axis = axis + len(shape) if axis < 0 else axis
    return _regrouped(node, x, [math.prod(shape[:axis]), math.prod(shape[axis:])])


@op("Squeeze")
def squeeze(node: OpNode) -> fx.Node:
    """Y = X without axes of size 1, all of them by default."""
    x = node.tensor(0)
    shape, dims = node.shape(x), node.dims(x)
    axes = node.setting("axes", 1)
    if axes is None:
        axes = [axis for axis, size in enumerate(shape) if size == 1]
    gone = sorted(axis % len(shape) for axis in axes)
    for axis in gone:
        node.fix(x, axis)
    return node.emit(torch.squeeze, x, tuple(gone), dims=_without(dims, gone))


def _without(dims: tuple[Dim, ...], gone: list[int]) -> list[Dim]:
    return [dim for axis, dim in enumerate(dims) if axis not in gone]


@op("Unsqueeze")
def unsqueeze(node: OpNode) -> fx.Node:
    """Y = X with new axes of size 1, at these places of the result."""
    x = node.tensor(0)
    axes = node.setting("axes", 1) or []
    rank = node.rank(x) + len(axes)
    new = sorted(axis % rank for axis in axes)
    dims = list(node.dims(x))
    for axis in new:
        dims.insert(axis, (1,))
    for axis in new[:-1]:
        x = node.step(torch.unsqueeze, x, axis)
    return node.emit(torch.unsqueeze, x, new[-1], dims=dims)


@op("Transpose")
def transpose(node: OpNode) -> fx.Node:
    """Y = X with its axes permuted, reversed by default."""
    x = node.tensor(0)
    perm = node.attr("perm") or list(range(node.rank(x)))[::-1]
    dims = node.dims(x)
    return node.emit(torch.permute, x, perm, dims=[dims[axis] for axis in perm])


@op("Concat")
def concat(node: OpNode) -> fx.Node:
    """Y = the operands one after the other along an axis."""
    parts = node.tensors()
    axis = node.attr("axis", 1) % node.rank(parts[0])
    if axis > 0:
        parts = _batched(node, parts)
    lengths = [node.dims(part)[axis] for part in parts]
    if len(set(lengths)) == 1 and follows_input(lengths[0]):
        # k copies in a row: the copy is the outer factor, which a later reshape can split off.
        dims = list(node.dims(parts[0]))
        dims[axis] = (len(parts), *lengths[0])
        return node.emit(torch.cat, parts, axis, dims=dims)
    return node.emit(torch.cat, parts, axis)


def _batched(node: OpNode, parts: list[fx.Node]) -> list[fx.Node]:
    """Repeat constant maps of one image, such as coordinates, for every image of a batch."""
    batches = [node.dims(part)[0] for part in parts]
    batch = next((dim for dim in batches if follows_input(dim)), (1,))
    if declared(batch) != 1 or not follows_input(batch):
        return parts
    return [
        part if follows_input(own) else node.step(repeat, part, node.tracer.size(batch))
        for part, own in zip(parts, batches, strict=True)
    ]


def repeat(x: Tensor, batch: int) -> Tensor:
    """Repeat one image as a batch, without copying its memory."""
    return x.expand(batch, *x.shape[1:])


@op("Split")
def split(node: OpNode) -> tuple[fx.Node, ...]:
    """Parts of X along an axis, equal by default."""
    x = node.tensor(0)
    axis = node.attr("axis", 0) % node.rank(x)
    whole = node.shape(x)[axis]
    sizes = node.setting("split", 1)
    if sizes is None:
        part = -(-whole // node.outputs)
        sizes = [min(part, whole - part * index) for index in range(node.outputs)]
    if len(set(sizes)) > 1:
        node.fix(x, axis)
    dims = list(node.dims(x))
    if not follows_input(dims[axis]):
        parts = node.step(torch.split, x, sizes, axis)
        return tuple(
            node.step(operator.getitem, parts, i, dims=[*dims[:axis], (size,), *dims[axis + 1 :]])
            for i, size in enumerate(sizes)
        )
    parts = node.step(torch.chunk, x, len(sizes), axis)
    return tuple(node.step(operator.getitem, parts, i) for i in range(len(sizes)))


@op("Slice")
def slice_(node: OpNode) -> fx.Node:
    """Y = X[starts:ends:steps] on some axes; ends near the full size follow the input."""
    x = node.tensor(0)
    starts, ends = node.setting("starts", 1) or [], node.setting("ends", 2) or []
    axes = node.setting("axes", 3) or list(range(len(starts)))
    steps = node.setting("steps", 4) or [1] * len(starts)
    cuts = [slice(None)] * node.rank(x)
    for start, end, axis, step in zip(starts, ends, axes, steps, strict=True):
        axis %= node.rank(x)
        if step < 0:
            x, start, end, step = _flipped(node, x, start, end, step, axis)
        cuts[axis] = _cut(node, x, axis, slice(start, end, step))
    x, cuts = _merged(x, cuts)
    return node.emit(operator.getitem, x, tuple(cuts))


def _flipped(
    node: OpNode, x: fx.Node, start: int, end: int, step: int, axis: int
) -> tuple[fx.Node, int, int, int]:
    """Turn a slice with a negative step into one of the flipped value."""
    size = node.shape(x)[axis]
    start, end, _ = slice(start, None if end < -size else end, step).indices(size)
    return node.step(torch.flip, x, (axis,)), size - 1 - start, size - 1 - end, -step


def _cut(node: OpNode, x: fx.Node, axis: int, cut: slice) -> slice:
    """Simplify a slice: bounds at either end are left out, those near the end counted from it."""
    size = node.shape(x)[axis]
    start, end, step = cut.indices(size)
    low, high = size // 4, size - size // 4
    if follows_input(node.dims(x)[axis]):
        if any(low < bound < high for bound in (start, end)):
            node.fix(x, axis)
        else:
            start, end = (n if n <= low or n == size else n - size for n in (start, end))
    return slice(start or None, end if end != size else None, step if step > 1 else None)


def _merged(x: fx.Node, cuts: list[slice]) -> tuple[fx.Node, list[slice]]:
    """Join two consecutive slices of different axes: autograd then fills one gradient, not two."""
    if x.target is not operator.getitem or not isinstance(x.args[1], tuple):
        return x, cuts
    base, before = x.args[0], x.args[1]
    assert isinstance(base, fx.Node)
    pairs = list(zip(before, cuts, strict=True))
    if any(slice(None) not in pair for pair in pairs):
        return x, cuts
    return base, [new if old == slice(None) else old for old, new in pairs]


@op("Gather")
def gather(node: OpNode) -> fx.Node:
    """Y = X taken at indices along an axis."""
    x = node.tensor(0)
    axis = node.attr("axis", 0) % node.rank(x)
    if not node.is_constant(1):
        return node.emit(take, x, node.tensor(1), axis)
    indices = node.constant(1)
    if axis == 0 or indices.size > 1 or indices.item() not in (0, -1):
        node.fix(x, axis)  # of a batch, one image would stand for all
    if indices.ndim == 0:
        return node.emit(torch.select, x, axis, int(indices))
    return node.emit(take, x, node.tensor(1), axis)


def take(x: Tensor, indices: Tensor, axis: int) -> Tensor:
    """Take elements along an axis, which is replaced by the axes of `indices` (ONNX Gather)."""
    flat = torch.where(indices < 0, indices + x.shape[axis], indices).flatten()
    taken = x.index_select(axis, flat)
    return taken.reshape(*x.shape[:axis], *indices.shape, *x.shape[axis + 1 :])


@op("Expand")
def expand(node: OpNode) -> fx.Node:
    """Y = X broadcast with a shape."""
    x = node.tensor(0)
    target: list[Any] = node.constant(1).tolist()
    shape = node.shape(x)
    target = [1] * (len(shape) - len(target)) + target
    new = len(target) - len(shape)
    sizes = [
        -1 if axis >= new and size in (1, shape[axis - new]) else size
        for axis, size in enumerate(target)
    ]
    return node.emit(Tensor.expand, x, sizes)


@op("Tile")
def tile(node: OpNode) -> fx.Node:
    """Y = X repeated along its axes."""
    return node.emit(torch.tile, node.tensor(0), tuple(node.constant(1).tolist()))


@op("DepthToSpace")
def depth_to_space(node: OpNode) -> fx.Node:
    """N,C,H,W to N,C/b^2,H*b,W*b; the block is the outer part of C (DCR) or the inner (CRD)."""
    x, block = node.tensor(0), node.attr("blocksize")
    if node.attr("mode", "DCR") == "CRD":
        return node.emit(F.pixel_shuffle, x, block)
    return node.emit(blocks_to_space, x, block)


def blocks_to_space(x: Tensor, block: int) -> Tensor:
    """DepthToSpace with the block in the outer part of the channels (ONNX, mode DCR)."""
    n, c, h, w = x.shape
    parts = x.reshape(n, block, block, c // block**2, h, w).permute(0, 3, 4, 1, 5, 2)
    return parts.reshape(n, c // block**2, h * block, w * block)


@op("SpaceToDepth")
def space_to_depth(node: OpNode) -> fx.Node:
    """N,C,H,W to N,C*b^2,H/b,W/b, with the block in the outer part of the channels."""
    return node.emit(space_to_blocks, node.tensor(0), node.attr("blocksize"))


def space_to_blocks(x: Tensor, block: int) -> Tensor:
    """SpaceToDepth as ONNX defines it."""
    n, c, h, w = x.shape
    parts = x.reshape(n, c, h // block, block, w // block, block).permute(0, 3, 5, 1, 2, 4)
    return parts.reshape(n, c * block**2, h // block, w // block)


@op("Col2Im")
def column_to_image(node: OpNode) -> fx.Node:
    """Y = the picture N,C,H,W that overlapping windows N,C*k,L add up to."""
    x = node.tensor(0)
    size, block = (tuple(node.constant(slot).tolist()) for slot in (1, 2))
    if len(size) != 2:
        raise node.error("windows of pictures with two axes alone are known")
    node.fix(x, 2)
    pads = node.attr("pads", [0] * 4)
    steps = (tuple(node.attr(name, [1, 1])) for name in ("dilations", "strides"))
    return node.emit(add_windows, x, size, block, pads, *steps)


def add_windows(
    x: Tensor,
    size: tuple[int, int],
    block: tuple[int, int],
    pads: list[int],
    dilations: tuple[int, int],
    strides: tuple[int, int],
) -> Tensor:
    """Add up windows in a padded picture and cut its border off (ONNX Col2Im)."""
    wide = (size[0] + pads[0] + pads[2], size[1] + pads[1] + pads[3])
    picture = F.fold(x, wide, block, dilation=dilations, stride=strides)
    return picture[:, :, pads[0] : pads[0] + size[0], pads[1] : pads[1] + size[1]]
