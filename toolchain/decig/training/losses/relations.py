"""Relations inside a picture: how far its rows, its columns and its patches are from each other.

L. You et al., "Exploring Content Relationships for Distilling Efficient GANs" (arXiv 2212.11091),
cut pictures into strips of rows, strips of columns and patches, and let the student's be as far
from each other as the teacher's; distance and penalty are those of W. Park et al., "Relational
Knowledge Distillation" (CVPR 2019), equations 4 to 6. With x_i the pieces of one kind of a picture:

    d_ij = |x_i - x_j|_2 / (mean over all pairs of |x_i - x_j|_2)
    L    = mean over the kinds of  mean over pairs i != j of  huber(d_ij(student) - d_ij(teacher))

Pairs lie in one picture, so that a batch of one will do, and numbers of channels need not agree.
The paper's second term, of the angles of three pieces, is not there.
"""

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn.functional import huber_loss

_STRIPS, _GRID = 32, 8
"""Strips of rows, or of columns, at most; and patches along each side."""
_LEAST = 1e-8
"""Added to squared distances, so that the gradient of the root stays finite where pieces agree."""


def relation_loss(picture: Tensor, target: Tensor) -> Tensor:
    """Compare relations in maps N,C,H,W of equal sizes, with sides of 2 pixels and more."""
    sides = picture.shape[2:]
    grids = [(min(_STRIPS, sides[0]), 1), (1, min(_STRIPS, sides[1]))]
    grids.append((min(_GRID, sides[0]), min(_GRID, sides[1])))
    kinds = [
        huber_loss(_distances(picture, grid), _distances(target.detach(), grid)) for grid in grids
    ]
    return torch.stack(kinds).mean()


def feature_relation_loss(student: Sequence[Tensor], teacher: Sequence[Tensor]) -> Tensor:
    """Compare relations in inner values of two generators; mean over those that are maps."""
    maps = [pair for pair in zip(student, teacher, strict=True) if _is_map(pair[0])]
    if not maps:
        return student[0].new_zeros(())
    return torch.stack([relation_loss(*pair) for pair in maps]).mean()


def _is_map(value: Tensor) -> bool:
    return value.ndim == 4 and min(value.shape[2:]) > 1


def _distances(maps: Tensor, grid: tuple[int, int]) -> Tensor:
    """Distances between the pieces of each picture, relative to their mean; N,pairs."""
    pieces = _pieces(maps.float(), *grid)
    pieces = pieces - pieces.mean(1, keepdim=True)  # changes no distance, and rounds less
    with torch.autocast(maps.device.type, enabled=False):
        products = pieces @ pieces.transpose(1, 2) / pieces.shape[2]
    squares = products.diagonal(dim1=1, dim2=2)
    squared = squares[:, :, None] + squares[:, None, :] - 2 * products
    count = squared.shape[1]
    row, column = torch.triu_indices(count, count, offset=1, device=maps.device)
    distances = (squared[:, row, column].clamp_min(0) + _LEAST).sqrt()
    return distances / distances.mean(1, keepdim=True)


def _pieces(maps: Tensor, rows: int, columns: int) -> Tensor:
    """Cut N,C,H,W into rows x columns equal pieces: N,pieces,values; a rest is left out."""
    height, width = maps.shape[2] // rows, maps.shape[3] // columns
    cut = maps[:, :, : rows * height, : columns * width]
    split = cut.reshape(*maps.shape[:2], rows, height, columns, width)
    return split.permute(0, 2, 4, 1, 3, 5).reshape(len(maps), rows * columns, -1)
