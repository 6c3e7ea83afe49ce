"""The generator of CycleGAN: residual blocks at a quarter of the resolution.

J. Zhu, T. Park, P. Isola, A. Efros, "Unpaired Image-to-Image Translation using Cycle-Consistent
Adversarial Networks" (ICCV 2017), appendix 7.2, after Johnson et al. (ECCV 2016):
c7s1-64, d128, d256, R256 nine times, u128, u64, c7s1-3. InstanceNorm without weights.
"""

from torch import Tensor, nn


class ResNet(nn.Module):
    """N,3,H,W to N,3,H,W, both -1..1; H and W multiples of 4. 9 blocks are for 256x256."""

    def __init__(self, width: int = 64, blocks: int = 9) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.ReflectionPad2d(3),
            *_normed(nn.Conv2d(3, width, 7)),
            *_normed(nn.Conv2d(width, 2 * width, 3, 2, 1)),
            *_normed(nn.Conv2d(2 * width, 4 * width, 3, 2, 1)),
            *(Residual(4 * width) for _ in range(blocks)),
            *_normed(nn.ConvTranspose2d(4 * width, 2 * width, 3, 2, 1, output_padding=1)),
            *_normed(nn.ConvTranspose2d(2 * width, width, 3, 2, 1, output_padding=1)),
            nn.ReflectionPad2d(3),
            nn.Conv2d(width, 3, 7),
            nn.Tanh(),
        )

    def forward(self, image: Tensor) -> Tensor:
        """Translate N,3,H,W; N,3,H,W."""
        return self.layers(image)


class Residual(nn.Module):
    """Two 3x3 convolutions around an identity, with mirrored borders."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.inside = nn.Sequential(
            nn.ReflectionPad2d(1),
            *_normed(nn.Conv2d(channels, channels, 3)),
            nn.ReflectionPad2d(1),
            nn.Conv2d(channels, channels, 3),
            nn.InstanceNorm2d(channels),
        )

    def forward(self, x: Tensor) -> Tensor:
        """Keep shape N,C,H,W."""
        return x + self.inside(x)


def _normed(convolution: nn.Conv2d | nn.ConvTranspose2d) -> tuple[nn.Module, ...]:
    return convolution, nn.InstanceNorm2d(convolution.out_channels), nn.ReLU()
