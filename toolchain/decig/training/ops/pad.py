"""Pad: borders added to any axes of a tensor of any rank."""

import operator
from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, fx

from decig.training.ops.node import OpNode
from decig.training.ops.registry import op

_MODES = {"reflect": "reflect", "edge": "replicate", "wrap": "circular"}
"""What PyTorch calls ONNX's modes."""

_NATIVE_AXES = 3
"""Most axes that PyTorch's own padding extends in one call."""

Border = tuple[int, int, int]
"""An axis, and how many elements it gains at its begin and at its end."""


@op("Pad")
def pad(node: OpNode) -> fx.Node:
    """Y = X with its borders cut where an amount is negative, then extended by the others."""
    x = node.tensor(0)
    rank = node.rank(x)
    pads = _pads_of_all_axes(node, rank)
    amounts = list(zip(pads[:rank], pads[rank:], strict=True))
    if amounts and any(amounts[0]):
        node.fix(x, 0)  # more images in the batch
    cuts = tuple(slice(max(-begin, 0) or None, min(end, 0) or None) for begin, end in amounts)
    borders = tuple(
        (axis, max(begin, 0), max(end, 0))
        for axis, (begin, end) in enumerate(amounts)
        if begin > 0 or end > 0
    )
    if any(cut != slice(None) for cut in cuts):
        finish = node.step if borders else node.emit
        x = finish(operator.getitem, x, cuts)
    if not borders:
        return x
    mode = node.attr("mode", "constant")
    if mode == "constant":
        # PyTorch lists the last axis first.
        flat = [0] * 2 * rank
        for axis, begin, end in borders:
            flat[2 * (rank - 1 - axis)], flat[2 * (rank - 1 - axis) + 1] = begin, end
        while flat[-2:] == [0, 0]:
            del flat[-2:]
        value = node.setting("value", 2) or [0.0]
        return node.emit(F.pad, x, flat, value=value[0])
    if mode not in _MODES:
        raise node.error(f"mode {mode} is not supported")
    return node.emit(extend, x, borders, mode)


def _pads_of_all_axes(node: OpNode, rank: int) -> list[int]:
    pads = node.setting("pads", 1) or []
    if not node.has(3):
        return pads
    full = [0] * 2 * rank
    axes = [axis % rank for axis in node.constant(3).tolist()]
    for place, axis in enumerate(axes):
        full[axis], full[rank + axis] = pads[place], pads[len(axes) + place]
    return full


def extend(x: Tensor, borders: Sequence[Border], mode: str) -> Tensor:
    """Extend some axes by what lies on them already.

    Args:
        x: of any rank and element type.
        borders: axes and amounts.
        mode: as ONNX calls it: "reflect" without the border itself, "edge" or "wrap".
    """
    rest = [axis for axis in range(x.dim()) if axis not in {axis for axis, _, _ in borders}]
    fits = mode != "wrap" or all(max(grown) <= x.shape[axis] for axis, *grown in borders)
    if x.is_floating_point() and fits and 0 < len(borders) <= _NATIVE_AXES and len(rest) in (1, 2):
        return _extend_natively(x, borders, mode, rest)
    for axis, begin, end in borders:
        places = _places(x.shape[axis], begin, end, mode)
        x = x.index_select(axis, places.to(x.device))
    return x


def _extend_natively(
    x: Tensor, borders: Sequence[Border], mode: str, rest: Sequence[int]
) -> Tensor:
    """Use PyTorch's padding, which extends the last axes, behind one or two others."""
    order = [*rest, *(axis for axis, _, _ in borders)]
    flat = [amount for _, *grown in reversed(borders) for amount in grown]
    padded = F.pad(x.permute(order), flat, mode=_MODES[mode])
    return padded.permute([order.index(axis) for axis in range(x.dim())])


def _places(size: int, begin: int, end: int, mode: str) -> Tensor:
    """Where each element of an extended axis comes from."""
    place = torch.arange(-begin, size + end)
    if mode == "edge":
        return place.clamp(0, size - 1)
    if mode == "wrap":
        return place % size
    period = max(2 * (size - 1), 1)
    place = place % period
    return torch.minimum(place, period - place)
