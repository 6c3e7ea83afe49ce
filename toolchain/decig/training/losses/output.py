"""Likeness of the student's picture to the teacher's, in colours, edges and structure.

All functions take pictures of shape N,C,H,W whose output range is scaled to 0..1. No term replaces
another: with L1 and SSIM only, slim generators lose colour and blur edges.
"""

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from decig.data.pixels import PixelFormat

_SIGMA, WINDOW = 1.5, 11
"""Of the SSIM, in pixels: Wang et al., "Image Quality Assessment" (2004), sections III.B and C."""
_C1, _C2 = 0.01**2, 0.03**2


@dataclass(frozen=True)
class OutputLoss:
    """Weighted sum of Charbonnier, chroma, gradient and structure terms.

        L = charbonnier(y, t) + chroma charbonnier(c(y), c(t)) + gradient |grad y - grad t|
            + structure (1 - SSIM(y, t)),       c(y) = y - mean of y over RGB

    Attributes:
        chroma: weight of the colour term.
        gradient: weight of the edge term.
        structure: weight of the SSIM term.
    """

    chroma: float = 1.0
    gradient: float = 1.0
    structure: float = 0.25

    def __call__(self, picture: Tensor, target: Tensor) -> Tensor:
        """Loss of a batch of pictures N,C,H,W against the teacher's."""
        loss = charbonnier(picture - target)
        if self.chroma and picture.shape[1] > 1:
            loss = loss + self.chroma * charbonnier(chroma(picture) - chroma(target))
        if self.gradient:
            loss = loss + self.gradient * gradient_difference(picture, target)
        if self.structure:
            loss = loss + self.structure * (1 - ssim(picture, target))
        return loss


def charbonnier(difference: Tensor, epsilon: float = 1e-3) -> Tensor:
    """Mean of sqrt(d^2 + eps^2): L1 with a gradient that fades near zero."""
    return (difference.square() + epsilon**2).sqrt().mean()


def chroma(picture: Tensor) -> Tensor:
    """Return RGB minus its mean over RGB."""
    return picture - picture.mean(1, keepdim=True)


def gradient_difference(picture: Tensor, target: Tensor) -> Tensor:
    """Mean absolute difference of the horizontal and vertical image gradients."""
    difference = picture - target
    return difference.diff(dim=2).abs().mean() + difference.diff(dim=3).abs().mean()


def ssim(picture: Tensor, target: Tensor) -> Tensor:
    """Mean structural similarity (Wang et al. 2004, equation 13), Gaussian window of sigma 1.5."""
    channels = picture.shape[1]
    kernel = _gaussian(picture.dtype, picture.device)
    row = kernel.expand(channels * 5, 1, 1, -1)
    column = row.transpose(2, 3)
    stacked = torch.cat([picture, target, picture**2, target**2, picture * target], 1)
    # With the channels last a GPU would round the products of this blur to TF32, far coarser than
    # the variances, which are small differences of large numbers.
    stacked = stacked.contiguous()
    blurred = functional.conv2d(stacked, row, groups=channels * 5)
    blurred = functional.conv2d(blurred, column, groups=channels * 5)
    mean_y, mean_t, square_y, square_t, product = blurred.tensor_split(5, 1)
    variance_y, variance_t = square_y - mean_y**2, square_t - mean_t**2
    covariance = product - mean_y * mean_t
    luminance = (2 * mean_y * mean_t + _C1) / (mean_y**2 + mean_t**2 + _C1)
    contrast = (2 * covariance + _C2) / (variance_y + variance_t + _C2)
    similarity: Tensor = (luminance * contrast).mean()
    return similarity


def picture_of(output: Tensor, pixels: PixelFormat) -> Tensor:
    """Scale a model's output to 0..1 as N,C,H,W, not clipped: a clip would stop the gradient."""
    return _unit(output, pixels.output_range, pixels.layout)


def condition_of(source: Tensor, pixels: PixelFormat) -> Tensor:
    """Scale a model's input to 0..1 as N,C,H,W, as the condition of a discriminator."""
    return _unit(source, pixels.input_range, pixels.layout)


def _unit(tensor: Tensor, bounds: tuple[float, float], layout: str) -> Tensor:
    low, high = bounds
    unit = (tensor - low) / (high - low)
    return unit.permute(0, 3, 1, 2) if layout == "nhwc" else unit


def _gaussian(dtype: torch.dtype, device: torch.device) -> Tensor:
    offsets = torch.arange(WINDOW, dtype=dtype, device=device) - WINDOW // 2
    kernel = torch.exp(-(offsets**2) / (2 * _SIGMA**2))
    return kernel / kernel.sum()
