"""The synthesis network of StyleGAN2: a style code scales the weights of every convolution.

T. Karras, S. Laine, M. Aittala, J. Hellsten, J. Lehtinen, T. Aila, "Analyzing and Improving the
Image Quality of StyleGAN" (CVPR 2020), section 2.2 and figure 2 (d), with the skip generator of
section 4.1. The modulation and demodulation of a convolution's weights, equations 1 and 3:

    w'[o,i,k] = s[i] w[o,i,k],    w''[o,i,k] = w'[o,i,k] / sqrt(sum over i,k of w'[o,i,k]^2 + eps)

The noise that the paper draws for every picture is fixed here, one map a layer, so that the net
is a function of the style code alone. The way up is a bilinear resize, which is the paper's
[1,3,3,1] filter.
"""

import torch
from torch import Tensor, nn
from torch.nn.functional import conv2d, interpolate, leaky_relu


class Modulated(nn.Module):
    """A convolution whose input channels are scaled by a style."""

    def __init__(self, inputs: int, outputs: int, kernel: int, style: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(outputs, inputs, kernel, kernel))
        self.affine = nn.Linear(style, inputs)
        nn.init.ones_(self.affine.bias)
        self.gain = (inputs * kernel * kernel) ** -0.5

    def forward(self, x: Tensor, style: Tensor, *, demodulate: bool = True) -> Tensor:
        """Turn 1,inputs,H,W and a style 1,S into 1,outputs,H,W."""
        weight = self.gain * self.weight * self.affine(style)[:, :, None, None]
        if demodulate:
            weight = weight * torch.rsqrt(weight.square().sum((1, 2, 3), keepdim=True) + 1e-8)
        return conv2d(x, weight, padding=weight.shape[-1] // 2)


class Layer(nn.Module):
    """Modulated convolution, noise, bias, leaky rectifier."""

    def __init__(self, inputs: int, outputs: int, side: int, style: int) -> None:
        super().__init__()
        self.convolution = Modulated(inputs, outputs, 3, style)
        self.register_buffer("noise", torch.randn(1, 1, side, side))
        self.strength = nn.Parameter(torch.tensor(0.1))
        self.bias = nn.Parameter(torch.zeros(1, outputs, 1, 1))

    def forward(self, x: Tensor, style: Tensor) -> Tensor:
        """Turn 1,inputs,H,W into 1,outputs,H,W."""
        x = self.convolution(x, style) + self.strength * self.noise + self.bias
        return leaky_relu(x, 0.2) * 2**0.5


class Decoder(nn.Module):
    """Style code 1,style (of the space W) to picture 1,3,S,S in about -1..1.

    `widths` are the channels at 4x4, 8x8, 16x16, ...; S is 4 times 2 to the number of doublings.
    """

    def __init__(self, widths: list[int], style: int = 512) -> None:
        super().__init__()
        self.constant = nn.Parameter(torch.randn(1, widths[0], 4, 4))
        self.first = Layer(widths[0], widths[0], 4, style)
        self.up, self.same, self.picture = nn.ModuleList(), nn.ModuleList(), nn.ModuleList()
        for level, (narrow, wide) in enumerate(zip(widths[1:], widths, strict=False), start=1):
            self.up.append(Layer(wide, narrow, 4 * 2**level, style))
            self.same.append(Layer(narrow, narrow, 4 * 2**level, style))
        for wide in widths:
            self.picture.append(Modulated(wide, 3, 1, style))
        self.colour = nn.ParameterList(torch.zeros(1, 3, 1, 1) for _ in widths)

    def forward(self, style: Tensor) -> Tensor:
        """Paint the picture of a style code."""
        x = self.first(self.constant, style)
        picture = self._picture(0, x, style)
        for level, (up, same) in enumerate(zip(self.up, self.same, strict=True), start=1):
            x = same(up(_twice(x), style), style)
            picture = _twice(picture) + self._picture(level, x, style)
        return picture

    def _picture(self, level: int, x: Tensor, style: Tensor) -> Tensor:
        return self.picture[level](x, style, demodulate=False) + self.colour[level]


def _twice(x: Tensor) -> Tensor:
    return interpolate(x, scale_factor=2.0, mode="bilinear", align_corners=False)
