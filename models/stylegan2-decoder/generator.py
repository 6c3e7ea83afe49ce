"""The synthesis network of StyleGAN2: a style code scales the weights of every convolution.

T. Karras, S. Laine, M. Aittala, J. Hellsten, J. Lehtinen, T. Aila, "Analyzing and Improving the
Image Quality of StyleGAN" (CVPR 2020), section 2.2 and figure 2 (d), with the skip generator of
section 4.1. The modulation and demodulation of a convolution's weights, equations 1 and 3:

    w'[o,i,k] = s[i] w[o,i,k],    w''[o,i,k] = w'[o,i,k] / sqrt(sum over i,k of w'[o,i,k]^2 + eps)

The noise that the paper draws for every picture is fixed here, one map per layer, so that the net
is a function of the style code alone. Pictures and features are doubled by zeros between their
pixels and a [1,3,3,1] filter in both directions; beyond the border there are zeros. Weights of
linear layers are scaled as they are used (Karras et al., "Progressive Growing of GANs", ICLR
2018, section 4.1).

Its weights have the names that they have in the checkpoints of stylegan2-pytorch (`550000.pt`: its
`g_ema`, and what its convert_weight.py makes), so these load.
"""

from itertools import pairwise
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import conv2d, conv_transpose2d, leaky_relu, linear

EPSILON = 1e-8
MAPPING_RATE = 0.01
"""Learning rate of the mapping network, as a share of that of the other layers."""


