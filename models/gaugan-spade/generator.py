"""GauGAN: a label map paints by setting scale and shift of every pixel of every layer.

T. Park, M. Liu, T. Wang, J. Zhu, "Semantic Image Synthesis with Spatially-Adaptive
Normalization" (CVPR 2019), section 3 and appendix A. The decoder starts from the label map made
small, the variant without an image encoder. The spectral norm of the paper is a matter of
training.

Its weights have the names that they have in the authors' checkpoints (`latest_net_G.pth` of
`--netG spade`), so these load; their spectral norms become plain weights.
"""

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import interpolate, leaky_relu

HALVINGS = {"normal": 5, "more": 6, "most": 7}
"""Between the label map and where the decoder starts, by what the authors call "upsampling"."""


class Spade(nn.Module):
    """SPADE: a norm without weights, then a scale and a shift made from the label map."""

    def __init__(self, channels: int, labels: int, hidden: int, norm: str) -> None:
        super().__init__()
        batch = norm == "batch"
        self.param_free_norm = (
            nn.BatchNorm2d(channels, affine=False) if batch else nn.InstanceNorm2d(channels)
        )
        self.mlp_shared = nn.Sequential(nn.Conv2d(labels, hidden, 3, padding=1), nn.ReLU())
        self.mlp_gamma = nn.Conv2d(hidden, channels, 3, padding=1)
        self.mlp_beta = nn.Conv2d(hidden, channels, 3, padding=1)

    def forward(self, x: Tensor, labels: Tensor) -> Tensor:
        """Normalise N,C,H,W by a label map N,L,H',W' of any size."""
        made = self.mlp_shared(interpolate(labels, size=x.shape[2:], mode="nearest"))
        return self.param_free_norm(x) * (1 + self.mlp_gamma(made)) + self.mlp_beta(made)


class SpadeResidual(nn.Module):
    """Two 3x3 convolutions behind SPADE; the shortcut is one more where the width changes."""

    def __init__(self, inputs: int, outputs: int, labels: int, hidden: int, norm: str) -> None:
        super().__init__()
        middle = min(inputs, outputs)
        self.conv_0 = nn.Conv2d(inputs, middle, 3, padding=1)
        self.conv_1 = nn.Conv2d(middle, outputs, 3, padding=1)
        self.norm_0 = Spade(inputs, labels, hidden, norm)
        self.norm_1 = Spade(middle, labels, hidden, norm)
        self.conv_s = None
        if inputs != outputs:
            self.conv_s = nn.Conv2d(inputs, outputs, 1, bias=False)
            self.norm_s = Spade(inputs, labels, hidden, norm)

    def forward(self, x: Tensor, labels: Tensor) -> Tensor:
        """Turn N,inputs,H,W into N,outputs,H,W."""
        inside = self.conv_0(leaky_relu(self.norm_0(x, labels), 0.2))
        inside = self.conv_1(leaky_relu(self.norm_1(inside, labels), 0.2))
        if self.conv_s is not None:
            x = self.conv_s(self.norm_s(x, labels))
        return x + inside


class Gaugan(nn.Module):
    """One-hot label map N,labels,H,W to picture N,3,H,W in -1..1.

    H and W are multiples of 32; of 64 or 128 where `upsampling`, the authors'
    `--num_upsampling_layers`, is "more" or "most" instead of "normal". `norm` is "batch" or
    "instance".
    """

    def __init__(
        self,
        labels: int,
        width: int = 64,
        hidden: int = 128,
        upsampling: str = "normal",
        norm: str = "batch",
    ) -> None:
        super().__init__()
        wide = 16 * width
        widths = [wide, wide, wide, wide, 8 * width, 4 * width, 2 * width, width]
        names = ["head_0", "G_middle_0", "G_middle_1", "up_0", "up_1", "up_2", "up_3"]
        if upsampling == "most":
            widths, names = [*widths, width // 2], [*names, "up_4"]
        self.fc = nn.Conv2d(labels, wide, 3, padding=1)
        for name, inputs, outputs in zip(names, widths, widths[1:], strict=False):
            self.add_module(name, SpadeResidual(inputs, outputs, labels, hidden, norm))
        self.conv_img = nn.Conv2d(widths[-1], 3, 3, padding=1)
        self.names, self.upsampling = names, upsampling

    def forward(self, labels: Tensor) -> Tensor:
        """Paint the picture of a label map."""
        small = [side // 2 ** HALVINGS[self.upsampling] for side in labels.shape[2:]]
        x = self.fc(interpolate(labels, size=small, mode="nearest"))
        kept = [self.names[0], *(["G_middle_1"] if self.upsampling == "normal" else [])]
        for name in self.names:
            if name not in kept:
                x = interpolate(x, scale_factor=2.0, mode="nearest")
            x = self.get_submodule(name)(x, labels)
        return torch.tanh(self.conv_img(leaky_relu(x, 0.2)))


def read_sizes(
    shapes: dict[str, tuple[int, ...]],
) -> tuple[dict[str, Any], dict[str, list[int | None]]]:
    """Read off the shapes of weights what `Gaugan` is called with, and the shape of its input.

    Checkpoints of "normal" and "more" look alike; the recipe says which it is.
    """
    wide, labels, _, _ = shapes["fc.weight"]
    hidden, _, _, _ = shapes["head_0.norm_0.mlp_shared.0.weight"]
    batch = "head_0.norm_0.param_free_norm.running_mean" in shapes
    arguments = {
        "labels": labels,
        "width": wide // 16,
        "hidden": hidden,
        "norm": "batch" if batch else "instance",
    }
    if "up_4.conv_0.weight" in shapes:
        arguments["upsampling"] = "most"
    return arguments, {"input": [None, labels, None, None]}
