"""Resize and Upsample: native where PyTorch's formula is ONNX's, else by explicit coordinates."""

from collections.abc import Sequence
from dataclasses import asdict
from fractions import Fraction
from typing import Any

import torch
import torch.nn.functional as F
from torch import fx

from decig.training.ops.node import OpNode
from decig.training.ops.registry import op
from decig.training.ops.sampling import COORDINATES, ROUND, Kernel, blend, resample, source

_LINEAR = {3: "linear", 4: "bilinear", 5: "trilinear"}
"""What PyTorch calls linear interpolation, by the rank of the tensor."""

Scale = float | Fraction
"""Scale of an axis; a fraction where the graph gives the size, which is then met exactly."""


@op("Upsample", "Resize")
def resize(node: OpNode) -> fx.Node:
    """Y = X sampled on a finer or coarser grid, by scales or to sizes, on any of its axes."""
    x = node.tensor(0)
    old = node.op_type == "Upsample" or node.opset < 11
    mode = node.attr("mode", "nearest")
    coordinates = node.attr("coordinate_transformation_mode", "half_pixel")
    rounding = node.attr("nearest_mode", "round_prefer_floor")
    if old:
        coordinates, rounding = "asymmetric", "floor"
    if coordinates not in COORDINATES:
        raise node.error(f"coordinate_transformation_mode {coordinates} is not supported")
    scales = _scales(node, x, old)
    if all(scale == 1 for scale in scales):
        return x
    kernel = _kernel(node, mode)
    order = _order(scales)
    if order is not None and not _down_to_one(node, x, coordinates, scales):
        inner = [scales[axis] for axis in order]
        native = _native(inner, mode, coordinates, rounding, kernel)
        if native is not None:
            return _interpolate(node, x, order, scales, native)
    for axis, scale in enumerate(scales):
        if scale != 1:
            grid = (axis, float(scale), _size(node, x, axis, scale), coordinates)
            if kernel is not None:
                x = node.step(blend, x, *grid, **asdict(kernel))
            else:
                x = node.step(resample, x, *grid, rounding if mode == "nearest" else None)
    return x


def _down_to_one(node: OpNode, x: fx.Node, coordinates: str, scales: Sequence[Scale]) -> bool:
    """Whether an axis becomes one element, which is the first one then, and not the middle."""
    sizes = zip(node.shape(x), scales, strict=True)
    one = any(scale != 1 and int(n * scale) == 1 for n, scale in sizes)
    return coordinates == "pytorch_half_pixel" and one


def _kernel(node: OpNode, mode: str) -> Kernel | None:
    """Return the kernel, where elements are weighted otherwise than linearly between two."""
    kernel = Kernel(
        cubic=mode == "cubic",
        a=node.attr("cubic_coeff_a", -0.75),
        exclude_outside=bool(node.attr("exclude_outside", 0)),
        antialias=bool(node.attr("antialias", 0)),
    )
    plain = not (kernel.cubic or kernel.antialias or kernel.exclude_outside)
    return None if mode == "nearest" or plain else kernel


def _scales(node: OpNode, x: fx.Node, old: bool) -> list[Scale]:
    """Read the scales or the sizes, for every axis."""
    rank = node.rank(x)
    axes = [axis % rank for axis in node.attr("axes", range(rank))]
    result: list[Scale] = [1] * rank
    sizes = node.setting("sizes", 3)
    if sizes is None:
        scales = node.setting("scales", 1 if old else 2) or []
    else:
        scales = [Fraction(n, node.shape(x)[axis]) for n, axis in zip(sizes, axes, strict=True)]
        policy = node.attr("keep_aspect_ratio_policy", "stretch")
        if policy != "stretch":
            scales = [_kept_aspect(node, x, axes, scales, policy)] * len(axes)
    for axis, scale in zip(axes, scales, strict=True):
        result[axis] = scale
    return result


