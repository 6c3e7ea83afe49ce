"""The large net of Real-ESRGAN, which is ESRGAN's: residual blocks of residual dense blocks.

X. Wang et al., "ESRGAN: Enhanced Super-Resolution Generative Adversarial Networks" (ECCV
workshops 2018), section 3.1 and figure 4, without norms and with residuals scaled by 0.2. For 2
times and 1 time, pixels are first rearranged into channels (X. Wang, L. Xie, C. Dong, Y. Shan,
"Real-ESRGAN: Training Real-World Blind Super-Resolution with Pure Synthetic Data", ICCV workshops
2021, section 3.4).

Its weights have the names that they have in the authors' checkpoints (`RealESRGAN_x4plus.pth`,
`RealESRGAN_x2plus.pth`, `RealESRGAN_x4plus_anime_6B.pth`), so these load.
"""

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import interpolate, leaky_relu, pixel_unshuffle

DENSE = 5
"""Convolutions in a dense block."""
SHARE = 0.2
"""Of what a block adds to its input."""


class Rrdb(nn.Module):
    """Picture N,channels,H,W to the same N,channels,scale*H,scale*W, both 0..1.

    `scale` is 4, 2 or 1; for 2 and 1, H and W are multiples of 4 / `scale`.
    """

    def __init__(
        self,
        width: int = 64,
        growth: int = 32,
        blocks: int = 23,
        scale: int = 4,
        channels: int = 3,
    ) -> None:
        super().__init__()
        self.tile = 4 // scale
        self.conv_first = _conv(channels * self.tile**2, width)
        self.body = nn.Sequential(*(ResidualInResidual(width, growth) for _ in range(blocks)))
        self.conv_body = _conv(width, width)
        self.conv_up1, self.conv_up2 = _conv(width, width), _conv(width, width)
        self.conv_hr, self.conv_last = _conv(width, width), _conv(width, channels)

    def forward(self, picture: Tensor) -> Tensor:
        """Enlarge N,channels,H,W; N,channels,scale*H,scale*W."""
        if self.tile > 1:
            picture = pixel_unshuffle(picture, self.tile)
        x = self.conv_first(picture)
        x = x + self.conv_body(self.body(x))
        for enlarged in (self.conv_up1, self.conv_up2):
            x = leaky_relu(enlarged(interpolate(x, scale_factor=2.0, mode="nearest")), 0.2)
        return self.conv_last(leaky_relu(self.conv_hr(x), 0.2))


class ResidualInResidual(nn.Module):
    """Three dense blocks around an identity."""

    def __init__(self, channels: int, growth: int) -> None:
        super().__init__()
        self.rdb1 = DenseBlock(channels, growth)
        self.rdb2 = DenseBlock(channels, growth)
        self.rdb3 = DenseBlock(channels, growth)

    def forward(self, x: Tensor) -> Tensor:
        """Keep shape N,C,H,W."""
        return x + SHARE * self.rdb3(self.rdb2(self.rdb1(x)))


class DenseBlock(nn.Module):
    """Convolutions of which each sees what all before it have made, around an identity."""

    def __init__(self, channels: int, growth: int) -> None:
        super().__init__()
        for number in range(1, DENSE + 1):
            outputs = channels if number == DENSE else growth
            self.add_module(f"conv{number}", _conv(channels + (number - 1) * growth, outputs))

    def forward(self, x: Tensor) -> Tensor:
        """Keep shape N,C,H,W."""
        made = [x]
        *inner, last = self.children()
        for convolution in inner:
            made.append(leaky_relu(convolution(torch.cat(made, dim=1)), 0.2))
        return x + SHARE * last(torch.cat(made, dim=1))


def _conv(inputs: int, outputs: int) -> nn.Conv2d:
    return nn.Conv2d(inputs, outputs, 3, padding=1)


def read_sizes(
    shapes: dict[str, tuple[int, ...]],
) -> tuple[dict[str, Any], dict[str, list[int | None]]]:
    """Read off the shapes of weights what `Rrdb` is called with, and the shape of its input."""
    width, unshuffled, _, _ = shapes["conv_first.weight"]
    growth, _, _, _ = shapes["body.0.rdb1.conv1.weight"]
    channels, _, _, _ = shapes["conv_last.weight"]
    blocks = 0
    while f"body.{blocks}.rdb1.conv1.weight" in shapes:
        blocks += 1
    arguments = {
        "width": width,
        "growth": growth,
        "blocks": blocks,
        "scale": 4 // round((unshuffled / channels) ** 0.5),
        "channels": channels,
    }
    return arguments, {"input": [None, channels, None, None]}
