"""The compact net of Real-ESRGAN: plain convolutions, and an enlargement by a rearrangement.

X. Wang, L. Xie, C. Dong, Y. Shan, "Real-ESRGAN: Training Real-World Blind Super-Resolution with
Pure Synthetic Data" (ICCV workshops 2021); the net is that of the authors' later releases for
video and for small machines (VGG-style, after the paper). It learns what is missing from the
picture enlarged by repeating pixels; the enlargement is that of W. Shi et al., "Real-Time Single
Image and Video Super-Resolution Using an Efficient Sub-Pixel Convolutional Neural Network"
(CVPR 2016).

Its weights have the names that they have in the authors' checkpoints (`realesr-animevideov3.pth`,
`realesr-general-x4v3.pth`), so these load.
"""

from typing import Any

from torch import Tensor, nn
from torch.nn.functional import interpolate, pixel_shuffle


class Compact(nn.Module):
    """Picture N,channels,H,W to the same N,channels,scale*H,scale*W, both 0..1.

    `blocks` counts the convolutions between the first and the last.
    """

    def __init__(
        self, width: int = 64, blocks: int = 16, scale: int = 4, channels: int = 3
    ) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        for inputs in [channels, *[width] * blocks]:
            layers += [nn.Conv2d(inputs, width, 3, padding=1), nn.PReLU(width)]
        self.body = nn.Sequential(*layers, nn.Conv2d(width, channels * scale**2, 3, padding=1))
        self.scale = scale

    def forward(self, picture: Tensor) -> Tensor:
        """Enlarge N,channels,H,W; N,channels,scale*H,scale*W."""
        details = pixel_shuffle(self.body(picture), self.scale)
        return details + interpolate(picture, scale_factor=float(self.scale), mode="nearest")


def read_sizes(
    shapes: dict[str, tuple[int, ...]],
) -> tuple[dict[str, Any], dict[str, list[int | None]]]:
    """Read off the shapes of weights what `Compact` is called with, and the shape of its input."""
    width, channels, _, _ = shapes["body.0.weight"]
    blocks = 0
    while f"body.{2 * blocks + 3}.weight" in shapes:
        blocks += 1
    last, _, _, _ = shapes[f"body.{2 * blocks + 2}.weight"]
    scale = round((last / channels) ** 0.5)
    arguments = {"width": width, "blocks": blocks, "scale": scale, "channels": channels}
    return arguments, {"input": [None, channels, None, None]}