def _kept_aspect(
    node: OpNode, x: fx.Node, axes: Sequence[int], scales: Sequence[Fraction], policy: str
) -> Fraction:
    """Return the one scale of all axes, where it meets whole sizes on all of them."""
    scale = min(scales) if policy == "not_larger" else max(scales)
    if any((scale * node.shape(x)[axis]).denominator != 1 for axis in axes):
        raise node.error(f"keep_aspect_ratio_policy {policy} is supported for whole sizes")
    for axis in axes:
        node.fix(x, axis)  # which axis decides depends on the size
    return scale


def _size(node: OpNode, x: fx.Node, axis: int, scale: Scale) -> int | fx.Node | None:
    """New size of an axis in proportion to the old; None: left to be computed from the scale."""
    if not isinstance(scale, Fraction):
        return None
    return node.tracer.scaled(node.dims(x)[axis], scale.numerator, scale.denominator)


def _order(scales: Sequence[Scale]) -> list[int] | None:
    """Put two axes that keep their size in front, where PyTorch has batch and channels."""
    kept = [axis for axis, scale in enumerate(scales) if scale == 1]
    if len(kept) < 2 or len(scales) not in _LINEAR:
        return None
    if kept[:2] == [0, 1]:
        return list(range(len(scales)))
    front = [kept[0], kept[-1]]  # N and C of N,...,C
    return [*front, *(axis for axis in range(len(scales)) if axis not in front)]


_EXACT = (1 / 2, 1 / 4, 1 / 8, 1 / 16)
"""Scales by which the place of every element is the same number, however it is rounded: ONNX
Runtime divides by a scale, and PyTorch multiplies by its inverse."""


def _native(
    scales: Sequence[Scale], mode: str, coordinates: str, rounding: str, kernel: Kernel | None
) -> dict[str, Any] | None:
    """Settings with which PyTorch's own interpolation does the same; None when it does not."""
    rank = len(scales)
    halves = coordinates in ("half_pixel", "pytorch_half_pixel")
    corners = halves or coordinates == "align_corners"
    if mode == "nearest":
        repeats = all(_repeats(float(scale), coordinates, rounding) for scale in scales[2:])
        return {"mode": "nearest"} if repeats else None
    if kernel is None:
        return {"mode": _LINEAR[rank], "align_corners": not halves} if corners else None
    if kernel == Kernel(cubic=True) and corners and rank == 4:
        return {"mode": "bicubic", "align_corners": not halves}
    return None


def _repeats(scale: float, coordinates: str, rounding: str) -> bool:
    """Whether nearest sampling takes element floor(i / scale), as PyTorch does."""
    if coordinates == "asymmetric" and rounding == "floor" and scale in _EXACT:
        return True
    if scale != int(scale):
        return False
    # By a whole factor, one period of the grid tells.
    place = source(torch.arange(4 * int(scale)), 4, 4 * int(scale), scale, coordinates)
    index = ROUND[rounding](place).clamp(0, 3).long()
    return bool((index == torch.arange(4).repeat_interleave(int(scale))).all())


def _interpolate(
    node: OpNode, x: fx.Node, order: list[int], scales: list[Scale], settings: dict[str, Any]
) -> fx.Node:
    """Emit PyTorch's interpolation, with the axes in its order and back."""
    extent = _extent(node, x, order[2:], scales)
    if order == sorted(order):
        return node.emit(F.interpolate, x, **extent, **settings)
    dims = node.dims(x)
    moved = node.step(torch.permute, x, order, dims=[dims[axis] for axis in order])
    scaled = node.step(F.interpolate, moved, **extent, **settings)
    dims, back = node.dims(scaled), [order.index(axis) for axis in range(len(order))]
    return node.emit(torch.permute, scaled, back, dims=[dims[axis] for axis in back])


def _extent(
    node: OpNode, x: fx.Node, axes: Sequence[int], scales: Sequence[Scale]
) -> dict[str, Any]:
    """Return what tells `F.interpolate` the new size of the axes behind the first two."""
    spatial = [scales[axis] for axis in axes]
    if all(scale == int(scale) or not isinstance(scale, Fraction) for scale in spatial):
        return {"scale_factor": tuple(float(scale) for scale in spatial)}
    return {"size": tuple(_size(node, x, axis, scales[axis]) for axis in axes)}
