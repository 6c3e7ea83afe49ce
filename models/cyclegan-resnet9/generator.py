"""The generator of CycleGAN: residual blocks at a quarter of the resolution.

J. Zhu, T. Park, P. Isola, A. Efros, "Unpaired Image-to-Image Translation using Cycle-Consistent
Adversarial Networks" (ICCV 2017), appendix 7.2, after Johnson et al. (ECCV 2016):
c7s1-64, d128, d256, R256 nine times, u128, u64, c7s1-3. InstanceNorm without weights.

Its weights have the names that they have in the authors' checkpoints (`latest_net_G_A.pth` and
the like, of `resnet_6blocks` and `resnet_9blocks`; pix2pix trains the same nets with batch norms
and dropout), so these load.
"""

from typing import Any

from torch import Tensor, nn


class ResNet(nn.Module):
    """N,inputs,H,W to N,outputs,H,W, both -1..1; H and W multiples of 4.

    9 blocks are for 256x256, 6 for 128x128. `norm` is "instance" (without weights) or "batch".
    """

    def __init__(
        self,
        width: int = 64,
        blocks: int = 9,
        inputs: int = 3,
        outputs: int = 3,
        norm: str = "instance",
        dropout: float = 0.0,
    ) -> None:
        super().__init__()
        self.model = nn.Sequential(
            nn.ReflectionPad2d(3),
            *_normed(nn.Conv2d, inputs, width, norm, kernel_size=7),
            *_normed(nn.Conv2d, width, 2 * width, norm, **_HALVE),
            *_normed(nn.Conv2d, 2 * width, 4 * width, norm, **_HALVE),
            *(Residual(4 * width, norm, dropout) for _ in range(blocks)),
            *_normed(nn.ConvTranspose2d, 4 * width, 2 * width, norm, **_DOUBLE),
            *_normed(nn.ConvTranspose2d, 2 * width, width, norm, **_DOUBLE),
            nn.ReflectionPad2d(3),
            nn.Conv2d(width, outputs, 7),
            nn.Tanh(),
        )

    def forward(self, image: Tensor) -> Tensor:
        """Translate N,inputs,H,W; N,outputs,H,W."""
        return self.model(image)


class Residual(nn.Module):
    """Two 3x3 convolutions around an identity, with mirrored borders."""

    def __init__(self, channels: int, norm: str, dropout: float) -> None:
        super().__init__()
        convolution, normed, relu = _normed(nn.Conv2d, channels, channels, norm, kernel_size=3)
        last, last_normed, _ = _normed(nn.Conv2d, channels, channels, norm, kernel_size=3)
        between = [nn.Dropout(dropout)] if dropout else []
        self.conv_block = nn.Sequential(
            nn.ReflectionPad2d(1), convolution, normed, relu, *between,
            nn.ReflectionPad2d(1), last, last_normed,
        )  # fmt: skip

    def forward(self, x: Tensor) -> Tensor:
        """Keep shape N,C,H,W."""
        return x + self.conv_block(x)


_HALVE = {"kernel_size": 3, "stride": 2, "padding": 1}
_DOUBLE = {**_HALVE, "output_padding": 1}


def _normed(
    layer: type[nn.Conv2d] | type[nn.ConvTranspose2d],
    inputs: int,
    outputs: int,
    norm: str,
    **sizes: int,
) -> tuple[nn.Module, ...]:
    batch = norm == "batch"
    normed = nn.BatchNorm2d(outputs) if batch else nn.InstanceNorm2d(outputs)
    return layer(inputs, outputs, bias=not batch, **sizes), normed, nn.ReLU()


def read_sizes(
    shapes: dict[str, tuple[int, ...]],
) -> tuple[dict[str, Any], dict[str, list[int | None]]]:
    """Read off the shapes of weights what `ResNet` is called with, and the shape of its input."""
    width, inputs, _, _ = shapes["model.1.weight"]
    blocks = 0
    while f"model.{10 + blocks}.conv_block.1.weight" in shapes:
        blocks += 1
    outputs, _, _, _ = shapes[f"model.{10 + blocks + 7}.weight"]
    arguments = {
        "width": width,
        "blocks": blocks,
        "inputs": inputs,
        "outputs": outputs,
        "norm": "batch" if "model.2.weight" in shapes else "instance",
        # A dropout layer moves the second convolution one place back.
        "dropout": 0.0 if "model.10.conv_block.5.weight" in shapes else 0.5,
    }
    return arguments, {"input": [None, inputs, None, None]}
