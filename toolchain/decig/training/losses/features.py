"""The student's features against the same channels of the teacher's.

A sliced graph's channels are channels of its teacher, so no adapter stands between the two:

    L = mean over values v of |s_v - t_v[kept]|_1 / |t_v[kept]|_1

The sum over features is that of FitNets (Romero et al., ICLR 2015, equation 3), in L1 and without
the regressor; the denominator lets every value count the same, whatever its size.
"""

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn.functional import l1_loss

_LEAST = 1e-6
"""Mean magnitude of a teacher's value at least, below which its size is not taken for a unit."""


def feature_loss(student: Sequence[Tensor], teacher: Sequence[Tensor]) -> Tensor:
    """Compare inner values of a student with the teacher's, of equal shapes."""
    total = torch.zeros((), device=student[0].device)
    for found, wanted in zip(student, teacher, strict=True):
        total = total + l1_loss(found, wanted) / wanted.abs().mean().clamp_min(_LEAST)
    return total / len(student)
