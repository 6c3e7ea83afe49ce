import numpy as np
import pytest

from decig.device.cost.stairs import SMOOTH, Shape, fit_stairs


def draws(count=80, seed=0):
    rng = np.random.default_rng(seed)
    x = rng.integers(4, 129, count)
    y = rng.integers(4, 129, count)
    x[: count // 2] = x[: count // 2] // 16 * 16 + 16
    return x.astype(float), y.astype(float), rng


def ceil(values, step):
    return np.ceil(values / step) * step


def test_finds_a_smooth_surface():
    x, y, rng = draws()
    us = (50 + 2 * y + 0.5 * x * y) * rng.normal(1, 0.01, len(x))
    found = fit_stairs(x, y, us)
    assert found.shape == SMOOTH
    assert found(x, y) == pytest.approx(us, rel=0.05)


def test_finds_the_stairs_of_the_outputs():
    x, y, rng = draws()
    us = (100 + 0.5 * x * ceil(y, 16)) * rng.normal(1, 0.01, len(x))
    found = fit_stairs(x, y, us)
    assert found.shape.step == 16
    at = np.full(3, 64.0), np.array([17.0, 32.0, 33.0])
    level, same, next_level = found(*at)
    assert level == pytest.approx(same, rel=0.03)
    assert next_level > 1.3 * level


def test_finds_the_blocked_regime():
    x, y, rng = draws(160)
    blocked = 200 + 0.3 * ceil(x, 16) * ceil(y, 16)
    us = np.where(x < 16, 20 + 0.2 * x * ceil(y, 16), np.where(x % 4 == 0, blocked, 0.6 * x * y))
    found = fit_stairs(x, y, us * rng.normal(1, 0.01, len(x)))
    assert found.shape == Shape(16, True, 16)
    assert found.error < 0.05
    assert found(np.array([20.0]), np.array([64.0])) == pytest.approx(
        found(np.array([32.0]), np.array([64.0]))
    )


def test_a_regime_without_points_is_not_free():
    x = np.array([16.0, 32.0, 48.0, 64.0] * 6)
    y = np.tile(np.array([16.0, 17.0, 40.0, 64.0, 33.0, 20.0]), 4)
    found = fit_stairs(x, y, 0.5 * x * ceil(y, 16))
    beside = found(np.array([31.0]), np.array([64.0]))
    assert beside > 0.3 * found(np.array([32.0]), np.array([64.0]))


def test_constant_nodes():
    found = fit_stairs(np.full(6, 3.0), np.full(6, 3.0), np.full(6, 70.0))
    assert found(np.array([3.0]), np.array([3.0])) == pytest.approx(70.0, rel=0.01)
