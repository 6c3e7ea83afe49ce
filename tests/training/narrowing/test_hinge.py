import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from decig.training.narrowing.hinge import find_hinge


def test_finds_the_end_of_condensed_channels() -> None:
    magnitudes = np.concatenate([np.linspace(3, 2, 10), np.full(22, 0.01)])
    assert find_hinge(np.random.default_rng(0).permutation(magnitudes)) == 10


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
