import numpy as np
import pytest

from decig.device.cost.surface import Surface

pytestmark = pytest.mark.numeric


def draws(count, seed=0):
    rng = np.random.default_rng(seed)
    x, y = rng.integers(4, 129, (2, count)).astype(float)
    y[::2] = y[::2] // 16 * 16 + 16
    x[::3] = x[::3] // 16 * 16 + 16
    return x, y, rng


def test_goes_through_what_was_measured():
    x, y, rng = draws(60)
    us = (100 + 0.5 * x * y) * rng.normal(1, 0.05, 60)
    found = Surface(x, y, us)
    assert np.abs(found(x, y) / us - 1).mean() < 0.5 * np.abs(found.stairs(x, y) / us - 1).mean()


def test_learns_a_kernel_that_no_stairs_describe():
    def kernel(x, y):  # a bump at middling sizes, such as a cache that is just too small
        return (100 + 0.5 * x * y) * (1 + 0.3 * np.exp(-(np.log(x * y / 2500) ** 2)))

    x, y, _ = draws(60)
    found = Surface(x, y, kernel(x, y))
    ux, uy, _ = draws(40, seed=1)
    error = np.abs(found(ux, uy) / kernel(ux, uy) - 1)
    assert np.median(error) < 0.03
    assert np.median(error) < 0.6 * np.median(np.abs(found.stairs(ux, uy) / kernel(ux, uy) - 1))


def test_a_rewrite_that_applies_to_wide_whole_blocks():
    def kernel(x, y):
        rewritten = (x % 16 == 0) & (y % 16 == 0) & (x * y >= 2000)
        return np.where(rewritten, 50 + 0.4 * x * y, 0.5 * x * y)

    x, y, _ = draws(120)
    found = Surface(x, y, kernel(x, y))
    at = np.array([[128.0, 128.0], [126.0, 127.0], [16.0, 16.0], [96.0, 112.0]]).T
    assert found(*at) == pytest.approx(kernel(*at), rel=0.1)


def test_repeated_points_are_one_point_that_is_surer():
    x, y, us = np.full(8, 32.0), np.full(8, 16.0), np.full(8, 500.0)
    once, often = Surface(x[:1], y[:1], us[:1]), Surface(x, y, us)
    assert often(x[:1], y[:1]) == pytest.approx([500.0], rel=0.01)
    assert often.doubt(x[:1], y[:1])[0] < once.doubt(x[:1], y[:1])[0]


def test_doubt_grows_with_distance():
    x, y = np.array([32.0, 48.0]), np.array([32.0, 48.0])
    found = Surface(x, y, np.array([2000.0, 4000.0]))
    near, beside, far, misaligned = found.doubt(
        np.array([32.0, 36.0, 512.0, 33.0]), np.array([32.0, 36.0, 512.0, 33.0])
    )
    assert near < beside < far < 0.25
    assert misaligned > beside
