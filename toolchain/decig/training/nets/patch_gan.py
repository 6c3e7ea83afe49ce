"""PatchGAN: a discriminator that judges overlapping patches instead of the whole picture.

P. Isola et al., "Image-to-Image Translation with Conditional Adversarial Networks" (CVPR 2017),
section 3.2.2 and appendix 6.1.2. Its weights have the names that they have in the authors'
checkpoints (`latest_net_D.pth`; CycleGAN's and CUT's as well), so these load.
"""

from typing import Any, Literal

import torch
from torch import Tensor, nn

from decig.training.nets.judged import Judged

Norm = Literal["affine", "batch", "instance"]
"""Norms between the convolutions: instance norms with weights (decig's own choice, as batches are
small), batch norms (pix2pix's), or instance norms without weights (CycleGAN's)."""

KERNEL = 4
"""Side of every kernel, in pixels."""


class PatchDiscriminator(nn.Module):
    """Logits for patches of an image (70x70 at a depth of 3), conditional if given its input too.

    Attributes:
        TITLE: what messages call it.
        channels: of everything that is judged.
        smallest: least side of the images, in pixels; of smaller ones nothing is left to judge.
    """

    TITLE = "PatchGAN, as pix2pix, CycleGAN and CUT save it"

    def __init__(
        self, channels: int = 6, width: int = 64, depth: int = 3, norm: Norm = "affine"
    ) -> None:
        """Make one with fresh weights.

        Args:
            channels: of everything that is judged: 6 for an input and an output in RGB.
            width: channels of the first layer; 64 in the paper.
            depth: convolutions with a norm; all of them but the last halve the map.
            norm: of which kind.
        """
        super().__init__()
        self.channels = channels
        self.smallest = self.smallest_at(depth)
        layers: list[nn.Module] = [nn.Conv2d(channels, width, KERNEL, 2, 1), nn.LeakyReLU(0.2)]
        widths = [width * min(2**level, 8) for level in range(depth + 1)]
        for level in range(1, depth + 1):
            inputs, outputs = widths[level - 1], widths[level]
            stride = 1 if level == depth else 2
            biased = norm == "instance"
            layers += [
                nn.Conv2d(inputs, outputs, KERNEL, stride, 1, bias=biased),
                _norm(norm, outputs),
                nn.LeakyReLU(0.2),
            ]
        layers.append(nn.Conv2d(widths[-1], 1, KERNEL, 1, 1))
        self.model = nn.Sequential(*layers)

    @staticmethod
    def smallest_at(depth: int = 3) -> int:
        """Least side of the images that a net of a depth can judge, in pixels."""
        return max(3 << depth, KERNEL)

    @staticmethod
    def read_sizes(shapes: dict[str, tuple[int, ...]]) -> dict[str, Any]:
        """Return the arguments that fit weights of these names and shapes.

        Raises:
            LookupError: they are of another net.
            ValueError: the same.
        """
        width, channels, *kernel = shapes["model.0.weight"]
        depth = 0
        while f"model.{3 * depth + 2}.weight" in shapes:
            depth += 1
        outputs, *_ = shapes[f"model.{3 * depth - 1}.weight"]
        if kernel != [KERNEL, KERNEL] or outputs != 1:
            raise ValueError("no patches of 4x4 that end in one logit")
        depth -= 1
        norm = "instance"
        if "model.3.weight" in shapes:
            norm = "batch" if "model.3.running_mean" in shapes else "affine"
        return {"channels": channels, "width": width, "depth": depth, "norm": norm}

    def forward(self, *images: Tensor) -> Tensor:
        """Judge images of shape N,C,H,W, joined over their channels.

        Returns:
            Logits N,1,H/8-2,W/8-2 at a depth of 3.
        """
        logits: Tensor = self.model(torch.cat(images, dim=1))
        return logits

    def judge(self, *images: Tensor) -> Judged:
        """Judge as `forward` does, and show what every layer makes of the images on the way.

        Returns:
            For the one scale that there is, the features behind every activation; behind them
            stand the logits.
        """
        x, shown = torch.cat(images, dim=1), []
        for layer in self.model:
            x = layer(x)
            if isinstance(layer, nn.LeakyReLU):
                shown.append(x)
        return [[*shown, x]]


def _norm(norm: Norm, channels: int) -> nn.Module:
    if norm == "batch":
        return nn.BatchNorm2d(channels)
    return nn.InstanceNorm2d(channels, affine=norm == "affine")


def initialise(module: nn.Module) -> None:
    """Draw weights of layers from N(0, 0.02), scales of batch norms from N(1, 0.02).

    Biases and offsets are zero. The first is from appendix 6.2 of Isola et al., the second from
    the public code of pix2pix and CycleGAN.
    """
    for part in module.modules():
        if isinstance(part, nn.BatchNorm2d) and part.affine:
            nn.init.normal_(part.weight, 1.0, 0.02)
            nn.init.zeros_(part.bias)
        if isinstance(part, nn.Conv2d | nn.ConvTranspose2d | nn.Linear):
            nn.init.normal_(part.weight, 0.0, 0.02)
            if part.bias is not None:
                nn.init.zeros_(part.bias)
