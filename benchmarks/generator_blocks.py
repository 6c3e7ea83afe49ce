"""The building blocks of image generators, each in a net of its own: a stem, the block, a head.

`BLOCKS` names them. Every net takes the width of its trunk, so that the net at half the width
tells what a tool that was asked for half the channels could have reached.
"""

import logging
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch
import torch.nn.functional as F
from style_blocks import STYLE, AdaIn, AdaLin, ModulatedActivations, ModulatedConv, Spade
from torch import Tensor, nn
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

SIDE = 16
WIDTH = 32


@dataclass(frozen=True)
class Block:
    """How to make a net, and what it takes.

    Attributes:
        make: gives the block at so many channels; it maps N,C,H,W (and the other inputs) to
            N,C,H',W'.
        extra: shapes of the inputs beside the picture, without the batch.
    """

    make: Callable[[int], nn.Module]
    extra: tuple[tuple[int, ...], ...] = ()

    def net(self, width: int = WIDTH) -> nn.Module:
        """Make the whole net in inference mode, with the same weights in every call."""
        torch.manual_seed(0)
        net = Net(self.make(width), width)
        for module in net.modules():
            _settle(module)
        return net.eval()

    def inputs(self, seed: int = 0) -> tuple[Tensor, ...]:
        """Random inputs, batch 1."""
        random = torch.Generator().manual_seed(seed)
        shapes = ((3, SIDE, SIDE), *self.extra)
        return tuple(torch.rand(1, *shape, generator=random) * 2 - 1 for shape in shapes)


class Net(nn.Module):
    """Stem, block, head."""

    def __init__(self, block: nn.Module, width: int) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, width, 3, padding=1)
        self.block = block
        self.head = nn.Conv2d(width, 3, 3, padding=1)

    def forward(self, image: Tensor, *extra: Tensor) -> Tensor:
        """N,3,H,W and the block's other inputs to N,3,H',W'."""
        return torch.tanh(self.head(self.block(F.relu(self.stem(image)), *extra)))


def _settle(module: nn.Module) -> None:
    """Give norms statistics and affine weights that differ by channel, as training does."""
    if isinstance(module, nn.modules.batchnorm._NormBase) and module.running_mean is not None:
        assert module.running_var is not None
        nn.init.normal_(module.running_mean, std=0.2)
        nn.init.uniform_(module.running_var, 0.5, 1.5)
    if isinstance(module, nn.modules.batchnorm._NormBase | nn.GroupNorm) and module.affine:
        nn.init.uniform_(module.weight, 0.5, 1.5)
        nn.init.normal_(module.bias, std=0.2)


class Residual(nn.Module):
    """Two convolutions with a norm each, around an identity."""

    def __init__(self, width: int, norm: Callable[[int], nn.Module]) -> None:
        super().__init__()
        self.inside = nn.Conv2d(width, width, 3, padding=1)
        self.inside_norm = norm(width)
        self.last = nn.Conv2d(width, width, 3, padding=1)
        self.last_norm = norm(width)

    def forward(self, x: Tensor) -> Tensor:
        """Keep the shape."""
        inside = F.relu(self.inside_norm(self.inside(x)))
        return x + self.last_norm(self.last(inside))


class UNet(nn.Module):
    """One halving and a skip by concatenation."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.down = nn.Conv2d(width, 2 * width, 4, 2, 1)
        self.up = nn.ConvTranspose2d(2 * width, width, 4, 2, 1)
        self.join = nn.Conv2d(2 * width, width, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        """Keep the shape."""
        up = F.relu(self.up(F.leaky_relu(self.down(x), 0.2)))
        return self.join(torch.cat([x, up], 1))


def transposed(width: int, groups: int) -> nn.Module:
    """Transposed convolution to twice the size and a 1x1 convolution."""
    up = nn.ConvTranspose2d(width, width, 4, 2, 1, groups=groups)
    return nn.Sequential(up, nn.ReLU(), nn.Conv2d(width, width, 1))


def grouped(width: int) -> nn.Module:
    """Grouped convolution between 1x1 convolutions."""
    return nn.Sequential(
        nn.Conv2d(width, width, 1),
        nn.ReLU(),
        nn.Conv2d(width, width, 3, padding=1, groups=4),
        nn.ReLU(),
        nn.Conv2d(width, width, 1),
    )


class InvertedResidual(nn.Module):
    """Expand, depthwise convolution, project, add: MobileNetV2's block with AnimeGAN's norms."""

    def __init__(self, width: int) -> None:
        super().__init__()
        wide = 2 * width
        self.expand = nn.Conv2d(width, wide, 1)
        self.depthwise = nn.Conv2d(wide, wide, 3, padding=1, groups=wide)
        self.norm = nn.InstanceNorm2d(wide, affine=True)
        self.project = nn.Conv2d(wide, width, 1)

    def forward(self, x: Tensor) -> Tensor:
        """Keep the shape."""
        wide = F.leaky_relu(self.expand(x), 0.2)
        return x + self.project(F.leaky_relu(self.norm(self.depthwise(wide)), 0.2))


def pixel_shuffle(width: int) -> nn.Module:
    """Sub-pixel convolution to twice the size."""
    return nn.Sequential(nn.Conv2d(width, 4 * width, 3, padding=1), nn.PixelShuffle(2), nn.ReLU())


class Parameters(nn.Module):
    """What is no layer: noise and its strengths, a positional map, layer scale, a learned start."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(width, width, 3, padding=1)
        self.strength = nn.Parameter(torch.randn(width, 1, 1) * 0.1)
        self.noise: Tensor
        self.register_buffer("noise", torch.randn(1, 1, SIDE, SIDE))
        self.places = nn.Parameter(torch.randn(1, width, SIDE, SIDE) * 0.1)
        self.layer_scale = nn.Parameter(torch.rand(1, width, 1, 1))
        self.start = nn.Parameter(torch.randn(1, width, 4, 4))
        self.from_start = nn.Conv2d(width, width, 3, padding=1)
        self.slope = nn.PReLU(width)

    def forward(self, x: Tensor) -> Tensor:
        """Keep the shape."""
        x = x + self.strength * self.noise + self.places
        start = F.interpolate(self.from_start(self.start), size=x.shape[2:], mode="nearest")
        return x + self.layer_scale * self.slope(self.conv(x)) + start


