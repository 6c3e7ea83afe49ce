import numpy as np
import pytest
from scipy.ndimage import gaussian_filter

from decig.errors import BadInputError
from decig.quality import metrics

RNG = np.random.default_rng(0)


def _smooth(count: int = 2, size: int = 64) -> np.ndarray:
    """Pictures of soft blobs, float32 0..1."""
    y, x = np.mgrid[0:size, 0:size] / size
    waves = [
        np.sin(6 * (x * RNG.normal() + y * RNG.normal()) + RNG.normal()) for _ in range(3 * count)
    ]
    pictures = np.stack(waves).reshape(count, 3, size, size).transpose(0, 2, 3, 1)
    return (pictures / 2 + 0.5).astype(np.float32)


def _checkerboard(size: int) -> np.ndarray:
    return ((np.indices((size, size)).sum(axis=0) % 2) * 2 - 1)[None, :, :, None]


def test_equal_pictures():
    a = _smooth()
    assert metrics.ssim(a, a) == pytest.approx(1)
    assert metrics.psnr(a, a) == 100
    assert metrics.edge_difference(a, a) == 0


def test_psnr_of_a_known_error():
    a = np.full((1, 16, 16, 3), 0.5, np.float32)
    assert metrics.psnr(a, a + np.float32(0.1)) == pytest.approx(20, abs=1e-4)


def test_psnr_is_the_mean_of_the_pictures_own():
    a = np.zeros((2, 8, 8, 3), np.float32)
    b = a.copy()
    b[0] += 0.1
    b[1] += 0.01
    assert metrics.psnr(a, b) == pytest.approx(30, abs=1e-4)


def test_ssim_agrees_with_its_definition_on_flat_pictures():
    # No structure: only the luminance term is left, (2ab + C1) / (a^2 + b^2 + C1).
    a, b = np.full((1, 16, 16, 3), 0.4), np.full((1, 16, 16, 3), 0.6)
    assert metrics.ssim(a, b) == pytest.approx((0.48 + 1e-4) / (0.52 + 1e-4))


def test_ssim_is_its_equation_in_gaussian_windows():
    a, b = RNG.random((2, 1, 20, 24, 3))

    def mean(values: np.ndarray) -> np.ndarray:
        around = gaussian_filter(values, 1.5, axes=(0, 1), radius=5)
        return around[5:-5, 5:-5]  # windows within the picture

    mean_a, mean_b = mean(a[0]), mean(b[0])
    covariance = mean(a[0] * b[0]) - mean_a * mean_b
    variance = mean(a[0] ** 2) - mean_a**2 + mean(b[0] ** 2) - mean_b**2
    above = (2 * mean_a * mean_b + 1e-4) * (2 * covariance + 9e-4)
    below = (mean_a**2 + mean_b**2 + 1e-4) * (variance + 9e-4)
    assert metrics.ssim(a, b) == pytest.approx((above / below).mean(), abs=1e-6)


def test_ssim_falls_with_noise():
    a = _smooth()
    noise = RNG.normal(size=a.shape).astype(np.float32)
    little, much = (metrics.ssim(a, np.clip(a + s * noise, 0, 1)) for s in (0.02, 0.2))
    assert 1 > little > much > 0


def test_colour():
    grey = np.full((1, 4, 4, 3), 0.3, np.float32)
    assert metrics.colour(grey) == 0
    grey[..., 0] += 0.2
    assert metrics.colour(grey) == pytest.approx(0.2)


def test_edge_difference_sees_steps_along_both_axes_not_brightness():
    a = _smooth()[:, :, 8:]  # 64x56 pixels
    across, down, both = a.copy(), a.copy(), a.copy()
    for step in (across, both):
        step[:, :, 32:] += 0.3
    for step in (down, both):
        step[:, 20:] += 0.1
    assert metrics.edge_difference(a, a + np.float32(0.1)) == pytest.approx(0, abs=1e-6)
    for step, expected in ((across, 0.3 / 55), (down, 0.1 / 63), (both, 0.3 / 55 + 0.1 / 63)):
        assert metrics.edge_difference(a, step) == pytest.approx(expected / 2, rel=1e-3)


def test_pixel_grid_sees_a_checkerboard_and_not_noise():
    a = _smooth(size=128) * np.float32(0.9) + np.float32(0.05)
    noise = RNG.normal(scale=0.02, size=a.shape)
    board = 0.02 * _checkerboard(128)
    plain, noisy, grid = (metrics.pixel_grid((a + x).astype(np.float32)) for x in (0, noise, board))
    assert plain < 0.0005
    assert noisy < 0.002
    assert grid == pytest.approx(0.02 * 8 / 9, rel=0.05)


@pytest.mark.parametrize("metric", [metrics.ssim, metrics.psnr, metrics.edge_difference])
def test_shapes_must_match(metric):
    with pytest.raises(BadInputError, match="cannot compare"):
        metric(np.zeros((1, 16, 16, 3)), np.zeros((1, 16, 12, 3)))


def test_wrong_kinds_of_batch():
    with pytest.raises(BadInputError, match="uint8"):
        metrics.colour(np.zeros((1, 16, 16, 3), np.uint8))
    with pytest.raises(BadInputError, match="11x11"):
        metrics.ssim(np.zeros((1, 8, 8, 3)), np.zeros((1, 8, 8, 3)))
    with pytest.raises(BadInputError, match="12x12"):
        metrics.pixel_grid(np.zeros((1, 8, 8, 3)))
