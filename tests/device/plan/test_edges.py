from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from decig.device.cost.predict import Predictor
from decig.device.cost.table import CostTable
from decig.device.plan.edges import to_stair_edges

TABLES = sorted((Path(__file__).parents[3] / "profiles").glob("*.json"))


class Stairs:
    """A predictor of two groups whose time rises every 16 channels, the more the wider both are.

    Group b has a cliff: beyond 32 channels it takes ten times as long beside a narrow group a.
    """

    def __init__(self, cliff=False):
        self.groups = {"a": 64, "b": 64}
        self.candidates = {"a": [16, 32, 48, 64], "b": [16, 32, 64 if cliff else 48, 64]}
        self.cliff = cliff

    def predict_many(self, widths):
        a, b = (np.ceil(column / 16) for column in widths.T)
        beyond = 10.0 * (widths[:, 1] > 32) * (a < 3) if self.cliff else 0.0
        return a * b + beyond


def test_groups_go_up_to_the_edge_and_no_further():
    found = to_stair_edges(Stairs(), {"a": 20, "b": 33})
    assert found == {"a": 32, "b": 48}
    assert to_stair_edges(Stairs(), found) == found
    assert to_stair_edges(Stairs(), {"a": 64, "b": 16}) == {"a": 64, "b": 16}


def test_a_group_that_is_not_named_is_whole():
    assert to_stair_edges(Stairs(), {"b": 1}) == {"b": 16}


def test_where_all_edges_together_take_longer_those_that_do_not_are_taken():
    stairs = Stairs(cliff=True)
    stairs.candidates["b"] = [16, 40, 64]  # an edge beside a wide group a, none beside this one
    found = to_stair_edges(stairs, {"a": 17, "b": 30})
    assert found == {"a": 32, "b": 30}


@pytest.fixture(scope="module", params=TABLES, ids=lambda path: path.stem)
def predictor(request):
    return Predictor(CostTable.load(request.param))


@settings(max_examples=25, deadline=None)
@given(share=st.floats(0.05, 1.0), seed=st.integers(0, 99))
def test_of_a_real_table_more_channels_take_no_longer(predictor, share, seed):
    rng = np.random.default_rng(seed)
    widths = {
        name: max(4, min(full, round(full * share) + int(rng.integers(-3, 4))))
        for name, full in predictor.groups.items()
    }
    found = to_stair_edges(predictor, widths)
    assert found.keys() == widths.keys()
    assert all(widths[name] <= found[name] <= predictor.groups[name] for name in widths)
    assert predictor.predict_ms(found) <= 1.0021 * predictor.predict_ms(widths)
