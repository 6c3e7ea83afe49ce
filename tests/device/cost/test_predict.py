from dataclasses import replace

import numpy as np
import pytest

from decig.device.cost.designs import first_designs
from decig.device.cost.predict import Predictor, _looked_at
from decig.device.cost.table import NodeCost
from decig.errors import BadInputError
from decig.graph.channels import Port
from decig.graph.plan import FLOOR
from tests.device.tables import GROUPS, latency, make_table, true_nodes

pytestmark = pytest.mark.numeric


@pytest.fixture(scope="module")
def predictor():
    return Predictor(make_table())


def test_the_whole_model_is_the_measured_one(predictor):
    assert predictor.predict_ms({}) == pytest.approx(predictor.baseline_ms)


def test_unseen_widths(predictor):
    for widths in first_designs(GROUPS, 40, seed=7)[6:]:
        truth = 1.02 * 1.1 * sum(true_nodes(widths).values()) / 1000
        assert predictor.predict_ms(widths) == pytest.approx(truth, rel=0.05)


def test_many_plans_are_the_single_ones(predictor):
    designs = first_designs(GROUPS, 10, seed=3)
    rows = np.array([[widths[name] for name in predictor.groups] for widths in designs])
    singly = [predictor.predict_ms(widths) * 1000 for widths in designs]
    assert predictor.predict_many(rows) == pytest.approx(singly)


def test_terms_add_up(predictor):
    designs = first_designs(GROUPS, 10, seed=4)
    rows = np.array([[widths[name] for name in predictor.groups] for widths in designs])
    terms = list(predictor.terms())
    assert {term.groups for term in terms} == {(), (0,), (0, 1), (1, 2), (0, 2)}
    us = sum(term.us(rows[:, list(term.groups)]) for term in terms)
    assert us == pytest.approx(predictor.predict_many(rows))


def test_nodes_add_up_to_what_lies_not_between_them(predictor):
    for widths in first_designs(GROUPS, 4, seed=5):
        found = predictor.node_us(widths)
        *_, between = predictor.terms()
        total_us = sum(found.values()) + between.us(np.zeros((1, 0)))[0]
        assert total_us == pytest.approx(1000 * predictor.predict_ms(widths))
        assert found.keys() <= true_nodes(widths).keys()


def test_what_lies_between_the_nodes():
    table = make_table(beyond=1.0, drift=1.0)
    longer = tuple(
        replace(point, latency_us=latency(point.latency_us.median + 500.0)) for point in table.sweep
    )
    predictor = Predictor(replace(table, sweep=longer, latency_us=longer[0].latency_us))
    narrow = dict.fromkeys(GROUPS, 4)
    truth = 500.0 + sum(true_nodes(narrow).values())
    assert predictor.predict_ms(narrow) * 1000 == pytest.approx(truth, rel=0.05)


def test_a_single_design_leaves_nothing_between_the_nodes():
    """Nodes and what lies between them cannot be told apart: rounding must not share out."""
    table = make_table(beyond=1.5)
    predictor = Predictor(replace(table, sweep=table.sweep[:1]))
    between = sum(part.us(np.zeros((1, 0)))[0] for part in predictor.terms() if not part.groups)
    assert between < 1e-3 * predictor.baseline_ms * 1000


def test_half_a_channel_is_none():
    """A node that reads half of a group, as behind a Slice, has whole channels as in its table."""
    table = make_table()
    full, port = {**GROUPS, "h": 96}, Port({"h": 48}, 0)
    half = NodeCost("half", "Conv", 1.0, 0.0, None, "half", (port, port))
    points = [
        replace(
            point, widths={**point.widths, "h": kept}, nodes={**point.nodes, "half": 9.0 * kept}
        )
        for point, kept in zip(table.sweep, np.linspace(96, 2, 26).astype(int), strict=True)
    ]
    predictor = Predictor(replace(table, groups=full, nodes=[*table.nodes, half], sweep=points))
    even, odd = (
        [predictor.predict_ms({"h": width}) for width in range(start, 96, 2)] for start in (2, 3)
    )
    assert odd == pytest.approx(even)


def test_doubt_is_least_where_it_was_measured(predictor):
    rows = np.array([[64, 128, 64], [63, 126, 61]])
    measured, unseen = predictor.doubt(rows)
    assert 0 < measured < unseen < 0.2


def test_candidates_end_stairs(predictor):
    assert all(widths[-1] == GROUPS[name] for name, widths in predictor.candidates.items())
    assert {16, 32, 48, 64} <= set(predictor.candidates["a"])
    # "c" only meets smooth nodes: every channel saves something.
    assert predictor.candidates["c"] == list(range(4, 65))


@pytest.mark.parametrize("full", [5, 20, 127, 128, 256, 300, 384, 512, 768, 1000, 1024, 2048, 5000])
def test_the_ends_of_blocks_are_looked_at_whatever_the_group_is(full):
    looked_at = _looked_at(full)
    assert set(range(16, full, 16)) <= set(looked_at)
    assert min(looked_at) in (FLOOR, 8, 16) and len(looked_at) < max(full / 16 + 1, 260)
    if full < 256:
        assert list(looked_at) == list(range(FLOOR, full))


def test_needs_a_sweep():
    with pytest.raises(BadInputError, match="no width sweep"):
        Predictor(make_table(sweep=False))
