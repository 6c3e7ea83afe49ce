"""GauGAN: a label map paints by setting scale and shift of every pixel of every layer.

T. Park, M. Liu, T. Wang, J. Zhu, "Semantic Image Synthesis with Spatially-Adaptive
Normalization" (CVPR 2019), section 3 and appendix A. The decoder starts from the label map made
small, the variant without an image encoder. The spectral norm of the paper is a matter of
training; weights that were trained with it load into this net.
"""

from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn.functional import interpolate, leaky_relu

HALVINGS = 5
"""Between the label map and where the decoder starts."""


class Spade(nn.Module):
    """SPADE: a norm without weights, then a scale and a shift made from the label map."""

    def __init__(self, channels: int, labels: int, hidden: int) -> None:
        super().__init__()
        self.norm = nn.BatchNorm2d(channels, affine=False)
        self.shared = nn.Sequential(nn.Conv2d(labels, hidden, 3, padding=1), nn.ReLU())
        self.scale = nn.Conv2d(hidden, channels, 3, padding=1)
        self.shift = nn.Conv2d(hidden, channels, 3, padding=1)

    def forward(self, x: Tensor, labels: Tensor) -> Tensor:
        """Normalise N,C,H,W by a label map N,L,H',W' of any size."""
        made = self.shared(interpolate(labels, size=x.shape[2:], mode="nearest"))
        return self.norm(x) * (1 + self.scale(made)) + self.shift(made)


class SpadeResidual(nn.Module):
    """Two 3x3 convolutions behind SPADE; the shortcut is one more where the width changes."""

    def __init__(self, inputs: int, outputs: int, labels: int, hidden: int) -> None:
        super().__init__()
        middle = min(inputs, outputs)
        self.norms = nn.ModuleList(Spade(c, labels, hidden) for c in (inputs, middle))
        self.first = nn.Conv2d(inputs, middle, 3, padding=1)
        self.second = nn.Conv2d(middle, outputs, 3, padding=1)
        self.shortcut = None
        if inputs != outputs:
            self.shortcut_norm = Spade(inputs, labels, hidden)
            self.shortcut = nn.Conv2d(inputs, outputs, 1, bias=False)

    def forward(self, x: Tensor, labels: Tensor) -> Tensor:
        """Turn N,inputs,H,W into N,outputs,H,W."""
        inside = self.first(leaky_relu(self.norms[0](x, labels), 0.2))
        inside = self.second(leaky_relu(self.norms[1](inside, labels), 0.2))
        if self.shortcut is not None:
            x = self.shortcut(self.shortcut_norm(x, labels))
        return x + inside


class Gaugan(nn.Module):
    """One-hot label map N,labels,H,W to picture N,3,H,W in -1..1; H and W multiples of 32."""

    def __init__(self, labels: int, width: int = 64, hidden: int = 128) -> None:
        super().__init__()
        widths = [16 * width, 16 * width, 16 * width, 16 * width, 8 * width, 4 * width]
        widths += [2 * width, width]
        self.stem = nn.Conv2d(labels, widths[0], 3, padding=1)
        self.blocks = nn.ModuleList(
            SpadeResidual(a, b, labels, hidden) for a, b in pairwise(widths)
        )
        self.head = nn.Conv2d(width, 3, 3, padding=1)

    def forward(self, labels: Tensor) -> Tensor:
        """Paint the picture of a label map."""
        small = [side // 2**HALVINGS for side in labels.shape[2:]]
        x = self.stem(interpolate(labels, size=small, mode="nearest"))
        for index, block in enumerate(self.blocks):
            x = block(x, labels)
            # Between the second and the third block the size stays, as after the last.
            if index not in (1, len(self.blocks) - 1):
                x = interpolate(x, scale_factor=2.0, mode="nearest")
        return torch.tanh(self.head(leaky_relu(x, 0.2)))
