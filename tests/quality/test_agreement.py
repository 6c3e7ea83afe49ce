import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from decig.quality.agreement import NOTHING, LabelCounts

MAPS = arrays(np.int64, (4, 5), elements=st.integers(-1, 3))


@given(st.lists(st.tuples(MAPS, MAPS), min_size=1, max_size=3))
def test_the_figures_are_those_of_all_pixels_together(pairs):
    counts = LabelCounts(4)
    for wanted, found in pairs:
        counts.add(wanted, found)
    wanted, found = (np.concatenate(each).reshape(-1) for each in zip(*pairs, strict=True))
    wanted, found = wanted[wanted != NOTHING], found[wanted != NOTHING]
    got = counts.result()
    if not len(wanted):
        assert np.isnan(got.accuracy) and np.isnan(got.mean_iou)
        return
    assert got.accuracy == pytest.approx((wanted == found).mean())
    shares = [
        ((wanted == label) & (found == label)).sum() / ((wanted == label) | (found == label)).sum()
        for label in range(4)
        if ((wanted == label) | (found == label)).any()
    ]
    assert got.mean_iou == pytest.approx(np.mean(shares))


def test_what_is_found_and_no_label_is_a_mistake():
    counts = LabelCounts(2)
    counts.add(np.array([[0, 0, 1, 1]]), np.array([[0, 9, 1, -1]]))
    assert counts.result().accuracy == 0.5
    assert counts.result().mean_iou == 0.5
