"""A residual encoder and decoder with self-attention where the picture is smallest.

The attention block is that of H. Zhang, I. Goodfellow, D. Metaxas, A. Odena, "Self-Attention
Generative Adversarial Networks" (ICML 2019), section 3: every place looks at every other one,

    o = W_o (h(x) softmax(f(x)^T g(x))),    y = x + gamma o

with f and g an eighth and h half as wide as x. Around it, the residual blocks of CycleGAN
(Zhu et al., ICCV 2017) at an eighth of the resolution.
"""

import torch
from torch import Tensor, nn


class AttentionResNet(nn.Module):
    """N,3,H,W to N,3,H,W, both -1..1; H and W multiples of 8.

    `attend_after` blocks of `blocks` come before the attention, the others after it.
    """

    def __init__(self, width: int = 32, blocks: int = 6, attend_after: int = 3) -> None:
        super().__init__()
        w = width
        trunk: list[nn.Module] = [Residual(8 * w) for _ in range(blocks)]
        trunk.insert(attend_after, Attention(8 * w))
        self.layers = nn.Sequential(
            *_conv(3, w, 7),
            *_conv(w, 2 * w, stride=2),
            *_conv(2 * w, 4 * w, stride=2),
            *_conv(4 * w, 8 * w, stride=2),
            *trunk,
            *_up(8 * w, 4 * w),
            *_up(4 * w, 2 * w),
            *_up(2 * w, w),
            nn.Conv2d(w, 3, 7, padding=3),
            nn.Tanh(),
        )

    def forward(self, image: Tensor) -> Tensor:
        """Translate N,3,H,W; N,3,H,W."""
        return self.layers(image)


class Attention(nn.Module):
    """Self-attention over all places of a map."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.f = nn.Conv2d(channels, channels // 8, 1)
        self.g = nn.Conv2d(channels, channels // 8, 1)
        self.h = nn.Conv2d(channels, channels // 2, 1)
        self.out = nn.Conv2d(channels // 2, channels, 1)
        # The paper starts at 0, where nothing of the block is trained in the first step.
        self.gamma = nn.Parameter(torch.tensor(0.1))

    def forward(self, x: Tensor) -> Tensor:
        """Keep shape N,C,H,W."""
        f, g, h = (part(x).flatten(2) for part in (self.f, self.g, self.h))
        looks = torch.softmax(f.transpose(1, 2) @ g, dim=1)  # column j: what place j looks at
        seen = (h @ looks).unflatten(2, x.shape[2:])
        return x + self.gamma * self.out(seen)


class Residual(nn.Module):
    """Two 3x3 convolutions around an identity."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.inside = nn.Sequential(
            *_conv(channels, channels),
            nn.Conv2d(channels, channels, 3, padding=1, bias=False),
            nn.InstanceNorm2d(channels, affine=True),
        )

    def forward(self, x: Tensor) -> Tensor:
        """Keep shape N,C,H,W."""
        return x + self.inside(x)


def _conv(inputs: int, outputs: int, kernel: int = 3, stride: int = 1) -> tuple[nn.Module, ...]:
    convolution = nn.Conv2d(inputs, outputs, kernel, stride, kernel // 2, bias=False)
    return convolution, nn.InstanceNorm2d(outputs, affine=True), nn.ReLU()


def _up(inputs: int, outputs: int) -> tuple[nn.Module, ...]:
    return nn.Upsample(scale_factor=2), *_conv(inputs, outputs)
