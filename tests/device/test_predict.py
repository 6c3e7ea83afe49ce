import numpy as np
import pytest

from decig.device.predict import Predictor
from decig.device.sweep import width_designs
from decig.errors import BadInputError

from .tables import GROUPS, make_table, true_nodes


@pytest.fixture(scope="module")
def predictor():
    return Predictor(make_table())


def test_the_whole_model_is_the_measured_one(predictor):
    assert predictor.predict_ms({}) == pytest.approx(predictor.baseline_ms)


def test_unseen_widths(predictor):
    for widths in width_designs(GROUPS, 40, seed=7)[6:]:
        truth = 1.02 * 1.1 * sum(true_nodes(widths).values()) / 1000
        assert predictor.predict_ms(widths) == pytest.approx(truth, rel=0.05)


def test_many_plans_are_the_single_ones(predictor):
    designs = width_designs(GROUPS, 10, seed=3)
    rows = np.array([[widths[name] for name in predictor.groups] for widths in designs])
    singly = [predictor.predict_ms(widths) * 1000 for widths in designs]
    assert predictor.predict_many(rows) == pytest.approx(singly)


def test_nodes(predictor):
    assert predictor.node_us("mid", 64, 100) == pytest.approx(
        predictor.node_us("mid", 64, 112), rel=0.03
    )
    assert predictor.node_us("mid", 64, 112) < predictor.node_us("mid", 64, 113)
    assert predictor.node_us("relu", 64, 64) == 0.0


def test_candidates_end_stairs(predictor):
    assert all(widths[-1] == GROUPS[name] for name, widths in predictor.candidates.items())
    assert {16, 32, 48, 64} <= set(predictor.candidates["a"])
    # "c" only meets smooth nodes: every multiple of four saves something.
    assert predictor.candidates["c"] == list(range(4, 65, 4))


def test_needs_a_sweep():
    with pytest.raises(BadInputError, match="no width sweep"):
        Predictor(make_table(sweep=False))
