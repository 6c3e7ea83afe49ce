"""The generator of AnimeGANv2: photos to cartoons by inverted residual blocks.

J. Chen, G. Liu, X. Chen, "AnimeGAN: A Novel Lightweight GAN for Photo Animation" (ISICA 2019),
section 3.1, in the authors' second version: the norms are over all channels of a picture
(GroupNorm of one group), the way up is a bilinear resize, the blocks are those of MobileNetV2
(Sandler et al., CVPR 2018).
"""

from collections import OrderedDict

import torch
from torch import Tensor, nn
from torch.nn.functional import interpolate


class AnimeGan(nn.Module):
    """Photo N,3,H,W to cartoon N,3,H,W, both -1..1; H and W multiples of 4."""

    def __init__(self, width: int = 32, blocks: int = 4) -> None:
        super().__init__()
        w = width
        trunk = [InvertedResidual(4 * w, 8 * w)]
        trunk += [InvertedResidual(8 * w, 8 * w) for _ in range(blocks - 1)]
        self.full_in = nn.Sequential(_conv(3, w, 7))
        self.half_in = nn.Sequential(_conv(w, 2 * w, stride=2), _conv(2 * w, 2 * w))
        self.quarter = nn.Sequential(
            _conv(2 * w, 4 * w, stride=2), _conv(4 * w, 4 * w), _conv(4 * w, 4 * w),
            *trunk, _conv(8 * w, 4 * w),
        )  # fmt: skip
        self.half_out = nn.Sequential(_conv(4 * w, 4 * w), _conv(4 * w, 4 * w))
        self.full_out = nn.Sequential(_conv(4 * w, 2 * w), _conv(2 * w, 2 * w), _conv(2 * w, w, 7))
        self.head = nn.Conv2d(w, 3, 1, bias=False)

    def forward(self, photo: Tensor) -> Tensor:
        """Draw N,3,H,W; N,3,H,W."""
        x = self.quarter(self.half_in(self.full_in(photo)))
        x = self.half_out(_twice(x))
        x = self.full_out(_twice(x))
        return torch.tanh(self.head(x))


class InvertedResidual(nn.Module):
    """Widen twofold, filter each channel by itself, narrow; add the input where it fits."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        wide = 2 * inputs
        self.inside = nn.Sequential(
            OrderedDict(
                widen=_conv(inputs, wide, 1),
                filter=_conv(wide, wide, groups=wide),
                narrow=nn.Conv2d(wide, outputs, 1, bias=False),
                norm=nn.GroupNorm(1, outputs),
            )
        )
        self.residual = inputs == outputs

    def forward(self, x: Tensor) -> Tensor:
        """Turn N,inputs,H,W into N,outputs,H,W."""
        return x + self.inside(x) if self.residual else self.inside(x)


def _conv(
    inputs: int, outputs: int, kernel: int = 3, stride: int = 1, groups: int = 1
) -> nn.Sequential:
    # An even picture halves exactly if only its right and bottom border are mirrored.
    near = (kernel - stride + 1) // 2 if stride > 1 else kernel // 2
    pad = (0, near, 0, near) if stride > 1 else (near,) * 4
    return nn.Sequential(
        nn.ReflectionPad2d(pad),
        nn.Conv2d(inputs, outputs, kernel, stride, groups=groups, bias=groups > 1),
        nn.GroupNorm(1, outputs),
        nn.LeakyReLU(0.2),
    )


def _twice(x: Tensor) -> Tensor:
    return interpolate(x, scale_factor=2.0, mode="bilinear", align_corners=False)
