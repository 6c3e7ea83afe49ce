"""Identities through a reshape: axes are regrouped segment by segment.

A reshape [N, C, H, W] -> [N, G, C/G * H * W] falls into segments of equal product, here N | N and
C, H, W | G, C/G*H*W. Only segments in which identities vary are laid out in full.
"""

import math

import numpy as np
import onnx

from decig.graph.flow import Flow
from decig.graph.ids import Ids, compress

Segment = tuple[range, range]


def regroup(
    flow: Flow, node: onnx.NodeProto, ids: Ids, before: tuple[int, ...], after: tuple[int, ...]
) -> Ids:
    """Identities of a reshaped tensor; `before` and `after` are its static shapes.

    Where channels vary in several segments (a pixel shuffle that is spelled out), only the segment
    of most channels keeps them apart: no cut could follow the others. Segments that only move an
    axis to another place (the heads of an attention) all keep them apart.

    Raises:
        ValueError: the shapes do not fit together.
    """
    parts = list(matching_segments(before, after))
    varied = [part for part in parts if any(ids.shape[axis] > 1 for axis in part[0])]
    if len(varied) > 1 and not all(_is_renamed(part, before, after) for part in varied):
        keep = max(
            varied, key=lambda part: (math.prod(ids.shape[axis] for axis in part[0]), 1 in part[1])
        )
        for part in varied:
            if part is not keep:
                why = f"{node.op_type} {node.name} spreads them over several axes"
                ids = flow.space.tie(ids, tuple(part[0]), why)
        varied = [keep]
    full = list(ids.shape)
    target = [1] * len(after)
    for source, destination in varied:
        for axis in source:
            full[axis] = before[axis]
        for axis in destination:
            target[axis] = after[axis]
    return compress(np.broadcast_to(ids, full).reshape(target))


def _is_renamed(part: Segment, before: tuple[int, ...], after: tuple[int, ...]) -> bool:
    """Whether a segment is one axis before and after, apart from axes of size 1."""
    return all(
        sum(shape[axis] > 1 for axis in axes) == 1
        for axes, shape in zip(part, (before, after), strict=True)
    )


def matching_segments(before: tuple[int, ...], after: tuple[int, ...]) -> list[Segment]:
    """Cut two shapes of equal product into the shortest runs of axes with equal products.

    Raises:
        ValueError: a part of one shape, the whole of it at the latest, has no equal in the other.
    """
    segments: list[Segment] = []
    i = j = 0
    while i < len(before) or j < len(after):
        start_i, start_j = i, j
        i, j = min(i + 1, len(before)), min(j + 1, len(after))
        while (left := math.prod(before[start_i:i])) != (right := math.prod(after[start_j:j])):
            if i == len(before) and j == len(after):
                raise ValueError(f"{before} does not become {after}")
            if (left < right and i < len(before)) or j == len(after):
                i += 1
            else:
                j += 1
        segments.append((range(start_i, i), range(start_j, j)))
    return segments
