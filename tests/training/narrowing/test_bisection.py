import pytest

from decig.training.narrowing.bisection import bisect


@pytest.mark.parametrize(("misses", "meets"), [(0.0, 4.0), (4.0, 0.0)])
def test_the_target_is_found_from_either_side(misses: float, meets: float) -> None:
    found = bisect(lambda point: (point < 1.25) == (misses < meets), misses, meets)
    assert found == pytest.approx((1.25, 1.25), abs=1e-5)
    assert (found[0] < found[1]) == (misses < meets)
