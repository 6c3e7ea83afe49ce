import numpy as np
import pytest

from decig.errors import BadInputError
from decig.quality import metrics
from decig.quality.multiscale import SMALLEST_SIDE, WEIGHTS, ms_ssim


def _waves(height: int = 192, width: int = 208) -> np.ndarray:
    """One picture 1,H,W,3 of soft waves, another one for R, G and B."""
    y, x = np.mgrid[0:height, 0:width] / 192
    bands = [np.sin(k * x + (9 - k) * y) / 2 + 0.5 for k in (2.0, 5.0, 8.0)]
    return np.stack(bands, -1)[None]


def _disturbed(a: np.ndarray) -> np.ndarray:
    """The waves with a fine and a coarse disturbance."""
    y, x = np.mgrid[0 : a.shape[1], 0 : a.shape[2]] / 192
    fine, coarse = 0.1 * np.sin(150 * x * y), 0.05 * np.sin(20 * x)
    return (a + (fine + coarse)[None, ..., None]).clip(0, 1)


def test_what_another_library_finds():
    # pytorch-msssim 1.0.0, ms_ssim(a, b, data_range=1.0), its window and weights in float64.
    a = _waves()
    assert ms_ssim(a, _disturbed(a)) == pytest.approx(0.7171197923, abs=1e-9)


def test_equal_pictures():
    a = _waves(SMALLEST_SIDE, SMALLEST_SIDE).astype(np.float32)
    assert ms_ssim(a, a) == pytest.approx(1)
    assert ms_ssim(a, 1 - a) < 0.1  # opposite structure counts as none


def test_flat_pictures_differ_in_the_brightness_of_the_coarsest_scale():
    a, b = np.full((1, 192, 192, 3), 0.4), np.full((1, 192, 192, 3), 0.6)
    brightness = (2 * 0.4 * 0.6 + 1e-4) / (0.4**2 + 0.6**2 + 1e-4)
    assert ms_ssim(a, b) == pytest.approx(brightness ** WEIGHTS[-1])


def test_fine_errors_count_less_than_in_ssim():
    a = _waves()
    speckled = a + 0.1 * np.random.default_rng(0).normal(size=a.shape)
    assert ms_ssim(a, speckled) > metrics.ssim(a, speckled) + 0.1


def test_odd_sizes_repeat_their_last_row_and_column():
    a, b = _waves(191, 207), _disturbed(_waves(191, 207))
    repeated = [np.pad(t, ((0, 0), (0, 1), (0, 1), (0, 0)), mode="edge") for t in (a, b)]
    assert ms_ssim(a, b) == pytest.approx(ms_ssim(*repeated), abs=5e-3)
    assert ms_ssim(a, b) != ms_ssim(a[:, :-1, :-1], b[:, :-1, :-1])


def test_the_mean_of_the_pictures_own():
    a = _waves()
    b = _disturbed(a)
    both = ms_ssim(np.concatenate([a, a]), np.concatenate([a, b]))
    assert both == pytest.approx((1 + ms_ssim(a, b)) / 2)


def test_wrong_input():
    with pytest.raises(BadInputError, match="cannot compare"):
        ms_ssim(_waves(), _waves(192, 192))
    small = _waves(SMALLEST_SIDE - 1, 200)
    with pytest.raises(BadInputError, match=r"at least 161x161 pixels, not 160x200"):
        ms_ssim(small, small)
