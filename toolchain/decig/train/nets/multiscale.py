"""The discriminator of GauGAN: PatchGANs under spectral norm at several scales of the picture.

T. Park et al., "Semantic Image Synthesis with Spatially-Adaptive Normalization" (CVPR 2019),
appendix A, after T. Wang et al., pix2pixHD (CVPR 2018), section 3.2; spectral norm by T. Miyato et
al. (ICLR 2018). The layers between the first and the last are normalised: a weight divided by its
largest singular value, then InstanceNorm without weights.
"""

from collections.abc import Sequence
from fnmatch import fnmatchcase

import torch
from torch import Tensor, nn
from torch.nn.functional import avg_pool2d
from torch.nn.utils.parametrizations import spectral_norm

from decig.errors import BadInputError

_WIDEST = 8
"""Width of the widest layer, in widths of the first."""
_NORMED = nn.Conv2d | nn.ConvTranspose2d | nn.Linear


class _Scale(nn.Module):
    """One PatchGAN: layers that halve the picture, one that does not, and one that judges."""

    def __init__(self, channels: int, width: int, layers: int) -> None:
        super().__init__()
        widths = [width * min(2**layer, _WIDEST) for layer in range(layers)]
        first = nn.Sequential(nn.Conv2d(channels, width, 4, 2, 2), nn.LeakyReLU(0.2))
        parts = [first]
        for layer in range(1, layers):
            stride = 1 if layer == layers - 1 else 2
            wide = nn.Conv2d(widths[layer - 1], widths[layer], 4, stride, 2, bias=False)
            parts.append(nn.Sequential(wide, nn.InstanceNorm2d(widths[layer]), nn.LeakyReLU(0.2)))
        self.parts = nn.ModuleList(parts)
        self.judge = nn.Conv2d(widths[-1], 1, 4, 1, 2)

    def forward(self, images: Tensor) -> list[Tensor]:
        values = [images]
        for part in self.parts:
            values.append(part(values[-1]))
        return [*values[1:], self.judge(values[-1])]


class MultiscaleDiscriminator(nn.Module):
    """Judges patches of a picture at its own size, at half of it, and so on.

    Its weights are plain; `normalise_spectrally` puts them under the spectral norm once they have
    their initial values.
    """

    NORMED = ("scales.*.parts.[!0].0",)
    """The layers that GauGAN puts under spectral norm, as `normalise_spectrally` takes them."""

    def __init__(self, channels: int, width: int = 64, scales: int = 2, layers: int = 4) -> None:
        """Make the nets.

        Args:
            channels: of everything that is judged, label map and picture.
            width: channels of the first layer.
            scales: how many nets there are, each for half the size of the one before.
            layers: of each net, without the one that judges.
        """
        super().__init__()
        self.scales = nn.ModuleList(_Scale(channels, width, layers) for _ in range(scales))

    def forward(self, *images: Tensor) -> list[list[Tensor]]:
        """Judge images of shape N,C,H,W, joined over their channels.

        Returns:
            For each scale the values of all layers; the last one is the judgement, N,1,h,w.
        """
        joined = torch.cat(images, dim=1)
        found = []
        for index, scale in enumerate(self.scales):
            if index:
                joined = avg_pool2d(joined, 3, 2, 1, count_include_pad=False)
            found.append(scale(joined))
        return found


def normalise_spectrally(net: nn.Module, patterns: Sequence[str]) -> None:
    """Put layers of a net under the spectral norm: W / sigma(W), one power iteration per pass.

    T. Miyato et al. (ICLR 2018), section 2.1 and algorithm 1.

    Args:
        net: changed in place.
        patterns: names of convolutions and fully connected layers, as in `named_modules`; "*"
            stands for any characters.

    Raises:
        BadInputError: a pattern names no such layer; lists some that there are.
    """
    layers = {name: part for name, part in net.named_modules() if isinstance(part, _NORMED)}
    chosen: dict[str, nn.Module] = {}
    for pattern in patterns:
        found = {name: part for name, part in layers.items() if fnmatchcase(name, pattern)}
        if not found:
            some = ", ".join(list(layers)[:6])
            raise BadInputError(f"no layer is called {pattern!r}; there are {some} and others")
        chosen |= found
    for part in chosen.values():
        spectral_norm(part)


def initialise_xavier(net: nn.Module, gain: float = 0.02) -> None:
    """Draw weights as GauGAN does: Xavier normal with a gain, biases at zero.

    X. Glorot and Y. Bengio, "Understanding the difficulty of training deep feedforward neural
    networks" (AISTATS 2010), equation 12, for a normal distribution; gain as in Park et al.
    """
    for part in net.modules():
        if isinstance(part, _NORMED):
            nn.init.xavier_normal_(part.weight, gain)
            if part.bias is not None:
                nn.init.zeros_(part.bias)
