import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from decig.training.narrowing.hinge import find_hinge


def test_finds_the_end_of_condensed_channels() -> None:
    magnitudes = np.concatenate([np.linspace(3, 2, 10), np.full(22, 0.01)])
    assert find_hinge(np.random.default_rng(0).permutation(magnitudes)) == 10


def test_the_hinge_lies_farthest_below_the_chord() -> None:
    # 1 - x - 1000^-x has its greatest value where 1000^-x = 1 / ln 1000, at 10.9 of 39 steps.
    assert find_hinge(np.geomspace(1, 1e-3, 40)) == 11


@pytest.mark.parametrize("sensitivity", [0.1, 0.25])
def test_a_bend_must_dip_further_than_the_sensitivity(sensitivity: float) -> None:
    for dip, found in ((sensitivity - 0.01, None), (sensitivity + 0.01, 1)):
        height = np.array([1.0, 0.5 - dip, 0.0])
        assert find_hinge(3 + 2 * height, sensitivity) == found
        if sensitivity == 0.1:
            assert find_hinge(3 + 2 * height) == found


@pytest.mark.parametrize("curve", [np.ones(8), np.linspace(5, 1, 9), np.array([3.0]), np.zeros(6)])
def test_tells_when_there_is_no_bend(curve: np.ndarray) -> None:
    assert find_hinge(curve) is None


@given(st.lists(st.floats(0, 1e6, allow_subnormal=False), min_size=3, max_size=64))
def test_order_does_not_matter(values: list[float]) -> None:
    curve = np.array(values)
    found = find_hinge(curve)
    assert found is None or 1 <= found < len(curve)
    assert find_hinge(curve[::-1]) == found


def test_scale_does_not_matter() -> None:
    curve = np.geomspace(1, 1e-3, 40)
    assert find_hinge(curve) == find_hinge(curve * 1e4) is not None
