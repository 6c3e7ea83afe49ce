import numpy as np

from decig.device.cost.designs import first_designs, next_designs
from decig.device.cost.predict import Predictor
from tests.device.tables import make_table

GROUPS = {"a": 32, "b": 128, "c": 9, "tiny": 2}


def test_designs_are_reproducible_and_in_range():
    designs = first_designs(GROUPS, 26)
    assert designs == first_designs(GROUPS, 26)
    assert designs != first_designs(GROUPS, 26, seed=1)
    assert len(designs) == 26
    for name, full in GROUPS.items():
        widths = {design[name] for design in designs}
        assert min(full, 4) == min(widths)
        assert max(widths) == full


def test_uniform_designs_come_first():
    shares = [design["b"] / 128 for design in first_designs(GROUPS, 26)[:6]]
    assert shares == [1, 3 / 4, 1 / 2, 3 / 8, 1 / 4, 1 / 8]


def test_mixed_designs_leave_the_diagonal():
    designs = first_designs({"a": 128, "b": 128}, 26)[6:]
    a, b = (np.array([design[name] for design in designs]) for name in "ab")
    assert abs(np.corrcoef(a, b)[0, 1]) < 0.5
    assert sum(a % 16 == 0) >= 8
    assert sum(a % 4 != 0) >= 2


def test_further_designs_go_where_doubt_is():
    predictor = Predictor(make_table())
    designs, doubt = next_designs(predictor, 6, np.random.default_rng(0))
    again, _ = next_designs(predictor, 6, np.random.default_rng(0))
    assert designs == again
    rows = np.array([[design[name] for name in predictor.groups] for design in designs])
    assert np.median(predictor.doubt(rows)) > doubt
    for design in designs[::2]:
        assert all(width in predictor.candidates[name] for name, width in design.items())
    assert any(width % 4 for design in designs[1::2] for width in design.values())
