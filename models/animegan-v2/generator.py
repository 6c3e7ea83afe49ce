"""The generator of AnimeGANv2: photos to cartoons by inverted residual blocks.

J. Chen, G. Liu, X. Chen, "AnimeGAN: A Novel Lightweight GAN for Photo Animation" (ISICA 2019),
section 3.1, in the authors' second version: the norms are over all channels of a picture
(GroupNorm of one group), the way up is a bilinear resize, the blocks are those of MobileNetV2
(Sandler et al., CVPR 2018).

Its weights have the names that they have in the checkpoints of animegan2-pytorch
(`face_paint_512_v2.pt`, `paprika.pt` and the like), so these load.
"""

from typing import Any

from torch import Tensor, nn
from torch.nn.functional import interpolate


class AnimeGan(nn.Module):
    """Photo N,3,H,W to cartoon N,3,H,W, both -1..1; H and W multiples of 4.

    `align_corners` says how the resizes place pixels: animegan2-pytorch's test.py sets it false,
    its entry in torch.hub true.
    """

    def __init__(self, width: int = 32, blocks: int = 4, align_corners: bool = False) -> None:
        super().__init__()
        w = width
        trunk = [InvertedResidual(4 * w, 8 * w)]
        trunk += [InvertedResidual(8 * w, 8 * w) for _ in range(blocks - 1)]
        self.block_a = nn.Sequential(_conv(3, w, 7), _conv(w, 2 * w, stride=2), _conv(2 * w, 2 * w))
        self.block_b = nn.Sequential(_conv(2 * w, 4 * w, stride=2), _conv(4 * w, 4 * w))
        self.block_c = nn.Sequential(_conv(4 * w, 4 * w), *trunk, _conv(8 * w, 4 * w))
        self.block_d = nn.Sequential(_conv(4 * w, 4 * w), _conv(4 * w, 4 * w))
        self.block_e = nn.Sequential(_conv(4 * w, 2 * w), _conv(2 * w, 2 * w), _conv(2 * w, w, 7))
        self.out_layer = nn.Sequential(nn.Conv2d(w, 3, 1, bias=False), nn.Tanh())
        self.align_corners = align_corners

    def forward(self, photo: Tensor) -> Tensor:
        """Draw N,3,H,W; N,3,H,W."""
        x = self.block_c(self.block_b(self.block_a(photo)))
        x = self.block_d(self._twice(x))
        return self.out_layer(self.block_e(self._twice(x)))

    def _twice(self, x: Tensor) -> Tensor:
        return interpolate(x, scale_factor=2.0, mode="bilinear", align_corners=self.align_corners)


class InvertedResidual(nn.Module):
    """Widen twofold, filter each channel by itself, narrow; add the input where it fits."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        wide = 2 * inputs
        self.layers = nn.Sequential(
            _conv(inputs, wide, 1),
            _conv(wide, wide, groups=wide),
            nn.Conv2d(wide, outputs, 1, bias=False),
            nn.GroupNorm(1, outputs),
        )
        self.residual = inputs == outputs

    def forward(self, x: Tensor) -> Tensor:
        """Turn N,inputs,H,W into N,outputs,H,W."""
        return x + self.layers(x) if self.residual else self.layers(x)


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


def read_sizes(
    shapes: dict[str, tuple[int, ...]],
) -> tuple[dict[str, Any], dict[str, list[int | None]]]:
    """Read off the shapes of weights what `AnimeGan` is called with; its input stays."""
    width, _, _, _ = shapes["block_a.0.1.weight"]
    blocks = 0
    while f"block_c.{1 + blocks}.layers.0.1.weight" in shapes:
        blocks += 1
    return {"width": width, "blocks": blocks}, {}
