"""The U-Net of pix2pix: eight halvings, eight doublings, skips by concatenation.

P. Isola, J. Zhu, T. Zhou, A. Efros, "Image-to-Image Translation with Conditional Adversarial
Networks" (CVPR 2017), section 3.2.1 and appendix 6.1.1. As there, dropout is the only noise; here
it acts in training only, as in any other net.

The levels lie inside each other, and their weights have the names that they have in the authors'
checkpoints (`latest_net_G.pth` of `unet_128`, `unet_256` and the like), so these load.
"""

from typing import Any

import torch
from torch import Tensor, nn


class UNet(nn.Module):
    """N,inputs,H,W to N,outputs,H,W, both -1..1; H and W multiples of 2 to the power of `levels`.

    Level by level the width doubles, up to eight times `width`. `norm` is "batch" or "instance"
    (without weights).
    """

    def __init__(
        self,
        width: int = 64,
        levels: int = 8,
        dropout: float = 0.5,
        inputs: int = 3,
        outputs: int = 3,
        norm: str = "batch",
    ) -> None:
        super().__init__()
        widths = [width * min(2**level, 8) for level in range(levels)]
        inner: Level | None = None
        for level in reversed(range(1, levels)):
            drop = dropout if 4 <= level < levels - 1 else 0.0
            inner = Level(widths[level - 1], widths[level], inner, norm, drop)
        self.model = Level(inputs, width, inner, norm, outputs=outputs)

    def forward(self, image: Tensor) -> Tensor:
        """Translate N,inputs,H,W; N,outputs,H,W."""
        return self.model(image)


class Level(nn.Module):
    """One halving, the levels inside it, and one doubling; gives its input beside the result.

    The outermost level, which alone knows `outputs`, gives the picture alone.
    """

    def __init__(
        self,
        outside: int,
        inside: int,
        inner: "Level | None",
        norm: str,
        dropout: float = 0.0,
        outputs: int = 0,
    ) -> None:
        super().__init__()
        biased = norm == "instance"
        down: list[nn.Module] = [nn.Conv2d(outside, inside, 4, 2, 1, bias=biased)]
        if not outputs:
            down.insert(0, nn.LeakyReLU(0.2))
        if inner is not None:
            down += [] if outputs else [_norm(norm, inside)]
            down.append(inner)
        joined = inside if inner is None else 2 * inside
        wide = nn.ConvTranspose2d(joined, outputs or outside, 4, 2, 1, bias=biased or bool(outputs))
        up = [nn.ReLU(), wide, nn.Tanh() if outputs else _norm(norm, outside)]
        if dropout:
            up.append(nn.Dropout(dropout))
        self.model = nn.Sequential(*down, *up)
        self.outermost = bool(outputs)

    def forward(self, x: Tensor) -> Tensor:
        """Turn N,outside,H,W into N,2*outside,H,W, or into the picture N,outputs,H,W."""
        result = self.model(x)
        return result if self.outermost else torch.cat([x, result], dim=1)


def _norm(kind: str, channels: int) -> nn.Module:
    return nn.BatchNorm2d(channels) if kind == "batch" else nn.InstanceNorm2d(channels)


def read_sizes(
    shapes: dict[str, tuple[int, ...]],
) -> tuple[dict[str, Any], dict[str, list[int | None]]]:
    """Read off the shapes of weights what `UNet` is called with, and the shape of its input."""
    width, inputs, _, _ = shapes["model.model.0.weight"]
    _, outputs, _, _ = shapes["model.model.3.weight"]
    levels, inside = 1, "model.model.1.model."
    while f"{inside}1.weight" in shapes:
        levels, inside = levels + 1, f"{inside}3.model."
    batch = "model.model.1.model.2.weight" in shapes
    arguments = {
        "width": width,
        "levels": levels,
        "inputs": inputs,
        "outputs": outputs,
        "norm": "batch" if batch else "instance",
    }
    return arguments, {"input": [None, inputs, 2**levels, 2**levels]}
