"""CycleGAN's generator with separable convolutions in its residual blocks.

M. Li, J. Lin, Y. Ding, Z. Liu, J. Zhu, S. Han, "GAN Compression: Efficient Architectures for
Interactive Conditional GANs" (CVPR 2020), section 3.2: the blocks, and only they, are decomposed
into a depthwise 3x3 and a pointwise convolution, with a norm between the two. Their student for
CycleGAN and pix2pix; the supernet is this one at its full width.

Its weights have the names that they have in the authors' checkpoints (`latest_net_G.pth`), so
these load: supernets, mobile nets, and the sub-networks of export.py, whose widths differ from
layer to layer.
"""

from typing import Any

from torch import Tensor, nn


class MobileResNet(nn.Module):
    """N,inputs,H,W to N,outputs,H,W, both -1..1; H and W multiples of 4.

    `widths` are the channels of the layers outside the blocks, in the order of the layers, and
    `middles` those between the two convolutions of each block; both follow from `width` and
    `blocks` where they are not given.
    """

    def __init__(
        self,
        width: int = 64,
        blocks: int = 9,
        inputs: int = 3,
        outputs: int = 3,
        widths: list[int] | None = None,
        middles: list[int] | None = None,
    ) -> None:
        super().__init__()
        widths = widths or [width, 2 * width, 4 * width, 2 * width, width]
        full, half, trunk, half_up, full_up = widths
        self.model = nn.Sequential(
            nn.ReflectionPad2d(3),
            *_normed(nn.Conv2d(inputs, full, 7)),
            *_normed(nn.Conv2d(full, half, 3, 2, 1)),
            *_normed(nn.Conv2d(half, trunk, 3, 2, 1)),
            *(SeparableResidual(trunk, middle) for middle in middles or [trunk] * blocks),
            *_normed(nn.ConvTranspose2d(trunk, half_up, 3, 2, 1, output_padding=1)),
            *_normed(nn.ConvTranspose2d(half_up, full_up, 3, 2, 1, output_padding=1)),
            nn.ReflectionPad2d(3),
            nn.Conv2d(full_up, outputs, 7),
            nn.Tanh(),
        )

    def forward(self, image: Tensor) -> Tensor:
        """Translate N,inputs,H,W; N,outputs,H,W."""
        return self.model(image)


class SeparableResidual(nn.Module):
    """Two separable 3x3 convolutions around an identity."""

    def __init__(self, channels: int, middle: int) -> None:
        super().__init__()
        # The authors' dropout drops nothing; it stands here for the names behind it.
        self.conv_block = nn.Sequential(
            nn.ReflectionPad2d(1), Separable(channels, middle), nn.InstanceNorm2d(middle),
            nn.ReLU(), nn.Identity(),
            nn.ReflectionPad2d(1), Separable(middle, channels), nn.InstanceNorm2d(channels),
        )  # fmt: skip

    def forward(self, x: Tensor) -> Tensor:
        """Keep shape N,C,H,W."""
        return x + self.conv_block(x)


class Separable(nn.Module):
    """Filter each channel by itself, then mix the channels."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.conv = nn.Sequential(
            nn.Conv2d(inputs, inputs, 3, groups=inputs),
            nn.InstanceNorm2d(inputs),
            nn.Conv2d(inputs, outputs, 1),
        )

    def forward(self, x: Tensor) -> Tensor:
        """Turn N,inputs,H+2,W+2 into N,outputs,H,W."""
        return self.conv(x)


def _normed(convolution: nn.Conv2d | nn.ConvTranspose2d) -> tuple[nn.Module, ...]:
    return convolution, nn.InstanceNorm2d(convolution.out_channels), nn.ReLU()


def read_sizes(
    shapes: dict[str, tuple[int, ...]],
) -> tuple[dict[str, Any], dict[str, list[int | None]]]:
    """Read off the weights' shapes what `MobileResNet` is called with, and its input's shape."""
    _, inputs, _, _ = shapes["model.1.weight"]
    middles = []
    while (name := f"model.{10 + len(middles)}.conv_block.1.conv.2.weight") in shapes:
        middles.append(shapes[name][0])
    up = 10 + len(middles)
    outputs, _, _, _ = shapes[f"model.{up + 7}.weight"]
    widths = [shapes[f"model.{place}.weight"][0] for place in (1, 4, 7)]
    widths += [shapes[f"model.{place}.weight"][1] for place in (up, up + 3)]
    arguments = {"inputs": inputs, "outputs": outputs, "widths": widths, "middles": middles}
    return arguments, {"input": [None, inputs, None, None]}
