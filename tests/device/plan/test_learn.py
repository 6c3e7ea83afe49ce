from dataclasses import replace

import numpy as np
import pytest

from decig.device.cost.predict import Predictor
from decig.device.plan.learn import Learner
from decig.device.plan.tighten import meet_target
from tests.device.plan.test_planner import losses, total
from tests.device.tables import GROUPS, latency, make_table, true_nodes


class Device:
    """As the table's, but that a width of `b` on a stair of 16 takes another kernel."""

    def __init__(self, table):
        self.scale = table.latency_us.median / sum(true_nodes(GROUPS).values()) / 1000
        self.seen = []

    def nodes(self, widths):
        nodes = true_nodes(widths)
        if widths["b"] % 16 == 0 and widths["b"] < GROUPS["b"]:
            nodes["mid"] *= 1.5
        return nodes

    def __call__(self, widths):
        self.seen.append(widths)
        return latency(1000 * self.ms(widths))

    def ms(self, widths):
        return self.scale * sum(self.nodes(widths).values())


@pytest.fixture(scope="module")
def table():
    return make_table()


@pytest.mark.parametrize(
    ("slower", "rel"),
    [(1.0, 0.01), (1.1, 0.05)],  # the surfaces are smooth: they go half of the way to one point
)
def test_a_measured_plan_is_predicted_as_measured(slower, rel):
    table = make_table(beyond=1.3)  # outside of the kernels, a third of their time is spent, too
    widths, nodes = {"a": 20, "b": 48, "c": 33}, true_nodes({"a": 20, "b": 48, "c": 33})
    nodes["mid"] *= 1.4
    before, taken = Predictor(table), len(table.sweep)
    measured = slower * before.predict_ms(widths)
    after = Learner(table, lambda _: nodes, before)(widths, measured)
    assert after.predict_ms(widths) == pytest.approx(measured, rel=rel)
    assert after.baseline_ms == before.baseline_ms
    assert len(table.sweep) == taken


def test_a_plan_of_which_only_the_whole_was_timed_teaches_too(table):
    table = replace(table, timed_alone=True)
    widths = {"a": 20, "b": 48, "c": 33}
    before = Predictor(table)
    measured = 1.15 * before.predict_ms(widths)
    after = Learner(table, lambda _: {}, before)(widths, measured)
    assert after.predict_ms(widths) == pytest.approx(measured, rel=0.05)
    assert after.baseline_ms == before.baseline_ms


def test_the_pace_of_the_profile_does_not_matter(table):
    widths = {"a": 20, "b": 48, "c": 33}
    slow, quick = (
        Learner(
            table,
            lambda _, f=f: {n: f * us for n, us in true_nodes(widths).items()},
            Predictor(table),
        )
        for f in (2.0, 0.5)
    )
    found = [learner(widths, 0.01).predict_ms(widths) for learner in (slow, quick)]
    assert found[0] == pytest.approx(found[1])


def test_all_plans_that_were_taken_in_are_known(table):
    learner = Learner(table, lambda widths: true_nodes(widths), Predictor(table))
    plans = [{"a": 20, "b": 48, "c": 33}, {"a": 44, "b": 16, "c": 9}]
    for widths in plans:
        predictor = learner(widths, 1.3 * Predictor(table).predict_ms(widths))
    for widths in plans:
        assert predictor.predict_ms(widths) > 1.1 * Predictor(table).predict_ms(widths)


@pytest.mark.parametrize("seed", range(3))
def test_a_plan_that_learns_keeps_no_less(table, seed):
    loss, target = losses(seed), Predictor(table).baseline_ms / 3
    plain, learning = Device(table), Device(table)
    without = meet_target(Predictor(table), loss, target, plain)
    learner = Learner(table, learning.nodes, Predictor(table))
    met = meet_target(Predictor(table), loss, target, learning, learner)
    assert met.measured_ms == pytest.approx(learning.ms(met.widths))
    assert met.measured_ms <= 1.01 * target
    assert len(learning.seen) <= 9
    most = sum(curve[0] for curve in loss.values())
    assert total(loss, met.widths) <= total(loss, without.widths) + 0.01 * most
    assert np.isfinite(met.measured_ms)
