"""CycleGAN's generator with separable convolutions in its residual blocks.

M. Li, J. Lin, Y. Ding, Z. Liu, J. Zhu, S. Han, "GAN Compression: Efficient Architectures for
Interactive Conditional GANs" (CVPR 2020), section 3.2: the blocks, and only they, are decomposed
into a depthwise 3x3 and a pointwise convolution, with a norm between the two. Their student for
CycleGAN and pix2pix; the supernet is this one at its full width.
"""

from torch import Tensor, nn


class MobileResNet(nn.Module):
    """N,3,H,W to N,3,H,W, both -1..1; H and W multiples of 4."""

    def __init__(self, width: int = 64, blocks: int = 9) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.ReflectionPad2d(3),
            *_normed(nn.Conv2d(3, width, 7)),
            *_normed(nn.Conv2d(width, 2 * width, 3, 2, 1)),
            *_normed(nn.Conv2d(2 * width, 4 * width, 3, 2, 1)),
            *(SeparableResidual(4 * width) for _ in range(blocks)),
            *_normed(nn.ConvTranspose2d(4 * width, 2 * width, 3, 2, 1, output_padding=1)),
            *_normed(nn.ConvTranspose2d(2 * width, width, 3, 2, 1, output_padding=1)),
            nn.ReflectionPad2d(3),
            nn.Conv2d(width, 3, 7),
            nn.Tanh(),
        )

    def forward(self, image: Tensor) -> Tensor:
        """Translate N,3,H,W; N,3,H,W."""
        return self.layers(image)


class SeparableResidual(nn.Module):
    """Two separable 3x3 convolutions around an identity."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.inside = nn.Sequential(
            *_separable(channels), nn.InstanceNorm2d(channels), nn.ReLU(),
            *_separable(channels), nn.InstanceNorm2d(channels),
        )  # fmt: skip

    def forward(self, x: Tensor) -> Tensor:
        """Keep shape N,C,H,W."""
        return x + self.inside(x)


def _separable(channels: int) -> tuple[nn.Module, ...]:
    return (
        nn.ReflectionPad2d(1),
        nn.Conv2d(channels, channels, 3, groups=channels),
        nn.InstanceNorm2d(channels),
        nn.Conv2d(channels, channels, 1),
    )


def _normed(convolution: nn.Conv2d | nn.ConvTranspose2d) -> tuple[nn.Module, ...]:
    return convolution, nn.InstanceNorm2d(convolution.out_channels), nn.ReLU()
