from dataclasses import replace

import numpy as np
import pytest

from decig.device.cost.designs import first_designs
from decig.device.cost.predict import Predictor
from decig.device.cost.table import CostTable, SweepPoint
from decig.device.cost.whole_graphs import KindInPlans, WholeGraphCorrection
from decig.errors import BadInputError
from tests.device.tables import GROUPS, latency, make_table, true_nodes

pytestmark = pytest.mark.numeric

# What layers take inside a graph for each microsecond they take alone.
INSIDE = {"stem": 0.9, "norm": 0.4, "mid": 0.75, "skip": 1.2, "head": 0.8}


def true_us(widths):
    return 300.0 + sum(INSIDE[name] * us for name, us in true_nodes(widths).items())


def alone_table(wholes: int = 40) -> CostTable:
    """Twelve designs with their layers timed alone, then `wholes` without."""
    designs = [*first_designs(GROUPS, 12), *first_designs(GROUPS, wholes + 6, seed=5)[6:]]
    points = tuple(
        SweepPoint(widths, latency(true_us(widths)), true_nodes(widths) if index < 12 else {})
        for index, widths in enumerate(designs)
    )
    whole = latency(true_us(GROUPS))
    return replace(make_table(), sweep=points, latency_us=whole, timed_alone=True)


def errors(predictor):
    unseen = first_designs(GROUPS, 40, seed=7)[6:]
    return np.array([predictor.predict_ms(w) * 1000 / true_us(w) - 1 for w in unseen])


def test_whole_graphs_correct_layers_timed_alone():
    error = np.abs(errors(Predictor(alone_table())))
    assert np.median(error) < 0.02
    assert error.max() < 0.08


def test_more_whole_graphs_tell_more():
    few, many = Predictor(alone_table(0)), Predictor(alone_table(40))
    rows = np.array([list(w.values()) for w in first_designs(GROUPS, 30, seed=7)[6:]])
    assert np.median(np.abs(errors(many))) < 0.5 * np.median(np.abs(errors(few)))
    assert np.median(many.doubt(rows)) < np.median(few.doubt(rows))


def test_doubt_is_what_predictions_err_by():
    predictor = Predictor(alone_table(10))
    measured, unseen = predictor.doubt(np.array([[64, 128, 64], [63, 30, 5]]))
    assert 0 < measured < unseen < 0.3


def test_factors_of_two_kinds_are_told_apart():
    rng = np.random.default_rng(0)
    x, y = rng.integers(4, 128, (2, 40, 1))
    parts = [KindInPlans(x, x, 10.0 * x), KindInPlans(y, y, 10.0 * y)]
    correction = WholeGraphCorrection(parts, 0.0, (8.0 * x + 12.0 * y)[:, 0], np.zeros(len(x)))
    at = np.array([50, 70, 100])
    assert correction.factor(0, at, at) == pytest.approx([0.8] * 3, abs=0.05)
    assert correction.factor(1, at, at) == pytest.approx([1.2] * 3, abs=0.05)


def test_a_factor_stays_positive():
    x = np.full((6, 1), 32)
    correction = WholeGraphCorrection(
        [KindInPlans(x, x, np.full((6, 1), 1e4))], 0.0, np.full(6, 1.0), np.zeros(6)
    )
    assert (correction.factor(0, np.array([32, 4]), np.array([32, 4])) > 0).all()


def test_a_sweep_of_whole_graphs_alone_is_refused():
    table = alone_table()
    points = tuple(replace(point, nodes={}) for point in table.sweep)
    with pytest.raises(BadInputError, match="no width sweep"):
        Predictor(replace(table, sweep=points))


def test_travels_as_json(tmp_path):
    table = alone_table(4)
    table.save(tmp_path / "t.json")
    loaded = CostTable.load(tmp_path / "t.json")
    assert loaded.timed_alone
    assert loaded.sweep[-1].nodes == {}
    assert Predictor(loaded).predict_ms({}) == pytest.approx(table.latency_us.median_ms, rel=1e-4)
