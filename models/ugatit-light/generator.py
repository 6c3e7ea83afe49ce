"""U-GAT-IT, light: an attention map over channels, and AdaLIN, which mixes two norms.

J. Kim, M. Kim, H. Kang, K. Lee, "U-GAT-IT: Unsupervised Generative Attentional Networks with
Adaptive Layer-Instance Normalization for Image-to-Image Translation" (ICLR 2020), section 2.1:

    AdaLIN(x) = gamma (rho IN(x) + (1 - rho) LN(x)) + beta

with rho learnt for every channel, and gamma and beta made from the picture. The light version
makes them from the mean of every channel instead of the whole map (the authors' code).

Its weights have the names that they have in the checkpoints of UGATIT-pytorch
(`DATASET_params_latest.pt`: its `genA2B` and `genB2A`, light or not), so these load.
"""

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import group_norm, instance_norm

EPSILON = 1e-5
"""Added to every variance."""


class Ugatit(nn.Module):
    """N,3,H,W to N,3,H,W, both -1..1; H and W multiples of 4.

    `whole_side`, the authors' `--img_size`, is 0 for the light version; the other takes pictures
    of that height and width alone, in pixels.
    """

    def __init__(self, width: int = 64, blocks: int = 4, whole_side: int = 0) -> None:
        super().__init__()
        trunk = 4 * width
        seen = trunk * (whole_side // 4) ** 2 if whole_side else trunk
        self.DownBlock = nn.Sequential(
            *_down(3, width, 7, 1),
            *_down(width, 2 * width, 3, 2),
            *_down(2 * width, trunk, 3, 2),
            *(Residual(trunk) for _ in range(blocks)),
        )
        # Two classifiers of the domain. They are trained by a loss of their own; their logits
        # play no part in the picture, their weights weigh its channels.
        self.gap_fc = nn.Linear(trunk, 1, bias=False)
        self.gmp_fc = nn.Linear(trunk, 1, bias=False)
        self.conv1x1 = nn.Conv2d(2 * trunk, trunk, 1)
        self.FC = nn.Sequential(
            nn.Linear(seen, trunk, bias=False), nn.ReLU(),
            nn.Linear(trunk, trunk, bias=False), nn.ReLU(),
        )  # fmt: skip
        self.gamma = nn.Linear(trunk, trunk, bias=False)
        self.beta = nn.Linear(trunk, trunk, bias=False)
        for number in range(1, blocks + 1):
            self.add_module(f"UpBlock1_{number}", AdaptiveResidual(trunk))
        self.UpBlock2 = nn.Sequential(
            *_up(trunk, 2 * width),
            *_up(2 * width, width),
            nn.ReflectionPad2d(3),
            nn.Conv2d(width, 3, 7, bias=False),
            nn.Tanh(),
        )
        self.blocks, self.light = blocks, not whole_side

    def forward(self, image: Tensor) -> Tensor:
        """Translate N,3,H,W; N,3,H,W."""
        x = self._attend(self.DownBlock(image))
        style = self.FC(x.mean((2, 3)) if self.light else x.flatten(1))
        gamma, beta = (made(style)[:, :, None, None] for made in (self.gamma, self.beta))
        for number in range(1, self.blocks + 1):
            x = self.get_submodule(f"UpBlock1_{number}")(x, gamma, beta)
        return self.UpBlock2(x)

    def _attend(self, x: Tensor) -> Tensor:
        """CAM attention: weigh channels as the classifiers weigh their means and maxima."""
        by_mean, by_max = (part.weight[:, :, None, None] for part in (self.gap_fc, self.gmp_fc))
        return torch.relu(self.conv1x1(torch.cat([x * by_mean, x * by_max], dim=1)))


class LayerInstanceNorm(nn.Module):
    """rho IN(x) + (1 - rho) LN(x), with unbiased variances as in the authors' code.

    Of n values, the unbiased variance is n / (n - 1) times the biased one v that PyTorch's norms
    divide by, and

        1 / sqrt(n / (n - 1) v + eps)  =  s / sqrt(v + eps s^2),    s = sqrt((n - 1) / n)
    """

    def __init__(self, channels: int, rho: float) -> None:
        super().__init__()
        self.rho = nn.Parameter(torch.full((1, channels, 1, 1), rho))

    def forward(self, x: Tensor) -> Tensor:
        """Keep shape N,C,H,W."""
        _, channels, height, width = x.shape
        by_channel, all_of_them = (1 - 1 / n for n in (height * width, channels * height * width))
        instance = instance_norm(x, eps=EPSILON * by_channel) * by_channel**0.5
        layer = group_norm(x, 1, eps=EPSILON * all_of_them) * all_of_them**0.5
        return self.rho * instance + (1 - self.rho) * layer


class AffineLayerInstanceNorm(LayerInstanceNorm):
    """The same, with a scale and a shift of every channel."""

    def __init__(self, channels: int) -> None:
        super().__init__(channels, 0.0)
        self.gamma = nn.Parameter(torch.ones(1, channels, 1, 1))
        self.beta = nn.Parameter(torch.zeros(1, channels, 1, 1))

    def forward(self, x: Tensor) -> Tensor:
        """Keep shape N,C,H,W."""
        return self.gamma * super().forward(x) + self.beta


class Residual(nn.Module):
    """Two 3x3 convolutions around an identity."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        last = _conv(channels, channels)
        self.conv_block = nn.Sequential(
            *_down(channels, channels, 3, 1), *last, nn.InstanceNorm2d(channels)
        )

    def forward(self, x: Tensor) -> Tensor:
        """Keep shape N,C,H,W."""
        return x + self.conv_block(x)


class AdaptiveResidual(nn.Module):
    """Two 3x3 convolutions, each followed by AdaLIN, around an identity."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.pad, self.conv1 = _conv(channels, channels)
        self.norm1 = LayerInstanceNorm(channels, 0.9)
        _, self.conv2 = _conv(channels, channels)
        self.norm2 = LayerInstanceNorm(channels, 0.9)

    def forward(self, x: Tensor, gamma: Tensor, beta: Tensor) -> Tensor:
        """Keep shape N,C,H,W; gamma and beta are N,C,1,1."""
        inside = torch.relu(gamma * self.norm1(self.conv1(self.pad(x))) + beta)
        return x + gamma * self.norm2(self.conv2(self.pad(inside))) + beta


def _conv(inputs: int, outputs: int, kernel: int = 3, stride: int = 1) -> tuple[nn.Module, ...]:
    convolution = nn.Conv2d(inputs, outputs, kernel, stride, bias=False)
    return nn.ReflectionPad2d(kernel // 2), convolution


def _down(inputs: int, outputs: int, kernel: int, stride: int) -> tuple[nn.Module, ...]:
    return (*_conv(inputs, outputs, kernel, stride), nn.InstanceNorm2d(outputs), nn.ReLU())


def _up(inputs: int, outputs: int) -> tuple[nn.Module, ...]:
    norm = AffineLayerInstanceNorm(outputs)
    return nn.Upsample(scale_factor=2), *_conv(inputs, outputs), norm, nn.ReLU()


def read_sizes(
    shapes: dict[str, tuple[int, ...]],
) -> tuple[dict[str, Any], dict[str, list[int | None]]]:
    """Read off the shapes of weights what `Ugatit` is called with, and the shape of its input."""
    width, _, _, _ = shapes["DownBlock.1.weight"]
    trunk, seen = shapes["FC.0.weight"]
    side = 0 if seen == trunk else 4 * round((seen / trunk) ** 0.5)
    blocks = 0
    while f"UpBlock1_{blocks + 1}.conv1.weight" in shapes:
        blocks += 1
    inputs: dict[str, list[int | None]] = {"input": [None, 3, side, side]} if side else {}
    return {"width": width, "blocks": blocks, "whole_side": side}, inputs
