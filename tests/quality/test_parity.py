import numpy as np
import pytest

from decig.errors import BadInputError
from decig.quality.parity import finite_range, max_abs_diff


def test_relative_to_the_given_or_the_covered_range():
    a = np.array([0.0, 50.0, 100.0])
    b = a + np.array([0, 1, 0])
    assert max_abs_diff(a, b, (0, 200)) == pytest.approx(0.005)
    assert max_abs_diff(a, b) == pytest.approx(0.01)
    assert max_abs_diff(a, a) == 0


def test_constant_reference():
    assert max_abs_diff(np.ones(3), np.ones(3) * 1.5) == pytest.approx(0.5)


def test_nan_never_passes():
    assert max_abs_diff(np.zeros(3), np.array([0, np.nan, 0])) == float("inf")
    assert max_abs_diff(np.array([0, np.inf, 1]), np.zeros(3)) == float("inf")


def test_shapes_must_match():
    with pytest.raises(BadInputError, match=r"\(3,\) and \(4,\)"):
        max_abs_diff(np.zeros(3), np.zeros(4))


def test_what_is_not_finite_in_both_is_equal():
    a = np.array([0, np.nan, np.inf, -np.inf, 2.0])
    assert max_abs_diff(a, a) == 0
    assert max_abs_diff(a, np.array([1, np.nan, np.inf, -np.inf, 2.0])) == pytest.approx(0.5)
    assert max_abs_diff(a, np.array([0, np.nan, -np.inf, -np.inf, 2.0])) == float("inf")
    assert max_abs_diff(np.array([np.nan]), np.array([np.nan])) == 0


def test_the_range_of_what_is_finite():
    assert finite_range(np.array([np.nan, 3, np.inf, -1])) == (-1, 3)
    assert finite_range(np.array([np.nan])) == (0, 0)
    assert finite_range(np.array(["a"], object)) == (0, 0)


def test_text_is_equal_or_not():
    words = np.array(["a", "b"], object)
    assert max_abs_diff(words, words) == 0
    assert max_abs_diff(words, np.array(["a", "c"], object)) == float("inf")
