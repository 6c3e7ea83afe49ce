import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from decig.device.cost.stairs import SMOOTH, Shape, fit_stairs

pytestmark = pytest.mark.numeric


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


@given(st.integers(0, 999), st.sampled_from([6, 8, 12, 30]))
@settings(max_examples=60, deadline=None)
def test_of_shapes_that_fit_exactly_the_simplest_is_taken(seed, count):
    x, y, rng = draws(count, seed)
    a, b, c, d = rng.uniform([0, 0, 0, 0.05], [100, 5, 5, 1]) * (rng.random(4) < 0.7)
    found = fit_stairs(x, y, 1.0 + a + b * x + c * y + d * x * y)
    assert found.shape == SMOOTH


@given(st.integers(0, 999), st.sampled_from(["one width", "as many inputs as outputs", "any"]))
@settings(max_examples=60, deadline=None)
def test_the_order_of_the_points_does_not_matter(seed, kind):
    """Sums in another order are rounded otherwise; where nothing was measured it shows most."""
    x, y, rng = draws(12, seed)
    if kind != "any":
        x = np.full(12, 3.0) if kind == "one width" else y
    us = 60 + 0.5 * x * ceil(y, 16)
    order = rng.permutation(12)
    one, other = fit_stairs(x, y, us), fit_stairs(x[order], y[order], us[order])
    anywhere = rng.integers(1, 200, (2, 50)).astype(float)
    assert other.shape == one.shape
    assert other(*anywhere) == pytest.approx(one(*anywhere), rel=1e-6)


def test_features_that_no_point_tells_apart_count_once():
    x = np.array([8.0, 16.0, 20.0, 33.0, 40.0, 48.0, 57.0, 64.0])
    us = (50 + 2 * x) * np.array([1.03, 0.98, 1.01, 0.97, 1.02, 1.0, 0.99, 1.01])
    same, fixed = fit_stairs(x, x, us), fit_stairs(x, np.full(8, 3.0), us)
    assert same.error == pytest.approx(fixed.error, rel=0.3)
    assert same.weights[1] == pytest.approx(same.weights[2])


def test_channels_off_the_multiples_of_four_are_never_free():
    x = np.tile([4.0, 8.0, 12.0, 20.0, 36.0, 52.0, 64.0, 68.0], 6)
    y = np.repeat([4.0, 12.0, 20.0, 36.0, 52.0, 68.0], 8)
    us = np.where(x < 16, 20 + 0.2 * x * ceil(y, 16), 200 + 0.3 * ceil(x, 16) * ceil(y, 16))
    found = fit_stairs(x, y, us)
    beside = found(np.array([37.0]), np.array([37.0]))
    assert beside > 0.3 * found(np.array([36.0]), np.array([36.0]))
