"""U-GAT-IT, light: an attention map over channels, and AdaLIN, which mixes two norms.

J. Kim, M. Kim, H. Kang, K. Lee, "U-GAT-IT: Unsupervised Generative Attentional Networks with
Adaptive Layer-Instance Normalization for Image-to-Image Translation" (ICLR 2020), section 2.1:

    AdaLIN(x) = gamma (rho IN(x) + (1 - rho) LN(x)) + beta

with rho learnt for every channel, and gamma and beta made from the picture. The light version
makes them from the mean of every channel instead of the whole map (the authors' code).
"""

import torch
from torch import Tensor, nn
from torch.nn.functional import group_norm, instance_norm


class Ugatit(nn.Module):
    """N,3,H,W to N,3,H,W, both -1..1; H and W multiples of 4."""

    def __init__(self, width: int = 64, blocks: int = 4) -> None:
        super().__init__()
        trunk = 4 * width
        self.encoder = nn.Sequential(
            *_down(3, width, 7, 1),
            *_down(width, 2 * width, 3, 2),
            *_down(2 * width, trunk, 3, 2),
            *(Residual(trunk) for _ in range(blocks)),
        )
        self.attention = ClassAttention(trunk)
        self.style = nn.Sequential(
            nn.Linear(trunk, trunk, bias=False), nn.ReLU(),
            nn.Linear(trunk, trunk, bias=False), nn.ReLU(),
        )  # fmt: skip
        self.gamma = nn.Linear(trunk, trunk, bias=False)
        self.beta = nn.Linear(trunk, trunk, bias=False)
        self.decoder = nn.ModuleList(AdaptiveResidual(trunk) for _ in range(blocks))
        self.up = nn.Sequential(
            *_up(trunk, 2 * width),
            *_up(2 * width, width),
            nn.ReflectionPad2d(3),
            nn.Conv2d(width, 3, 7, bias=False),
            nn.Tanh(),
        )

    def forward(self, image: Tensor) -> Tensor:
        """Translate N,3,H,W; N,3,H,W."""
        x = self.attention(self.encoder(image))
        style = self.style(x.mean((2, 3)))
        gamma, beta = (made(style)[:, :, None, None] for made in (self.gamma, self.beta))
        for block in self.decoder:
            x = block(x, gamma, beta)
        return self.up(x)


class ClassAttention(nn.Module):
    """CAM attention: channels weighted as two classifiers of the domain weight them.

    The classifiers (one on the mean of every channel, one on its maximum) are trained by a loss
    of their own; their logits play no part in the picture.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.mean_weight = nn.Parameter(torch.randn(1, channels, 1, 1) / channels**0.5)
        self.max_weight = nn.Parameter(torch.randn(1, channels, 1, 1) / channels**0.5)
        self.join = nn.Sequential(nn.Conv2d(2 * channels, channels, 1), nn.ReLU())

    def forward(self, x: Tensor) -> Tensor:
        """Keep shape N,C,H,W."""
        return self.join(torch.cat([x * self.mean_weight, x * self.max_weight], dim=1))


class LayerInstanceNorm(nn.Module):
    """LIN: rho IN(x) + (1 - rho) LN(x)."""

    def __init__(self, channels: int, rho: float) -> None:
        super().__init__()
        self.rho = nn.Parameter(torch.full((1, channels, 1, 1), rho))

    def forward(self, x: Tensor) -> Tensor:
        """Keep shape N,C,H,W."""
        return self.rho * instance_norm(x) + (1 - self.rho) * group_norm(x, 1)


class Residual(nn.Module):
    """Two 3x3 convolutions around an identity."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        last = _conv(channels, channels)
        self.inside = nn.Sequential(
            *_down(channels, channels, 3, 1), *last, nn.InstanceNorm2d(channels)
        )

    def forward(self, x: Tensor) -> Tensor:
        """Keep shape N,C,H,W."""
        return x + self.inside(x)


class AdaptiveResidual(nn.Module):
    """Two 3x3 convolutions, each followed by AdaLIN, around an identity."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.convolutions = nn.ModuleList(
            nn.Sequential(*_conv(channels, channels)) for _ in range(2)
        )
        self.norms = nn.ModuleList(LayerInstanceNorm(channels, 0.9) for _ in range(2))

    def forward(self, x: Tensor, gamma: Tensor, beta: Tensor) -> Tensor:
        """Keep shape N,C,H,W; gamma and beta are N,C,1,1."""
        first, second = self.convolutions
        inside = torch.relu(gamma * self.norms[0](first(x)) + beta)
        return x + gamma * self.norms[1](second(inside)) + beta


class Affine(nn.Module):
    """Scale and shift of every channel."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.gamma = nn.Parameter(torch.ones(1, channels, 1, 1))
        self.beta = nn.Parameter(torch.zeros(1, channels, 1, 1))

    def forward(self, x: Tensor) -> Tensor:
        """Keep shape N,C,H,W."""
        return self.gamma * x + self.beta


def _conv(inputs: int, outputs: int, kernel: int = 3, stride: int = 1) -> tuple[nn.Module, ...]:
    convolution = nn.Conv2d(inputs, outputs, kernel, stride, bias=False)
    return nn.ReflectionPad2d(kernel // 2), convolution


def _down(inputs: int, outputs: int, kernel: int, stride: int) -> tuple[nn.Module, ...]:
    return (*_conv(inputs, outputs, kernel, stride), nn.InstanceNorm2d(outputs), nn.ReLU())


def _up(inputs: int, outputs: int) -> tuple[nn.Module, ...]:
    norm = LayerInstanceNorm(outputs, 0.0)
    return nn.Upsample(scale_factor=2), *_conv(inputs, outputs), norm, Affine(outputs), nn.ReLU()
