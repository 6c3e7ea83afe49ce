"""Sampling one axis of a tensor at computed places: what a Resize does, axis by axis.

ONNX operator Resize, attributes coordinate_transformation_mode, nearest_mode, cubic_coeff_a,
exclude_outside and antialias. Places are computed in single precision, as ONNX Runtime does, so
that ties fall the same way.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

ROUND: dict[str, Callable[[Tensor], Tensor]] = {
    "floor": torch.floor,
    "ceil": torch.ceil,
    "round_prefer_floor": lambda place: torch.ceil(place - 0.5),
    "round_prefer_ceil": lambda place: torch.floor(place + 0.5),
}
"""Which of the elements around a place is the nearest one, by `nearest_mode`."""

COORDINATES = (
    "half_pixel",
    "pytorch_half_pixel",
    "half_pixel_symmetric",
    "asymmetric",
    "align_corners",
    "tf_half_pixel_for_nn",
)
"""The modes of `coordinate_transformation_mode` that are known here."""


def source(step: Tensor, length: int, size: int, scale: float, coordinates: str) -> Tensor:
    """Place in the source of each element of the result, in elements of the source.

    Args:
        step: indices into the result.
        length: elements of the source.
        size: elements of the result.
        scale: of the axis, about size / length.
        coordinates: one of `COORDINATES`.
    """
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


def resample(
    x: Tensor, axis: int, scale: float, size: int | None, coordinates: str, rounding: str | None
) -> Tensor:
    """Sample one axis: the nearest element by `rounding`, or linearly between two for None.

    A `size` of None is the length of the axis times the scale.
    """
    length = x.shape[axis]
    size = math.floor(length * scale) if size is None else size
    place = source(torch.arange(size, device=x.device), length, size, scale, coordinates)
    if rounding is not None:
        return x.index_select(axis, ROUND[rounding](place).clamp(0, length - 1).long())
    place = place.clamp(0, length - 1)
    low = place.floor()
    high = (low + 1).clamp(max=length - 1)
    share = (place - low).to(x.dtype).view(-1, *[1] * (x.dim() - axis - 1))
    return torch.lerp(x.index_select(axis, low.long()), x.index_select(axis, high.long()), share)


@dataclass(frozen=True)
class Kernel:
    """How the elements around a place are weighted.

    Attributes:
        cubic: by a cubic of four elements; else linearly, by two.
        a: coefficient of the cubic (-0.75 by default, -0.5 in TensorFlow and Pillow).
        exclude_outside: leave out what lies outside the source; else its border is repeated.
        antialias: widen the kernel where the source is made smaller, as Pillow does.
    """

    cubic: bool
    a: float = -0.75
    exclude_outside: bool = False
    antialias: bool = False

    def weigh(self, distance: Tensor) -> Tensor:
        """Weight of elements at a distance from the place (R. Keys, 1981, eq. 15)."""
        d = distance.abs()
        if not self.cubic:
            return (1 - d).clamp(min=0)
        a = self.a
        near = ((a + 2) * d - (a + 3)) * d * d + 1
        far = a * (((d - 5) * d + 8) * d - 4)
        return torch.where(d <= 1, near, torch.where(d < 2, far, 0.0))


def blend(
    x: Tensor, axis: int, scale: float, size: int | None, coordinates: str, **kernel: Any
) -> Tensor:
    """Sample one axis by a kernel, given by its fields; arguments as in `resample`."""
    length = x.shape[axis]
    size = math.floor(length * scale) if size is None else size
    weights = _weights(length, size, scale, coordinates, Kernel(**kernel)).to(x)
    return (x.movedim(axis, -1) @ weights.T).movedim(-1, axis)


def _weights(length: int, size: int, scale: float, coordinates: str, kernel: Kernel) -> Tensor:
    """Share of every element of the source [length] in every one of the result [size]."""
    place = source(torch.arange(size), length, size, scale, coordinates).double()
    stretch = max(1.0, 1 / scale) if kernel.antialias else 1.0
    reach = math.ceil((2 if kernel.cubic else 1) * stretch)
    taps = place.floor()[:, None] + torch.arange(-reach, reach + 2)
    shares = kernel.weigh((taps - place[:, None]) / stretch)
    if kernel.exclude_outside:
        shares = torch.where((taps < 0) | (taps > length - 1), 0.0, shares)
    if kernel.exclude_outside or kernel.antialias:
        shares = shares / shares.sum(1, keepdim=True)
    index = taps.clamp(0, length - 1).long()
    return torch.zeros(size, length, dtype=torch.float64).scatter_add(1, index, shares)
