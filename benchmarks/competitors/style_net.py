"""The style transfer net of udnie.onnx as an engineer would write it in PyTorch.

J. Johnson et al., "Perceptual Losses for Real-Time Style Transfer" (ECCV 2016), with instance
normalisation, 9x9 layers at both ends and a residual trunk at a quarter of the resolution. The
modules have the names of the ONNX file's initializers, so weights are copied by name.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional

from decig.training.ops.normalisation import instance_norm

TRUNK = 128
_BLOCKS = 5


class InstanceNorm(nn.InstanceNorm2d):
    """With the right gradient for a batch of one: see `decig.training.ops.normalisation`."""

    def forward(self, x: Tensor) -> Tensor:
        """N,C,H,W to the same."""
        return instance_norm(x, self.weight, self.bias, self.eps)


class Down(nn.Module):
    """Convolution and instance normalisation; strided ones pad at the far sides only."""

    def __init__(self, inputs: int, outputs: int, kernel: int, stride: int = 1) -> None:
        super().__init__()
        self.far = stride - 1
        around = kernel // 2 if stride == 1 else 0
        self.conv = nn.Conv2d(inputs, outputs, kernel, stride, around, bias=False)
        self.norm = InstanceNorm(outputs, eps=1e-3, affine=True)

    def forward(self, x: Tensor) -> Tensor:
        """N,inputs,H,W to N,outputs,H/stride,W/stride."""
        if self.far:
            x = functional.pad(x, (0, self.far, 0, self.far))
        return self.norm(self.conv(x))


class Up(nn.Module):
    """Transposed convolution of stride 2, its last row and column cut, and normalisation."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.conv = nn.ConvTranspose2d(inputs, outputs, 3, 2, bias=False)
        self.norm = InstanceNorm(outputs, eps=1e-3, affine=True)

    def forward(self, x: Tensor) -> Tensor:
        """N,inputs,H,W to N,outputs,2H,2W."""
        return self.norm(self.conv(x)[:, :, :-1, :-1])


class Block(nn.Module):
    """Residual block, no activation after the sum."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.a = Down(channels, channels, 3)
        self.b = Down(channels, channels, 3)

    def forward(self, x: Tensor) -> Tensor:
        """N,channels,H,W to the same."""
        return x + self.b(functional.relu(self.a(x)))


class StyleNet(nn.Module):
    """Images N,3,H,W of 0..255 to pictures of the same range; H and W multiples of 4."""

    def __init__(self, trunk: int = TRUNK) -> None:
        """Make the net with `trunk` channels at quarter resolution, see `widths`."""
        super().__init__()
        stem, middle, trunk = widths(trunk)
        self.c1 = Down(3, stem, 9)
        self.c2 = Down(stem, middle, 3, stride=2)
        self.c3 = Down(middle, trunk, 3, stride=2)
        self.res = nn.Sequential(*(Block(trunk) for _ in range(_BLOCKS)))
        self.t1 = Up(trunk, middle)
        self.t2 = Up(middle, stem)
        self.out = Down(stem, 3, 9)

    def forward(self, x: Tensor) -> Tensor:
        """Paint a batch."""
        x = functional.relu(self.c1(x))
        x = functional.relu(self.c2(x))
        x = self.res(functional.relu(self.c3(x)))
        x = functional.relu(self.t1(x))
        x = functional.relu(self.t2(x))
        return (torch.tanh(self.out(x)) * 150 + 127.5).clamp(0, 255)


def widths(trunk: int) -> tuple[int, int, int]:
    """Channels at full, half and quarter resolution of the net with `trunk` of 128 channels."""
    return max(1, trunk // 4), max(1, trunk // 2), trunk
