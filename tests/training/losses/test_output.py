from typing import Any

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


def dark(seed: int) -> tuple["torch.Tensor", "torch.Tensor"]:
    """Two pictures of which hardly anything can be seen: the constants of the SSIM weigh most."""
    generator = torch.Generator().manual_seed(seed)
    one, other = 0.05 + 0.02 * torch.randn(2, 2, 3, 48, 40, generator=generator)
    return one, other


def as_arrays(*tensors: "torch.Tensor") -> list[np.ndarray]:
    """Pictures N,C,H,W as float64 N,H,W,C."""
    return [tensor.double().permute(0, 2, 3, 1).numpy() for tensor in tensors]


@pytest.mark.parametrize("pair", [pictures(0), dark(0)], ids=["light", "dark"])
def test_ssim_agrees_with_the_published_metric(pair: tuple["torch.Tensor", "torch.Tensor"]) -> None:
    # scikit-image averages over the interior that its window covers, as this does.
    wanted = metrics.ssim(*as_arrays(*pair))
    assert ssim(*(each.double() for each in pair)).item() == pytest.approx(wanted, abs=1e-6)


@pytest.mark.parametrize(
    "weights", [(0, 0, 0), (0.7, 0, 0), (0, 0.3, 0), (0, 0, 0.2), (0.7, 0.3, 0.2)]
)
def test_the_loss_is_the_weighted_sum_of_its_terms(weights: tuple[float, float, float]) -> None:
    picture, target = pictures(5)
    one, other = as_arrays(picture, target)
    difference = one - other

    def charbonnier(array: np.ndarray) -> float:
        return float(np.sqrt(array**2 + 1e-6).mean())

    terms = (
        charbonnier(difference - difference.mean(axis=-1, keepdims=True)),
        sum(float(np.abs(np.diff(difference, axis=axis)).mean()) for axis in (1, 2)),
        1 - metrics.ssim(one, other),
    )
    wanted = charbonnier(difference) + float(np.dot(weights, terms))
    assert OutputLoss(*weights)(picture, target).item() == pytest.approx(wanted, rel=1e-5)


@pytest.mark.parametrize("axis", [2, 3])
def test_gradients_of_either_axis_count(axis: int) -> None:
    flat = torch.zeros(1, 3, 12, 10)
    stripes = flat.clone().movedim(axis, 0)
    stripes[::2] = 0.5
    stripes = stripes.movedim(0, axis)
    assert gradient_difference(stripes, flat).item() == pytest.approx(0.5)


def test_ssim_blurs_with_the_channels_first(monkeypatch: pytest.MonkeyPatch) -> None:
    """With the channels last, a GPU computes this convolution in TF32."""
    picture, target = (each.to(memory_format=torch.channels_last) for each in pictures(0))
    blur, seen = torch.nn.functional.conv2d, []

    def watched(x: torch.Tensor, *rest: Any, **more: Any) -> torch.Tensor:
        seen.append(x.is_contiguous())
        return blur(x, *rest, **more)

    monkeypatch.setattr(torch.nn.functional, "conv2d", watched)
    ssim(picture, target)
    assert seen == [True, True]


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
