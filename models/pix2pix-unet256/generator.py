"""The U-Net of pix2pix: eight halvings, eight doublings, skips by concatenation.

P. Isola, J. Zhu, T. Zhou, A. Efros, "Image-to-Image Translation with Conditional Adversarial
Networks" (CVPR 2017), section 3.2.1 and appendix 6.1.1. As there, dropout is the only noise; here
it acts in training only, as in any other net.
"""

import torch
from torch import Tensor, nn


class UNet(nn.Module):
    """N,3,H,W to N,3,H,W, both -1..1; H and W multiples of 2 to the power of `levels`.

    Level by level the width doubles, up to eight times `width`.
    """

    def __init__(self, width: int = 64, levels: int = 8, dropout: float = 0.5) -> None:
        super().__init__()
        widths = [width * min(2**level, 8) for level in range(levels)]
        self.down = nn.ModuleList([nn.Conv2d(3, width, 4, 2, 1, bias=False)])
        self.up = nn.ModuleList([_up(2 * width, 3, norm=False)])
        for level in range(1, levels):
            innermost = level == levels - 1
            self.down.append(_down(widths[level - 1], widths[level], norm=not innermost))
            drop = dropout if levels - 4 <= level < levels - 1 else 0.0
            wide = widths[level] * (1 if innermost else 2)
            self.up.append(_up(wide, widths[level - 1], dropout=drop))

    def forward(self, image: Tensor) -> Tensor:
        """Translate N,3,H,W; N,3,H,W."""
        skips = [image]
        for down in self.down:
            skips.append(down(skips[-1]))
        x = skips.pop()
        for up in reversed(self.up[1:]):
            x = torch.cat([skips.pop(), up(x)], dim=1)
        return torch.tanh(self.up[0](x))


def _down(inputs: int, outputs: int, *, norm: bool) -> nn.Sequential:
    layers: list[nn.Module] = [nn.LeakyReLU(0.2), nn.Conv2d(inputs, outputs, 4, 2, 1, bias=False)]
    if norm:
        layers.append(nn.BatchNorm2d(outputs))
    return nn.Sequential(*layers)


def _up(inputs: int, outputs: int, *, norm: bool = True, dropout: float = 0.0) -> nn.Sequential:
    layers = [nn.ReLU(), nn.ConvTranspose2d(inputs, outputs, 4, 2, 1, bias=not norm)]
    if norm:
        layers.append(nn.BatchNorm2d(outputs))
    if dropout:
        layers.append(nn.Dropout(dropout))
    return nn.Sequential(*layers)
