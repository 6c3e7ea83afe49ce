"""The ResUNet of this recipe: a U-Net whose levels are residual blocks.

After the ResUNet generator of N. A. Shah and G. Bharaj, "Towards Device Efficient Conditional
Image Generation" (BMVC 2022), made small: four halvings, skips by concatenation, affine
InstanceNorm. The way up is a nearest-neighbour resize and a convolution, which cannot leave the
checkerboard of a transposed convolution (Odena et al., "Deconvolution and Checkerboard
Artifacts", Distill 2016).
"""

import torch
from torch import Tensor, nn


def _conv(inputs: int, outputs: int, stride: int = 1) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(inputs, outputs, 3, stride, padding=1, bias=False),
        nn.InstanceNorm2d(outputs, affine=True),
        nn.ReLU(),
    )


class _Residual(nn.Module):
    """Two 3x3 convolutions around an identity."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.inside = _conv(channels, channels)
        self.last = nn.Conv2d(channels, channels, 3, padding=1, bias=False)
        self.norm = nn.InstanceNorm2d(channels, affine=True)

    def forward(self, x: Tensor) -> Tensor:
        """Keep shape N,C,H,W."""
        return torch.relu(x + self.norm(self.last(self.inside(x))))


class ResUNet(nn.Module):
    """Label map to photo: N,3,H,W to N,3,H,W, both -1..1; H and W multiples of 16.

    `widths` are the channels at full, half, quarter, eighth and sixteenth resolution.
    """

    def __init__(self, widths: list[int], bottleneck_blocks: int) -> None:
        super().__init__()
        # No norm in the stem: a label map is flat colour, and a norm would wash that away.
        self.stem = nn.Sequential(nn.Conv2d(3, widths[0], 3, padding=1), nn.ReLU())
        self.down = nn.ModuleList()
        self.up = nn.ModuleList()
        for level, (wide, narrow) in enumerate(zip(widths[1:], widths, strict=False), start=1):
            blocks = bottleneck_blocks if level == len(widths) - 1 else 1
            residuals = [_Residual(wide) for _ in range(blocks)]
            self.down.append(nn.Sequential(_conv(narrow, wide, stride=2), *residuals))
            self.up.insert(0, _conv(wide + narrow, narrow))
        self.head = nn.Conv2d(widths[0], 3, 3, padding=1)

    def forward(self, labels: Tensor) -> Tensor:
        """Draw the photo of N,3,H,W labels; N,3,H,W."""
        x = self.stem(labels)
        skips = []
        for down in self.down:
            skips.append(x)
            x = down(x)
        for up in self.up:
            x = nn.functional.interpolate(x, scale_factor=2.0, mode="nearest")
            x = up(torch.cat([x, skips.pop()], dim=1))
        return torch.tanh(self.head(x))
