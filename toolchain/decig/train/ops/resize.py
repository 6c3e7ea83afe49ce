"""Resize and Upsample: native where torch's formula is ONNX's, else by explicit coordinates.

ONNX operator Resize, attributes coordinate_transformation_mode and nearest_mode.
"""

import math
from collections.abc import Callable
from fractions import Fraction
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, fx

from decig.train.ops.node import OpNode
from decig.train.ops.registry import op

_ROUND: dict[str, Callable[[Tensor], Tensor]] = {
    "floor": torch.floor,
    "ceil": torch.ceil,
    "round_prefer_floor": lambda place: torch.ceil(place - 0.5),
    "round_prefer_ceil": lambda place: torch.floor(place + 0.5),
}
_LINEAR = {3: "linear", 4: "bilinear", 5: "trilinear"}


@op("Upsample", "Resize")
def resize(node: OpNode) -> fx.Node:
    """Y = X sampled on a finer or coarser grid, by scales or to sizes."""
    x = node.tensor(0)
    old = node.op_type == "Upsample" or node.opset < 11
    mode = node.attr("mode", "nearest")
    coordinates = node.attr("coordinate_transformation_mode", "half_pixel")
    rounding = node.attr("nearest_mode", "round_prefer_floor")
    if old:
        coordinates, rounding = "asymmetric", "floor"
    _refuse(node, mode, coordinates)
    scales = _scales(node, x, old)
    if all(scale == 1 for scale in scales):
        return x
    native = _native(node, x, scales, mode, coordinates, rounding)
    if native is not None:
        return node.emit(F.interpolate, x, **_extent(node, x, scales), **native)
    if mode == "cubic":
        raise node.error("cubic is supported on the two axes of a picture, N,C,H,W")
    method = rounding if mode == "nearest" else None
    for axis, scale in enumerate(scales):
        if scale != 1:
            size = _size(node, x, axis, scale)
            x = node.step(resample, x, axis, float(scale), size, coordinates, method)
    return x


def _refuse(node: OpNode, mode: str, coordinates: str) -> None:
    known = (
        "half_pixel",
        "pytorch_half_pixel",
        "half_pixel_symmetric",
        "asymmetric",
        "align_corners",
        "tf_half_pixel_for_nn",
    )
    if coordinates not in known:
        raise node.error(f"coordinate_transformation_mode {coordinates} is not supported")
    if node.attr("antialias", 0):
        raise node.error("antialias is not supported")
    if node.attr("keep_aspect_ratio_policy", "stretch") != "stretch":
        raise node.error("keep_aspect_ratio_policy is not supported")
    if mode == "cubic" and (
        coordinates not in ("half_pixel", "pytorch_half_pixel", "align_corners")
        or node.attr("cubic_coeff_a", -0.75) != -0.75
        or node.attr("exclude_outside", 0)
    ):
        raise node.error("cubic is supported with half_pixel or align_corners and torch's kernel")


Scale = float | Fraction
"""Scale of an axis; a fraction where the graph gives the size, which is then met exactly."""


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
    for axis, scale in zip(axes, scales, strict=True):
        result[axis] = scale
    return result


def _size(node: OpNode, x: fx.Node, axis: int, scale: Scale) -> int | fx.Node | None:
    """New size of an axis in proportion to the old; None: left to be computed from the scale."""
    if not isinstance(scale, Fraction):
        return None
    return node.tracer.scaled(node.dims(x)[axis], scale.numerator, scale.denominator)


def _native(
    node: OpNode, x: fx.Node, scales: list[Scale], mode: str, coordinates: str, rounding: str
) -> dict[str, Any] | None:
    """Settings with which torch's own interpolation does the same; None when it does not."""
    rank = node.rank(x)
    if rank not in _LINEAR or any(scale != 1 for scale in scales[:2]):
        return None
    halves = coordinates in ("half_pixel", "pytorch_half_pixel")
    if mode == "cubic":
        return {"mode": "bicubic", "align_corners": not halves} if rank == 4 else None
    if mode == "linear":
        if halves or coordinates == "align_corners":
            return {"mode": _LINEAR[rank], "align_corners": not halves}
        return None
    if all(_repeats(float(scale), coordinates, rounding) for scale in scales[2:]):
        return {"mode": "nearest"}
    return None


def _repeats(scale: float, coordinates: str, rounding: str) -> bool:
    """Whether nearest sampling takes element floor(i / scale), as torch does."""
    if coordinates == "asymmetric" and rounding == "floor":
        return True
    if scale != int(scale):
        return False
    # By a whole factor, one period of the grid tells.
    place = _source(torch.arange(4 * int(scale)), 4, 4 * int(scale), scale, coordinates)
    index = _ROUND[rounding](place).clamp(0, 3).long()
    return bool((index == torch.arange(4).repeat_interleave(int(scale))).all())


def _extent(node: OpNode, x: fx.Node, scales: list[Scale]) -> dict[str, Any]:
    """Return what tells `F.interpolate` the new size of the spatial axes."""
    spatial = scales[2:]
    if all(scale == int(scale) or not isinstance(scale, Fraction) for scale in spatial):
        return {"scale_factor": tuple(float(scale) for scale in spatial)}
    return {"size": tuple(_size(node, x, axis + 2, scale) for axis, scale in enumerate(spatial))}


def resample(
    x: Tensor, axis: int, scale: float, size: int | None, coordinates: str, rounding: str | None
) -> Tensor:
    """Sample one axis at computed places: the nearest element by `rounding`, or linearly."""
    length = x.shape[axis]
    size = math.floor(length * scale) if size is None else size
    step = torch.arange(size, device=x.device)
    place = _source(step, length, size, scale, coordinates)
    if rounding is not None:
        return x.index_select(axis, _ROUND[rounding](place).clamp(0, length - 1).long())
    place = place.clamp(0, length - 1)
    low = place.floor()
    high = (low + 1).clamp(max=length - 1)
    share = (place - low).to(x.dtype).view(-1, *[1] * (x.dim() - axis - 1))
    return torch.lerp(x.index_select(axis, low.long()), x.index_select(axis, high.long()), share)


def _source(step: Tensor, length: int, size: int, scale: float, coordinates: str) -> Tensor:
    """Place in the source of each element of the result, in elements of the source."""
    # In single precision, as ONNX Runtime does: ties fall the same way.
    place = step.to(torch.float32)
    if coordinates == "asymmetric":
        return place / scale
    if coordinates == "align_corners":
        return place * (length - 1) / max(size - 1, 1)
    if coordinates == "tf_half_pixel_for_nn":
        return (place + 0.5) / scale
    if coordinates == "pytorch_half_pixel" and size == 1:
        return torch.zeros_like(place)
    place = (place + 0.5) / scale - 0.5
    if coordinates == "half_pixel_symmetric":
        # Centre the grid when the rounded size cut part of it off.
        place = place + length / 2 * (1 - size / (length * scale))
    return place