class Decoder(nn.Module):
    """Style code 1,style to picture 1,3,S,S in about -1..1.

    `widths` are the channels at 4x4, 8x8, 16x16, ...; S is 4 times 2 to the number of doublings.
    The code is of the space W if `takes` is "w". If it is "z", the code is normal noise, of which
    the first `mapping` layers make a code of W.
    """

    def __init__(
        self, widths: list[int], style: int = 512, mapping: int = 0, takes: str = "w"
    ) -> None:
        super().__init__()
        self.style = nn.Sequential(PixelNorm(), *(MappingLayer(style) for _ in range(mapping)))
        self.input = Constant(widths[0])
        self.conv1 = Layer(widths[0], widths[0], style)
        self.to_rgb1 = ToPicture(widths[0], style)
        self.convs, self.to_rgbs = nn.ModuleList(), nn.ModuleList()
        for wide, narrow in pairwise(widths):
            self.convs.append(Layer(wide, narrow, style, double=True))
            self.convs.append(Layer(narrow, narrow, style))
            self.to_rgbs.append(ToPicture(narrow, style, double=True))
        self.noises = nn.Module()
        for number in range(2 * len(widths) - 1):
            side = 4 * 2 ** ((number + 1) // 2)
            self.noises.register_buffer(f"noise_{number}", torch.randn(1, 1, side, side))
        self.takes = takes

    def forward(self, style: Tensor) -> Tensor:
        """Paint the picture of a style code."""
        if self.takes == "z":
            style = self.style(style)
        style = style * style.shape[1] ** -0.5
        x = self.conv1(self.input.input, style, self.noises.noise_0)
        picture = self.to_rgb1(x, style)
        for number, layer in enumerate(self.convs):
            x = layer(x, style, getattr(self.noises, f"noise_{number + 1}"))
            if number % 2:
                picture = self.to_rgbs[number // 2](x, style, picture)
        return picture


class Layer(nn.Module):
    """Modulated 3x3 convolution, which may double its input, noise, bias, leaky rectifier."""

    def __init__(self, inputs: int, outputs: int, style: int, double: bool = False) -> None:
        super().__init__()
        self.conv = Modulated(inputs, outputs, 3, style)
        if double:
            self.conv.blur = Filter()
        self.noise = Weights(weight=torch.full((1,), 0.1))
        self.activate = Weights(bias=torch.zeros(outputs))

    def forward(self, x: Tensor, style: Tensor, noise: Tensor) -> Tensor:
        """Turn 1,inputs,H,W and a style 1,S into 1,outputs,H,W, or into 1,outputs,2H,2W."""
        weight = self.conv.modulated(style, demodulate=True)
        if hasattr(self.conv, "blur"):
            x = conv_transpose2d(x, weight.transpose(0, 1), stride=2)
            x = conv2d(x, self.conv.blur.of(x.shape[1]), padding=1, groups=x.shape[1])
        else:
            x = conv2d(x, weight, padding=1)
        x = x + self.noise.weight * noise + self.activate.bias[:, None, None]
        return leaky_relu(x, 0.2) * 2**0.5


class ToPicture(nn.Module):
    """The share of a layer in the picture, added to the smaller picture made double."""

    def __init__(self, inputs: int, style: int, double: bool = False) -> None:
        super().__init__()
        self.conv = Modulated(inputs, 3, 1, style)
        self.bias = nn.Parameter(torch.zeros(1, 3, 1, 1))
        if double:
            self.upsample = Filter()

    def forward(self, x: Tensor, style: Tensor, smaller: Tensor | None = None) -> Tensor:
        """Turn 1,inputs,H,W, a style 1,S and a picture 1,3,H/2,W/2 into a picture 1,3,H,W."""
        picture = conv2d(x, self.conv.modulated(style, demodulate=False)) + self.bias
        if smaller is None:
            return picture
        return picture + conv_transpose2d(
            smaller, self.upsample.of(3), stride=2, padding=1, groups=3
        )


class Modulated(nn.Module):
    """The weights of a convolution whose input channels are scaled by a style."""

    def __init__(self, inputs: int, outputs: int, kernel: int, style: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(1, outputs, inputs, kernel, kernel))
        self.modulation = Weights(weight=torch.randn(inputs, style), bias=torch.ones(inputs))
        self.gain = (inputs * kernel * kernel) ** -0.5

    def modulated(self, style: Tensor, *, demodulate: bool) -> Tensor:
        """Return the weights outputs,inputs,k,k for a style 1,S that was scaled by 1/sqrt(S)."""
        scale = linear(style, self.modulation.weight, self.modulation.bias)
        weight = self.gain * self.weight[0] * scale[:, :, None, None]
        if not demodulate:
            return weight
        return weight * torch.rsqrt(weight.square().sum((1, 2, 3), keepdim=True) + EPSILON)


class Filter(nn.Module):
    """The [1,3,3,1] filter in both directions; its entries add up to 4."""

    def __init__(self) -> None:
        super().__init__()
        line = torch.tensor([1.0, 3.0, 3.0, 1.0])
        self.register_buffer("kernel", torch.outer(line, line) / 16)

    def of(self, channels: int) -> Tensor:
        """Return the filter for every channel by itself, channels,1,4,4."""
        return self.kernel.expand(channels, 1, 4, 4)


class MappingLayer(nn.Module):
    """A linear layer and a leaky rectifier, whose weights are stored larger than they are used."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(width, width) / MAPPING_RATE)
        self.bias = nn.Parameter(torch.zeros(width))
        self.gain = MAPPING_RATE * width**-0.5

    def forward(self, x: Tensor) -> Tensor:
        """Keep shape 1,S."""
        x = linear(x * self.gain, self.weight, self.bias * MAPPING_RATE)
        return leaky_relu(x, 0.2) * 2**0.5


class PixelNorm(nn.Module):
    """Scale a code so that the mean of its squares is 1."""

    def forward(self, x: Tensor) -> Tensor:
        """Keep shape 1,S."""
        return x * torch.rsqrt(x.square().mean(1, keepdim=True) + EPSILON)


class Constant(nn.Module):
    """What the first layer sees, whatever the style."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.input = nn.Parameter(torch.randn(1, channels, 4, 4))


class Weights(nn.Module):
    """Weights that another module uses."""

    def __init__(self, **weights: Tensor) -> None:
        super().__init__()
        for name, value in weights.items():
            self.register_parameter(name, nn.Parameter(value))


def read_sizes(
    shapes: dict[str, tuple[int, ...]],
) -> tuple[dict[str, Any], dict[str, list[int | None]]]:
    """Read off the shapes of weights what `Decoder` is called with, and the shape of its input."""
    _, style = shapes["conv1.conv.modulation.weight"]
    widths = [shapes["input.input"][1]]
    while (name := f"convs.{2 * (len(widths) - 1)}.conv.weight") in shapes:
        widths.append(shapes[name][1])
    mapping = 0
    while f"style.{mapping + 1}.weight" in shapes:
        mapping += 1
    return {"widths": widths, "style": style, "mapping": mapping}, {"style": [None, style]}
