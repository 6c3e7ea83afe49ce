"""Building blocks that a style code or a label map steers; `generator_blocks` names them all."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

STYLE = 8
"""Numbers of a style code."""


class Spade(nn.Module):
    """A label map sets scale and shift of every pixel (Park et al., CVPR 2019)."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(width, width, 3, padding=1)
        self.norm = nn.InstanceNorm2d(width)
        self.shared = nn.Conv2d(4, width, 3, padding=1)
        self.gamma = nn.Conv2d(width, width, 3, padding=1)
        self.beta = nn.Conv2d(width, width, 3, padding=1)

    def forward(self, x: Tensor, labels: Tensor) -> Tensor:
        """Keep the shape."""
        labels = F.interpolate(labels, size=x.shape[2:], mode="nearest")
        hidden = F.relu(self.shared(labels))
        normed = self.norm(self.conv(x))
        return x + F.leaky_relu(normed * (1 + self.gamma(hidden)) + self.beta(hidden), 0.2)


class AdaIn(nn.Module):
    """A style code sets scale and shift of every channel (Huang and Belongie, ICCV 2017)."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(width, width, 3, padding=1)
        self.norm = nn.InstanceNorm2d(width)
        self.style = nn.Linear(STYLE, 2 * width)

    def forward(self, x: Tensor, style: Tensor) -> Tensor:
        """Keep the shape."""
        made = self.style(style)
        gamma, beta = made.view(made.shape[0], made.shape[1], 1, 1).chunk(2, 1)
        return x + F.relu((1 + gamma) * self.norm(self.conv(x)) + beta)


class ModulatedConv(nn.Module):
    """StyleGAN2's convolution: its weights are computed from the style, sample by sample.

    Karras et al., "Analyzing and Improving the Image Quality of StyleGAN" (CVPR 2020), equations
    1 and 3; the samples become groups of one convolution.
    """

    def __init__(self, width: int, *, upsample: bool = False) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(1, width, width, 3, 3))
        self.bias = nn.Parameter(torch.randn(width) * 0.1)
        self.style = nn.Linear(STYLE, width)
        self.gain = (9 * width) ** -0.5
        self.upsample = upsample

    def forward(self, x: Tensor, style: Tensor) -> Tensor:
        """Keep the shape, or double height and width."""
        batch, inputs, height, side = x.shape
        scale = self.style(style).view(batch, 1, inputs, 1, 1) + 1
        weight = self.gain * self.weight * scale
        weight = weight * torch.rsqrt(weight.pow(2).sum([2, 3, 4], keepdim=True) + 1e-8)
        x = x.reshape(1, batch * inputs, height, side)
        if self.upsample:
            weight = weight.transpose(1, 2).reshape(batch * inputs, -1, 3, 3)
            x = F.conv_transpose2d(x, weight, stride=2, padding=1, groups=batch)
        else:
            x = F.conv2d(x, weight.reshape(-1, inputs, 3, 3), padding=1, groups=batch)
        x = x.reshape(batch, -1, *x.shape[2:])
        return F.leaky_relu(x + self.bias.view(1, -1, 1, 1), 0.2)


class ModulatedActivations(nn.Module):
    """The same, with the style on the picture and the demodulation behind the convolution."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(width, width, 3, 3) * (9 * width) ** -0.5)
        self.style = nn.Linear(STYLE, width)

    def forward(self, x: Tensor, style: Tensor) -> Tensor:
        """Keep the shape."""
        scale = self.style(style) + 1
        weight = self.weight.unsqueeze(0) * scale.reshape(x.shape[0], 1, -1, 1, 1)
        demodulation = (weight.square().sum([2, 3, 4]) + 1e-8).rsqrt()
        x = F.conv2d(x * scale[:, :, None, None], self.weight, padding=1)
        return F.leaky_relu(x * demodulation[:, :, None, None], 0.2)


class AdaLin(nn.Module):
    """Instance and layer norm in a learned mix, scaled by a code (U-GAT-IT; ICLR 2020)."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(width, width, 3, padding=1)
        self.rho = nn.Parameter(torch.rand(1, width, 1, 1))
        self.code = nn.Linear(width, width)
        self.gamma = nn.Linear(width, width)
        self.beta = nn.Linear(width, width)

    def forward(self, x: Tensor) -> Tensor:
        """Keep the shape."""
        code = F.relu(self.code(F.adaptive_avg_pool2d(x, 1).flatten(1)))
        gamma, beta = (f(code)[:, :, None, None] for f in (self.gamma, self.beta))
        y = self.conv(x)
        by_channel = (y - y.mean([2, 3], True)) * torch.rsqrt(y.var([2, 3], keepdim=True) + 1e-5)
        deviation = y.var([1, 2, 3], keepdim=True)
        by_sample = (y - y.mean([1, 2, 3], True)) * torch.rsqrt(deviation + 1e-5)
        y = self.rho * by_channel + (1 - self.rho) * by_sample
        return x + F.relu(gamma * y + beta)
