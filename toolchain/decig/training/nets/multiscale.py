"""The discriminator of GauGAN: PatchGANs that look at the picture in several sizes.

T. Park et al., "Semantic Image Synthesis with Spatially-Adaptive Normalization" (CVPR 2019),
appendix A, after T. Wang et al., "High-Resolution Image Synthesis and Semantic Manipulation with
Conditional GANs" (pix2pixHD, CVPR 2018), section 3.2. Its weights have the names that they have in
the authors' checkpoints (`latest_net_D.pth`), so these load; the spectral norm that they were
trained with is resolved into plain weights. `normalise_spectrally` puts fresh weights under it.
"""

import re
from collections.abc import Sequence
from fnmatch import fnmatchcase
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import avg_pool2d
from torch.nn.utils.parametrizations import _SpectralNorm
from torch.nn.utils.parametrize import register_parametrization

from decig.errors import BadInputError
from decig.training.nets.judged import Judged
from decig.training.nets.patch_gan import KERNEL

_NAMED = re.compile(r"discriminator_(\d+)\.model(\d+)\.0\.(?:0\.)?weight")
_NORMED = nn.Conv2d | nn.ConvTranspose2d | nn.Linear
_WIDEST = 512
"""Most channels of a layer."""


class MultiscaleDiscriminator(nn.Module):
    """Logits for patches of an image in its own size, in half of it, and so on.

    Attributes:
        NORMED: the layers that the authors' code puts under spectral norm (their paper: all), as
            `normalise_spectrally` takes them: those between the first one and the judgement.
        TITLE: what messages call it.
        channels: of everything that is judged.
        smallest: least side of the images, in pixels; of smaller ones a norm has nothing to do.
    """

    NORMED = ("discriminator_*.model[!0].0.0",)
    TITLE = "PatchGAN in several sizes, as SPADE saves it"

    def __init__(self, channels: int, width: int = 64, scales: int = 2, layers: int = 4) -> None:
        """Make one with fresh weights.

        Args:
            channels: of everything that is judged: those of the label map and 3 of the picture.
            width: channels of the first layer.
            scales: sizes of the picture that are judged.
            layers: convolutions for each of them, without the one that judges.
        """
        super().__init__()
        self.channels = channels
        self.smallest = 2 ** (scales - 1) + 1
        for scale in range(scales):
            self.add_module(f"discriminator_{scale}", _Patches(channels, width, layers))

    @staticmethod
    def read_sizes(shapes: dict[str, tuple[int, ...]]) -> dict[str, Any]:
        """Return the arguments that fit weights of these names and shapes.

        Raises:
            LookupError: they are of another net.
            ValueError: the same.
        """
        width, channels, *kernel = shapes["discriminator_0.model0.0.weight"]
        named = [found for found in map(_NAMED.fullmatch, shapes) if found]
        scales, layers = (1 + max(int(found[part]) for found in named) for part in (1, 2))
        if kernel != [KERNEL, KERNEL]:
            raise ValueError("no patches of 4x4")
        return {"channels": channels, "width": width, "scales": scales, "layers": layers - 1}

    def forward(self, *images: Tensor) -> Judged:
        """Judge images of shape N,C,H,W, joined over their channels.

        Returns:
            For each scale, from the full size down, the features of every layer; the last of them
            is the logits.
        """
        x = torch.cat(images, dim=1)
        judged = []
        for scale, patches in enumerate(self.children()):
            if scale:
                x = avg_pool2d(x, 3, 2, 1, count_include_pad=False)
            judged.append(patches(x))
        return judged

    def judge(self, *images: Tensor) -> Judged:
        """Do what `forward` does, by the name that all discriminators have for it."""
        judged: Judged = self(*images)
        return judged


class _Patches(nn.Module):
    """A PatchGAN for one scale, which shows what its layers make of a picture."""

    def __init__(self, channels: int, width: int, layers: int) -> None:
        super().__init__()
        widths = [min(width * 2**level, _WIDEST) for level in range(layers)]
        parts: list[nn.Module] = [
            nn.Sequential(nn.Conv2d(channels, width, KERNEL, 2, 2), nn.LeakyReLU(0.2))
        ]
        for level in range(1, layers):
            stride = 1 if level == layers - 1 else 2
            convolution = nn.Conv2d(widths[level - 1], widths[level], KERNEL, stride, 2, bias=False)
            normed = nn.Sequential(convolution, nn.InstanceNorm2d(widths[level]))
            parts.append(nn.Sequential(normed, nn.LeakyReLU(0.2)))
        parts.append(nn.Sequential(nn.Conv2d(widths[-1], 1, KERNEL, 1, 2)))
        for number, part in enumerate(parts):
            self.add_module(f"model{number}", part)

    def forward(self, x: Tensor) -> list[Tensor]:
        """Return the features of every layer for N,channels,H,W; the last are the logits."""
        features = []
        for layer in self.children():
            x = layer(x)
            features.append(x)
        return features


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
        dim = 1 if isinstance(part, nn.ConvTranspose2d) else 0
        assert isinstance(part.weight, Tensor)
        register_parametrization(part, "weight", _Normed(part.weight, dim=dim))


class _Normed(_SpectralNorm):
    """The spectral norm of PyTorch, in float32 where the net computes in bfloat16."""

    def forward(self, weight: Tensor) -> Tensor:
        """Return W / sigma(W): autocast would round the products of the power iteration."""
        with torch.autocast(weight.device.type, enabled=False):
            return super().forward(weight)


def initialise_xavier(net: nn.Module, gain: float = 0.02) -> None:
    """Draw weights as GauGAN does: Xavier normal with a gain, biases at zero.

    Scales of batch norms are drawn from N(1, gain), as in the authors' code.

    X. Glorot and Y. Bengio, "Understanding the difficulty of training deep feedforward neural
    networks" (AISTATS 2010), equation 12, for a normal distribution; gain as in Park et al.
    """
    for part in net.modules():
        if isinstance(part, nn.BatchNorm2d) and part.affine:
            nn.init.normal_(part.weight, 1.0, gain)
            nn.init.zeros_(part.bias)
        if isinstance(part, _NORMED):
            nn.init.xavier_normal_(part.weight, gain)
            if part.bias is not None:
                nn.init.zeros_(part.bias)
