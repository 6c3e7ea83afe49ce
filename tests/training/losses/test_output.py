import numpy as np
import pytest
import torch

from decig.data.pixels import PixelFormat
from decig.quality import metrics
from decig.training.losses.output import (
    OutputLoss,
    chroma,
    condition_of,
    gradient_difference,
    picture_of,
    ssim,
)


def pictures(seed: int) -> tuple["torch.Tensor", "torch.Tensor"]:
    generator = torch.Generator().manual_seed(seed)
    picture = torch.rand(2, 3, 48, 40, generator=generator)
    noise = 0.2 * torch.randn(2, 3, 48, 40, generator=generator)
    return picture, (picture + noise).clamp(0, 1)


def test_ssim_agrees_with_the_published_metric() -> None:
    picture, target = pictures(0)
    nhwc = [p.permute(0, 2, 3, 1).numpy() for p in (picture, target)]
    # scikit-image averages over the interior that its window covers, as this does.
    assert ssim(picture, target).item() == pytest.approx(metrics.ssim(*nhwc), abs=2e-3)


def test_every_term_is_zero_for_equal_pictures_and_positive_else() -> None:
    picture, target = pictures(1)
    loss = OutputLoss()
    assert loss(picture, picture).item() < 3e-3  # Charbonnier's epsilon
    assert loss(picture, target).item() > 0.1


def test_chroma_term_sees_lost_colour_that_luma_does_not() -> None:
    picture, _ = pictures(2)
    grey = picture.mean(1, keepdim=True).expand_as(picture)
    assert chroma(grey).abs().max() < 1e-6
    with_chroma, without = OutputLoss(chroma=1.0), OutputLoss(chroma=0.0)
    assert with_chroma(grey, picture) > without(grey, picture) + 0.05


def test_gradient_term_ignores_brightness() -> None:
    picture, target = pictures(3)
    assert gradient_difference(picture + 0.3, picture).item() == pytest.approx(0, abs=1e-6)
    assert gradient_difference(picture, target).item() > 0.1


def test_loss_has_gradients_for_all_pixels() -> None:
    picture, target = pictures(4)
    picture.requires_grad_(True)
    OutputLoss()(picture, target).backward()
    assert picture.grad is not None and (picture.grad != 0).float().mean() > 0.99


@pytest.mark.parametrize("layout", ["nchw", "nhwc"])
def test_pictures_and_conditions_come_in_the_unit_range(layout: str) -> None:
    pixels = PixelFormat((0.0, 255.0), (-1.0, 1.0), layout)
    image = np.full((1, 4, 6, 3), 255, np.uint8)
    source = torch.from_numpy(pixels.to_tensor(image))
    assert condition_of(source, pixels).shape == (1, 3, 4, 6)
    assert condition_of(source, pixels).min() == 1
    assert picture_of(torch.zeros_like(source), pixels).max() == 0.5
