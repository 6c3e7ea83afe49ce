"""Pools: one number per window that slides over the picture, or one for the whole picture.

ONNX operators MaxPool, AveragePool, LpPool, their global forms, and MaxUnpool. PyTorch's own
functions are called where they mean the same; other settings (uneven padding, dilated means,
windows that stick out) are computed by `Pool`, once the size of the picture is known.
"""

import math
import operator
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, fx

from decig.training.ops.node import OpNode
from decig.training.ops.registry import op
from decig.training.ops.windows import Window, same_pads

_MAX: dict[int, Callable[..., Any]] = {1: F.max_pool1d, 2: F.max_pool2d, 3: F.max_pool3d}
_MEAN: dict[int, Callable[..., Any]] = {1: F.avg_pool1d, 2: F.avg_pool2d, 3: F.avg_pool3d}
_CONV: dict[int, Callable[..., Any]] = {1: F.conv1d, 2: F.conv2d, 3: F.conv3d}


@dataclass(frozen=True)
class Pool:
    """Windows over the spatial axes, as a node describes them.

    Attributes:
        kernel: elements of the window along each axis.
        strides: elements from one window to the next.
        dilations: distance of the elements of one window.
        pads: elements added before and after each axis; not used where `auto_pad` says how many.
        auto_pad: NOTSET, VALID, SAME_UPPER or SAME_LOWER.
        ceil: whether a last window may stick out of the padded picture.
    """

    kernel: tuple[int, ...]
    strides: tuple[int, ...]
    dilations: tuple[int, ...]
    pads: tuple[tuple[int, int], ...]
    auto_pad: str = "NOTSET"
    ceil: bool = False

    def borders(self, size: Sequence[int]) -> tuple[list[tuple[int, int]], list[int]]:
        """Return the padding for a picture, and how many elements the last window sticks out.

        The second number is negative where the last window ends inside. A window that would start
        behind the picture and the padding in front of it is left out.
        """
        pads = list(self.pads)
        if self.auto_pad.startswith("SAME"):
            # ONNX Runtime counts the elements of the window here, without the gaps in it.
            pads = same_pads(tuple(size), self.kernel, self.strides, self.auto_pad == "SAME_LOWER")
        beyond = []
        for n, (begin, end), k, stride, gap in zip(
            size, pads, self.kernel, self.strides, self.dilations, strict=True
        ):
            extent = (k - 1) * gap + 1
            free = n + begin + end - extent
            windows = (-(-free // stride) if self.ceil else free // stride) + 1
            if self.ceil and (windows - 1) * stride >= n + begin:
                windows -= 1
            beyond.append((windows - 1) * stride - free)
        return pads, beyond

    def padded(self, x: Tensor, value: float) -> Tensor:
        """Extend a picture so that the windows fit into it exactly."""
        pads, beyond = self.borders(x.shape[2:])
        flat = [
            amount
            for (begin, end), more in zip(reversed(pads), reversed(beyond), strict=True)
            for amount in (begin, end + more)
        ]
        return F.pad(x, flat, value=value)

    def sums(self, padded: Tensor) -> Tensor:
        """Sum over every window of a picture that they fit into."""
        ones = torch.ones(1, 1, *self.kernel, dtype=padded.dtype, device=padded.device)
        single = padded.flatten(0, 1).unsqueeze(1)
        found: Tensor = _CONV[len(self.kernel)](
            single, ones, stride=self.strides, dilation=self.dilations
        )
        return found.reshape(*padded.shape[:2], *found.shape[2:])

    def counted(self, x: Tensor, count_pads: bool) -> Tensor:
        """Count the elements of the picture in every window, its padding too if asked.

        What lies behind the padding, where the last window sticks out, never counts.
        """
        pads, beyond = self.borders(x.shape[2:])
        ones = torch.ones_like(x[:1, :1])
        ones = F.pad(ones, [n for pair in reversed(pads) for n in pair], value=float(count_pads))
        return self.sums(F.pad(ones, [n for more in reversed(beyond) for n in (0, more)]))


def _pool(node: OpNode) -> Pool:
    window = Window.of(node, tuple(node.attr("kernel_shape")))
    if len(window.kernel) not in _MAX:
        raise node.error(f"{len(window.kernel)} spatial axes; 1 to 3 are supported")
    ceil = bool(node.attr("ceil_mode", 0))
    pads = tuple(window.pads)
    return Pool(window.kernel, window.strides, window.dilations, pads, window.auto_pad, ceil)


def _is_plain(pool: Pool) -> bool:
    """Whether PyTorch's own pools know the padding."""
    return not pool.auto_pad.startswith("SAME") and all(
        begin == end and 2 * begin <= k
        for (begin, end), k in zip(pool.pads, pool.kernel, strict=True)
    )


@op("MaxPool")
def max_pool(node: OpNode) -> fx.Node | tuple[fx.Node, ...]:
    """Y = maximum over every window; and where it is, in the whole tensor, if that is read."""
    pool, x = _pool(node), node.tensor(0)
    if node.wants(1):
        if node.attr("storage_order", 0):
            raise node.error("indices in column-major order are not supported")
        found = node.step(max_and_place, x, *_fields(pool))
        return tuple(node.step(operator.getitem, found, slot) for slot in range(2))
    if not _is_plain(pool):
        return node.emit(max_of_windows, x, *_fields(pool))
    padding = tuple(begin for begin, _ in pool.pads)
    arguments = (pool.kernel, pool.strides, padding, pool.dilations)
    return node.emit(_MAX[len(pool.kernel)], x, *arguments, ceil_mode=pool.ceil)


def max_of_windows(x: Tensor, *fields: Any) -> Tensor:
    """Maximum over every window of a `Pool`; padding never is the maximum."""
    pool = Pool(*fields)
    found: Tensor = _MAX[len(pool.kernel)](
        pool.padded(x, -math.inf), pool.kernel, pool.strides, dilation=pool.dilations
    )
    return found


def max_and_place(x: Tensor, *fields: Any) -> tuple[Tensor, Tensor]:
    """Maximum over every window of a `Pool`, and its index into all elements of `x`."""
    pool = Pool(*fields)
    wide = pool.padded(x, -math.inf)
    found, places = _MAX[len(pool.kernel)](
        wide, pool.kernel, pool.strides, dilation=pool.dilations, return_indices=True
    )
    pads, _ = pool.borders(x.shape[2:])
    index, step = torch.zeros_like(places), 1
    for (begin, _), n, padded in zip(
        reversed(pads), reversed(x.shape[2:]), reversed(wide.shape[2:]), strict=True
    ):
        index += (places % padded - begin) * step
        places, step = places // padded, step * n
    planes = torch.arange(x.shape[0] * x.shape[1], device=x.device) * step
    return found, index + planes.reshape(*x.shape[:2], *[1] * len(pads))


@op("MaxUnpool")
def max_unpool(node: OpNode) -> fx.Node:
    """Y = X at the places that a MaxPool found, 0 elsewhere."""
    pool, x = _pool(node), node.tensor(0)
    if node.has(2):
        raise node.error("a given output shape is not supported")
    return node.emit(put_back, x, node.tensor(1), pool.kernel, pool.strides, pool.pads)


def put_back(
    x: Tensor,
    places: Tensor,
    kernel: Sequence[int],
    strides: Sequence[int],
    pads: Sequence[tuple[int, int]],
) -> Tensor:
    """Spread maxima over a picture of zeros; `places` index all of its elements (MaxUnpool)."""
    spatial = [
        (n - 1) * stride + k - begin - end
        for n, k, stride, (begin, end) in zip(x.shape[2:], kernel, strides, pads, strict=True)
    ]
    shape = (*x.shape[:2], *spatial)
    empty = x.new_zeros(math.prod(shape))
    return empty.scatter(0, places.flatten(), x.flatten()).reshape(shape)


@op("AveragePool")
def average_pool(node: OpNode) -> fx.Node:
    """Y = mean over every window; padding counts only if count_include_pad is set."""
    pool, x = _pool(node), node.tensor(0)
    count_pads = bool(node.attr("count_include_pad", 0))
    if not _is_plain(pool) or any(gap != 1 for gap in pool.dilations):
        return node.emit(mean_of_windows, x, count_pads, *_fields(pool))
    padding = tuple(begin for begin, _ in pool.pads)
    function = _MEAN[len(pool.kernel)]
    return node.emit(function, x, pool.kernel, pool.strides, padding, pool.ceil, count_pads)


def mean_of_windows(x: Tensor, count_pads: bool, *fields: Any) -> Tensor:
    """Mean over every window of a `Pool`."""
    pool = Pool(*fields)
    return pool.sums(pool.padded(x, 0.0)) / pool.counted(x, count_pads)


@op("LpPool")
def lp_pool(node: OpNode) -> fx.Node:
    """Y = p-norm over every window, of elements padded with zeros."""
    return node.emit(norm_of_windows, node.tensor(0), node.attr("p", 2), *_fields(_pool(node)))


def norm_of_windows(x: Tensor, p: int, *fields: Any) -> Tensor:
    """p-norm over every window of a `Pool`; where all is zero, so is the gradient."""
    pool = Pool(*fields)
    total = pool.sums(pool.padded(x.abs() ** p, 0.0))
    some = total > 0
    return torch.where(some, torch.where(some, total, 1.0) ** (1 / p), 0.0)


def _fields(pool: Pool) -> tuple[Any, ...]:
    """Fields of a `Pool` as arguments of a call: the fx graph's code can hold plain values only."""
    return (
        pool.kernel,
        pool.strides,
        pool.dilations,
        pool.pads,
        pool.auto_pad,
        pool.ceil,
    )


@op("GlobalAveragePool", "GlobalMaxPool")
def global_pool(node: OpNode) -> fx.Node:
    """Y = mean or maximum over the spatial axes, which stay with size 1."""
    function = torch.mean if node.op_type == "GlobalAveragePool" else torch.amax
    x = node.tensor(0)
    return node.emit(function, x, tuple(range(2, node.rank(x))), keepdim=True)


@op("GlobalLpPool")
def global_lp_pool(node: OpNode) -> fx.Node:
    """Y = p-norm over the spatial axes, which stay with size 1."""
    x = node.tensor(0)
    axes, p = tuple(range(2, node.rank(x))), float(node.attr("p", 2))
    return node.emit(torch.linalg.vector_norm, x, p, axes, keepdim=True)
