"""High frequencies: the details of two pictures, as Haar wavelets see them.

L. Zhang et al., "Wavelet Knowledge Distillation: Towards Efficient Image-to-Image Translation"
(CVPR 2022), section 3.2: slim generators fail in high frequencies, so only these are compared,
in L1. With H_l the three high bands (along rows, along columns, along both) that the Haar
transform of level l leaves, and the next level transforming the low band:

    L = sum over levels l of  mean |H_l(student) - H_l(teacher)|

The transform is linear, so the difference of the pictures is transformed.
"""

import torch
from torch import Tensor
from torch.nn.functional import pad

_LEVELS = 3
"""Levels of the transform at most; each halves the low band, down to a side of one pixel."""


def haar_loss(picture: Tensor, target: Tensor) -> Tensor:
    """Compare the details of pictures N,C,H,W with sides of 2 pixels and more."""
    low, total = picture.float() - target.float(), torch.zeros((), device=picture.device)
    for _ in range(_LEVELS):
        if min(low.shape[2:]) < 2:
            break
        low, high = haar_bands(low)
        total = total + high.abs().mean()
    return total


def haar_bands(picture: Tensor) -> tuple[Tensor, Tensor]:
    """Transform pictures by one level of the orthonormal Haar wavelets.

    Args:
        picture: N,C,H,W; where a side is odd, its last row or column is taken twice.

    Returns:
        The low band N,C,H/2,W/2, and the high bands N,3C,H/2,W/2.
    """
    height, width = picture.shape[2:]
    even = pad(picture, (0, width % 2, 0, height % 2), mode="replicate")
    top, bottom = even[:, :, ::2], even[:, :, 1::2]
    left_sum, right_sum = (top + bottom)[..., ::2], (top + bottom)[..., 1::2]
    left_step, right_step = (top - bottom)[..., ::2], (top - bottom)[..., 1::2]
    high = [left_sum - right_sum, left_step + right_step, left_step - right_step]
    return (left_sum + right_sum) / 2, torch.cat(high, 1) / 2