class SelfAttention(nn.Module):
    """Queries, keys and values by 1x1 convolutions (SAGAN; Zhang et al., ICML 2019)."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.query = nn.Conv2d(width, width // 2, 1)
        self.key = nn.Conv2d(width, width // 2, 1)
        self.value = nn.Conv2d(width, width, 1)
        self.gain = nn.Parameter(torch.tensor([0.7]))

    def forward(self, x: Tensor) -> Tensor:
        """Keep the shape."""
        query, key, value = (f(x).flatten(2) for f in (self.query, self.key, self.value))
        focus = torch.softmax(torch.bmm(query.transpose(1, 2), key), -1)
        return x + self.gain * torch.bmm(value, focus.transpose(1, 2)).view(x.shape)


class MultiHeadAttention(nn.Module):
    """Scaled dot-product attention over pixels, with heads, between layer norms."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(width)
        self.qkv = nn.Linear(width, 3 * width)
        self.out = nn.Linear(width, width)
        self.heads = 4

    def forward(self, x: Tensor) -> Tensor:
        """Keep the shape."""
        tokens = self.norm(x.flatten(2).transpose(1, 2))
        batch, places, _ = tokens.shape
        parts = self.qkv(tokens).reshape(batch, places, 3, self.heads, -1).permute(2, 0, 3, 1, 4)
        mixed = F.scaled_dot_product_attention(parts[0], parts[1], parts[2])
        mixed = mixed.transpose(1, 2).reshape(batch, places, -1)
        return x + self.out(mixed).transpose(1, 2).reshape(x.shape)


class SqueezeExcite(nn.Module):
    """The pooled map gates the channels (Hu et al., CVPR 2018)."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(width, width, 3, padding=1)
        self.squeeze = nn.Linear(width, width // 2)
        self.excite = nn.Linear(width // 2, width)

    def forward(self, x: Tensor) -> Tensor:
        """Keep the shape."""
        x = self.conv(x)
        gate = torch.sigmoid(self.excite(F.relu(self.squeeze(x.mean((2, 3))))))
        return x * gate[:, :, None, None]


_STYLED = ((STYLE,),)

BLOCKS = {
    "residual, BatchNorm": Block(lambda c: Residual(c, nn.BatchNorm2d)),
    "residual, InstanceNorm": Block(lambda c: Residual(c, nn.InstanceNorm2d)),
    "residual, affine InstanceNorm": Block(
        lambda c: Residual(c, lambda n: nn.InstanceNorm2d(n, affine=True))
    ),
    "residual, InstanceNorm with running statistics": Block(
        lambda c: Residual(c, lambda n: nn.InstanceNorm2d(n, affine=True, track_running_stats=True))
    ),
    "residual, GroupNorm": Block(lambda c: Residual(c, lambda n: nn.GroupNorm(4, n))),
    "transposed convolution": Block(lambda c: transposed(c, 1)),
    "grouped transposed convolution": Block(lambda c: transposed(c, 4)),
    "U-Net concatenation": Block(UNet),
    "grouped convolution": Block(grouped),
    "inverted residual, depthwise convolution": Block(InvertedResidual),
    "pixel shuffle": Block(pixel_shuffle),
    "SPADE": Block(Spade, ((4, SIDE // 2, SIDE // 2),)),
    "AdaIN": Block(AdaIn, _STYLED),
    "modulated convolution": Block(ModulatedConv, _STYLED),
    "modulated transposed convolution": Block(lambda c: ModulatedConv(c, upsample=True), _STYLED),
    "modulated activations": Block(ModulatedActivations, _STYLED),
    "noise and other parameters": Block(Parameters),
    "self-attention": Block(SelfAttention),
    "multi-head attention": Block(MultiHeadAttention),
    "squeeze-and-excite": Block(SqueezeExcite),
    "AdaLIN": Block(AdaLin),
}
"""Every block by the name that the table shows."""


def write_onnx(net: nn.Module, inputs: tuple[Tensor, ...], path: Path) -> None:
    """Export with PyTorch's exporter, its optimiser off, as training needs the norms and names."""
    loggers = [logging.getLogger(name) for name in ("torch.onnx", "onnxscript", "onnx_ir")]
    for logger in loggers:
        logger.setLevel(logging.ERROR)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        program = torch.onnx.export(net, inputs, dynamo=True, optimize=False, verbose=False)
    assert program is not None
    program.save(str(path), external_data=False)


def macs(net: nn.Module, inputs: tuple[Tensor, ...]) -> int:
    """Multiply-accumulates of convolutions and matrix products, as PyTorch counts them."""
    counter = FlopCounterMode(display=False)
    with counter, torch.no_grad(), sdpa_kernel(SDPBackend.MATH):  # it cannot count fused attention
        net(*inputs)
    return counter.get_total_flops() // 2
