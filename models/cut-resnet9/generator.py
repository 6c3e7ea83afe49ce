"""The generator of CUT and FastCUT: CycleGAN's, with filters against aliasing.

T. Park, A. Efros, R. Zhang, J. Zhu, "Contrastive Learning for Unpaired Image-to-Image
Translation" (ECCV 2020), appendix C.1: where CycleGAN's generator halves, this one convolves at
full size, blurs and takes every other pixel; where that one doubles by transposed convolutions,
this one doubles by a blur and then convolves (R. Zhang, "Making Convolutional Networks
Shift-Invariant Again", ICML 2019).

Its weights, and the blurs, have the names that they have in the authors' checkpoints
(`latest_net_G.pth`), so these load.
"""

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import conv2d, conv_transpose2d, pad


class CutResNet(nn.Module):
    """N,inputs,H,W to N,outputs,H,W, both -1..1; H and W multiples of 4.

    `blur_down` and `blur_up` say whether halving and doubling blur; without them they are
    CycleGAN's.
    """

    def __init__(
        self,
        width: int = 64,
        blocks: int = 9,
        inputs: int = 3,
        outputs: int = 3,
        blur_down: bool = True,
        blur_up: bool = True,
    ) -> None:
        super().__init__()
        self.model = nn.Sequential(
            nn.ReflectionPad2d(3),
            *_normed(nn.Conv2d(inputs, width, 7)),
            *_halve(width, 2 * width, blur_down),
            *_halve(2 * width, 4 * width, blur_down),
            *(Residual(4 * width) for _ in range(blocks)),
            *_double(4 * width, 2 * width, blur_up),
            *_double(2 * width, width, blur_up),
            nn.ReflectionPad2d(3),
            nn.Conv2d(width, outputs, 7),
            nn.Tanh(),
        )

    def forward(self, image: Tensor) -> Tensor:
        """Translate N,inputs,H,W; N,outputs,H,W."""
        return self.model(image)


class Residual(nn.Module):
    """Two 3x3 convolutions around an identity, with mirrored borders."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv_block = nn.Sequential(
            nn.ReflectionPad2d(1),
            *_normed(nn.Conv2d(channels, channels, 3)),
            nn.ReflectionPad2d(1),
            nn.Conv2d(channels, channels, 3),
            nn.InstanceNorm2d(channels),
        )

    def forward(self, x: Tensor) -> Tensor:
        """Keep shape N,C,H,W."""
        return x + self.conv_block(x)


class BlurDown(nn.Module):
    """Halve a map: blur with [1, 2, 1] in both directions, and take every other pixel."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.register_buffer("filt", _filters([1.0, 2.0, 1.0], 1.0, channels))

    def forward(self, x: Tensor) -> Tensor:
        """Turn N,C,H,W into N,C,H/2,W/2."""
        mirrored = pad(x, (1, 1, 1, 1), mode="reflect")
        return conv2d(mirrored, self.filt, stride=2, groups=x.shape[1])


class BlurUp(nn.Module):
    """Double a map: zeros between its pixels, blurred with [1, 3, 3, 1] in both directions."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.register_buffer("filt", _filters([1.0, 3.0, 3.0, 1.0], 4.0, channels))

    def forward(self, x: Tensor) -> Tensor:
        """Turn N,C,H,W into N,C,2H,2W."""
        repeated = pad(x, (1, 1, 1, 1), mode="replicate")
        return conv_transpose2d(repeated, self.filt, stride=2, padding=3, groups=x.shape[1])


def _filters(line: list[float], gain: float, channels: int) -> Tensor:
    """The same square filter for every channel; its entries add up to `gain`."""
    weights = torch.outer(torch.tensor(line), torch.tensor(line))
    return (weights * (gain / weights.sum())).repeat(channels, 1, 1, 1)


def _halve(inputs: int, outputs: int, blur: bool) -> tuple[nn.Module, ...]:
    if blur:
        return (*_normed(nn.Conv2d(inputs, outputs, 3, padding=1)), BlurDown(outputs))
    return _normed(nn.Conv2d(inputs, outputs, 3, 2, 1))


def _double(inputs: int, outputs: int, blur: bool) -> tuple[nn.Module, ...]:
    if blur:
        return BlurUp(inputs), *_normed(nn.Conv2d(inputs, outputs, 3, padding=1))
    return _normed(nn.ConvTranspose2d(inputs, outputs, 3, 2, 1, output_padding=1))


def _normed(convolution: nn.Conv2d | nn.ConvTranspose2d) -> tuple[nn.Module, ...]:
    return convolution, nn.InstanceNorm2d(convolution.out_channels), nn.ReLU()


def read_sizes(
    shapes: dict[str, tuple[int, ...]],
) -> tuple[dict[str, Any], dict[str, list[int | None]]]:
    """Read off the weights' shapes what `CutResNet` is called with, and its input's shape."""
    width, inputs, _, _ = shapes["model.1.weight"]
    blur_down = "model.7.filt" in shapes
    first = up = 12 if blur_down else 10
    while f"model.{up}.conv_block.1.weight" in shapes:
        up += 1
    blur_up = f"model.{up}.filt" in shapes
    outputs, _, _, _ = shapes[f"model.{up + (9 if blur_up else 7)}.weight"]
    arguments = {
        "width": width,
        "blocks": up - first,
        "inputs": inputs,
        "outputs": outputs,
        "blur_down": blur_down,
        "blur_up": blur_up,
    }
    return arguments, {"input": [None, inputs, None, None]}
