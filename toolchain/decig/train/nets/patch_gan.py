"""PatchGAN: a discriminator that judges overlapping patches instead of the whole picture.

P. Isola et al., "Image-to-Image Translation with Conditional Adversarial Networks" (CVPR 2017),
section 3.2.2 and appendix 6.1.2, with InstanceNorm instead of BatchNorm, as batches are small.
"""

import torch
from torch import Tensor, nn


class PatchDiscriminator(nn.Module):
    """Logits for 70x70 patches of an image, conditional if the input image is given as well.

    `width` is the number of channels of the first layer (64 in the paper). `channels` counts
    the channels of everything that is judged: 6 for an input and an output in RGB. With `affine`
    the norms have a weight and a shift of their own, as in pix2pix; CycleGAN's have none.

    Attributes:
        SMALLEST: least side of the images, in pixels; of smaller ones nothing is left to judge.
    """

    SMALLEST = 24

    def __init__(self, channels: int = 6, width: int = 64, *, affine: bool = True) -> None:
        super().__init__()
        layers: list[nn.Module] = [nn.Conv2d(channels, width, 4, 2, 1), nn.LeakyReLU(0.2)]
        for inputs, outputs, stride in ((1, 2, 2), (2, 4, 2), (4, 8, 1)):
            layers += [
                nn.Conv2d(inputs * width, outputs * width, 4, stride, 1, bias=False),
                nn.InstanceNorm2d(outputs * width, affine=affine),
                nn.LeakyReLU(0.2),
            ]
        layers.append(nn.Conv2d(8 * width, 1, 4, 1, 1))
        self.layers = nn.Sequential(*layers)

    def forward(self, *images: Tensor) -> Tensor:
        """Judge images of shape N,C,H,W, joined over their channels; N,1,H/8-2,W/8-2 logits."""
        logits: Tensor = self.layers(torch.cat(images, dim=1))
        return logits


def initialise(module: nn.Module) -> None:
    """Draw convolution weights from N(0, 0.02), biases at zero (Isola et al., appendix 6.2)."""
    for part in module.modules():
        if isinstance(part, nn.Conv2d | nn.ConvTranspose2d):
            nn.init.normal_(part.weight, 0.0, 0.02)
            if part.bias is not None:
                nn.init.zeros_(part.bias)
