"""Sizes that follow the input.

Exporters bake sizes into constants: a Reshape to [1, 64, 128, 128] does not say which of its
numbers must change when the module is given a batch of four crops of another size. So the size of
every axis is described by its factors, in order: integers, and `Size`s that follow the input. A
reshape regroups these factors and never reorders them, as tensors are stored row by row. The order
therefore tells which factors each number of the new shape is made of, even where there are 64
channels and 64 columns.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from math import prod

from torch import fx


@dataclass(frozen=True)
class Size:
    """The size of `value` along `axis`, divided by `divisor`; `declared` at the declared shape."""

    value: fx.Node
    axis: int
    declared: int
    divisor: int = 1


Factor = int | Size
Dim = tuple[Factor, ...]
"""Factors whose product, in order, is the size of one axis."""


def declared(dim: Dim) -> int:
    """Size of the axis at the declared input shape."""
    return prod(factor if isinstance(factor, int) else factor.declared for factor in dim)


def follows_input(dim: Dim) -> bool:
    """Whether the size changes with the input's."""
    return any(isinstance(factor, Size) for factor in dim)


def regroup(dims: Sequence[Dim], target: Sequence[int]) -> list[Dim] | None:
    """Find the factors that each number of a reshape's new shape is made of.

    Args:
        dims: factors of the axes before.
        target: sizes of the axes after, at the declared input shape; all positive.

    Returns:
        Factors of the axes after; None when an entry mixes parts that cannot be told apart.
    """
    factors = _joined([factor for dim in dims for factor in dim])
    # A batch declared as 1 leaves no mark in the products. It leads, before and after.
    lead = 0
    while lead < len(factors) and declared((factors[lead],)) == 1:
        lead += 1
    leading, factors = factors[:lead], factors[lead:]
    groups: list[Dim] = []
    for size in reversed(target):
        group = _take(factors, size)
        if group is None:
            return None
        groups.insert(0, group)
    if groups:
        groups[0] = (*leading, *groups[0])
    return groups


def _joined(factors: list[Factor]) -> list[Factor]:
    """Multiply neighbouring integers: only at a size that follows the input is there a border."""
    joined: list[Factor] = []
    for factor in factors:
        if isinstance(factor, int) and joined and isinstance(joined[-1], int):
            joined[-1] *= factor
        else:
            joined.append(factor)
    return [factor for factor in joined if factor != 1]


def _take(factors: list[Factor], size: int) -> Dim | None:
    """Remove the factors whose product is `size` from the end, splitting one if need be."""
    taken: list[Factor] = []
    if size == 1 and factors and declared((factors[-1],)) == 1:
        taken.append(factors.pop())
    while size > 1:
        if not factors:
            return None
        last = factors.pop()
        whole = declared((last,))
        if size % whole:
            outer = _outer(last, size)
            if outer is None:
                return None
            factors.append(outer)
            last = whole = size
        taken.insert(0, last)
        size //= whole
    return tuple(taken)


def _outer(factor: Factor, inner: int) -> Factor | None:
    """Return what is left of a factor when its inner part of a constant size is split off.

    From a size that follows the input, a small inner part may be split off: the 2 of a pixel
    shuffle from 256, the 8 of a window from 64. With a larger part it is not clear which of the
    two follows the input, so it is refused.
    """
    whole = declared((factor,))
    if whole % inner:
        return None
    if isinstance(factor, int):
        return whole // inner
    if inner * inner > whole:
        return None
    return replace(factor, declared=whole // inner, divisor=factor.divisor * inner)
