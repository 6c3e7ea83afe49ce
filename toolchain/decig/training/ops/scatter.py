"""Reading and writing at given places."""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor, fx

from decig.training.ops.node import OpNode
from decig.training.ops.registry import op
from decig.training.ops.sizes import declared, follows_input

_REDUCTIONS = {"none": None, "add": "sum", "mul": "prod", "max": "amax", "min": "amin"}
"""What PyTorch calls the ways to combine what is written with what was there."""


@op("ScatterND")
def scatter_nd(node: OpNode) -> fx.Node:
    """Y = X with slices replaced at indices [..., k] of its first k axes."""
    updates = node.weight(2)
    assert updates is not None
    x = _for_every_image(node, node.tensor(0), updates)
    how = _reduction(node)
    if node.is_constant(1) and how is None:
        places = node.constant(1)
        cuts = _as_slices(node, x, places)
        if cuts is not None:
            return node.emit(write_slices, x, updates, cuts)
    for axis in range(node.shape(node.tensor(1))[-1]):
        node.fix(x, axis)
    return node.emit(write_places, x, node.tensor(1), updates, how)


def _for_every_image(node: OpNode, x: fx.Node, updates: fx.Node) -> fx.Node:
    """Repeat a constant that was declared for a batch of 1, such as zeros, for every image."""
    pairs = zip(node.dims(x)[::-1], node.dims(updates)[::-1], strict=False)
    sizes: list[Any] = [-1] * node.rank(x)
    for place, (own, other) in enumerate(pairs, 1):
        if (
            follows_input(other)
            and not follows_input(own)
            and declared(own) == declared(other) == 1
        ):
            sizes[-place] = node.tracer.size(other)
    return x if all(size == -1 for size in sizes) else node.step(Tensor.expand, x, sizes)


def _reduction(node: OpNode) -> str | None:
    name = node.attr("reduction", "none")
    if name not in _REDUCTIONS:
        raise node.error(f"reduction {name} is not supported")
    return _REDUCTIONS[name]


def _as_slices(node: OpNode, x: fx.Node, places: np.ndarray) -> tuple[slice, ...] | None:
    """Read the indices as one slice per axis, if they are all combinations of such slices.

    An axis that is written in full follows the input; the module is tied to any other.
    """
    depth = places.shape[-1]
    if places.ndim != depth + 1 or 0 in places.shape:
        return None
    cuts = []
    for axis in range(depth):
        size = node.shape(x)[axis]
        component = np.moveaxis(places[..., axis], axis, -1).reshape(-1, places.shape[axis]) % size
        row = component[0]
        step = int(row[1] - row[0]) if len(row) > 1 else 1
        if (component != row).any() or step < 1 or (np.diff(row) != step).any():
            return None
        whole = step == 1 and len(row) == size
        cuts.append(slice(None) if whole else slice(int(row[0]), int(row[-1]) + 1, step))
        if not whole:
            node.fix(x, axis)
    return tuple(cuts)


def write_slices(x: Tensor, updates: Tensor, cuts: Sequence[slice]) -> Tensor:
    """Copy a tensor and replace one slice of it; the original stays."""
    x, updates = _of_one_type(x, updates)
    result = x.clone()
    result[tuple(cuts)] = updates
    return result


def write_places(x: Tensor, places: Tensor, updates: Tensor, how: str | None) -> Tensor:
    """Copy a tensor and write at indices [..., k] of its first k axes (ONNX ScatterND)."""
    x, updates = _of_one_type(x, updates)
    depth = places.shape[-1]
    flat = torch.zeros_like(places[..., 0])
    for axis, size in enumerate(x.shape[:depth]):
        flat = flat * size + places[..., axis] % size
    rows = x.reshape(math.prod(x.shape[:depth]), -1)
    index = flat.flatten().long()
    written = updates.reshape(len(index), -1)
    if how is None:
        result = rows.index_copy(0, index, written)
    elif how == "sum":
        result = rows.index_add(0, index, written)
    else:
        result = rows.scatter_reduce(0, index[:, None].expand_as(written), written, how)
    return result.reshape(x.shape)


@op("ScatterElements", "Scatter")
def scatter_elements(node: OpNode) -> fx.Node:
    """Y = X with elements replaced; indices, of the updates' shape, say where along an axis."""
    x, axis = node.tensor(0), node.attr("axis", 0) % node.rank(node.tensor(0))
    _fix_elements(node, x, axis)
    how = _reduction(node)
    return node.emit(write_elements, x, node.tensor(1), node.weight(2), axis, how)


def write_elements(
    x: Tensor, places: Tensor, updates: Tensor, axis: int, how: str | None
) -> Tensor:
    """Copy a tensor and write elements along an axis (ONNX ScatterElements)."""
    x, updates = _of_one_type(x, updates)
    index = (places % x.shape[axis]).long()
    if how is None:
        return x.scatter(axis, index, updates)
    return x.scatter_reduce(axis, index, updates, how)


def _of_one_type(x: Tensor, updates: Tensor) -> tuple[Tensor, Tensor]:
    """Give both the wider of their types, which PyTorch leaves to its callers.

    In the file their types are the same; in bf16 that of a convolution's result is narrower.
    """
    wider = torch.promote_types(x.dtype, updates.dtype)
    return x.to(wider), updates.to(wider)


def _fix_elements(node: OpNode, x: fx.Node, axis: int) -> None:
    """Tie the module to what constant indices are made for: they do not follow the input."""
    constant = node.is_constant(1)
    for place, dim in enumerate(node.dims(node.tensor(1))):
        if constant if place == axis else not follows_input(dim):
            node.fix(x, place)


@op("GatherElements")
def gather_elements(node: OpNode) -> fx.Node:
    """Y = elements of X; indices, of the result's shape, say where along an axis."""
    x, axis = node.tensor(0), node.attr("axis", 0) % node.rank(node.tensor(0))
    _fix_elements(node, x, axis)
    return node.emit(take_elements, x, node.tensor(1), axis)


def take_elements(x: Tensor, places: Tensor, axis: int) -> Tensor:
    """Take elements along an axis (ONNX GatherElements)."""
    return x.gather(axis, (places % x.shape[axis]).long())


@op("GatherND")
def gather_nd(node: OpNode) -> fx.Node:
    """Y = slices of X at indices [..., k] of its first axes, behind those of the batch."""
    x, batch = node.tensor(0), node.attr("batch_dims", 0)
    depth = node.shape(node.tensor(1))[-1]
    for axis in range(batch + depth):
        node.fix(x, axis)
    return node.emit(take_places, x, node.tensor(1), batch)


def take_places(x: Tensor, places: Tensor, batch: int) -> Tensor:
    """Take slices at indices [..., k] (ONNX GatherND); `batch` axes lead both operands."""
    lead: list[Any] = [
        torch.arange(n, device=x.device).reshape(
            [-1 if a == axis else 1 for a in range(places.dim() - 1)]
        )
        for axis, n in enumerate(x.shape[:batch])
    ]
    depth = places.shape[-1]
    index = [places[..., axis] % x.shape[batch + axis] for axis in range(depth)]
    return x[(*lead, *index)]
