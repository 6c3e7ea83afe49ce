"""The pieces of the planning benchmark, on a small generator."""

import dataclasses

import numpy as np
import pytest
from bound import Bound
from macs import MacsCost
from planning import Bench, Row

from decig.deploy.cutter import Cutter
from decig.device.cost.profile import EFFORTS, profile_model
from decig.device.plan.bench import DeployedBench
from decig.device.plan.planner import plan_widths
from decig.device.plan.target import Target
from decig.device.run.device import Device
from decig.graph.cost import count
from decig.graph.slicing import slice_graph
from decig.source.resolve import resolve
from tests.device.bench import FakeBench
from tests.samples import write_generator

_ROUNDING = 1 + 1e-9
"""A bound and the plan that reaches it are two sums of the same numbers in another order."""


@pytest.fixture(scope="module")
def source(tmp_path_factory):
    return resolve(str(write_generator(tmp_path_factory.mktemp("m") / "m.onnx", width=16)))


@pytest.fixture(scope="module")
def table(source):
    return profile_model(source.model, Device.of(), effort=EFFORTS["quick"])


@pytest.mark.parametrize("widths", [{"conv1": 16, "conv2": 16}, {"conv1": 5, "conv2": 11}])
def test_the_macs_of_widths_are_those_of_the_sliced_graph(source, table, widths):
    cost, cutter = MacsCost(source.model.proto, table), Cutter(source)
    sliced = slice_graph(source.model.proto, cutter.channels, cutter.best(widths))
    share = count(sliced).macs / count(source.model.proto).macs
    assert cost.predict_ms(widths) == pytest.approx(share * table.latency_us.median_ms)
    cost.calibrate(widths, 7.0)
    assert cost.predict_ms(widths) == pytest.approx(7.0)


def test_any_width_may_be_planned_by_macs(source, table):
    cost = MacsCost(source.model.proto, table)
    assert cost.candidates == {name: list(range(4, 17)) for name in ("conv1", "conv2")}
    loss = {name: np.linspace(1, 0, 17) for name in cost.groups}
    target = 0.4 * table.latency_us.median_ms
    assert cost.predict_ms(plan_widths(cost, loss, target)) <= target


def test_macs_are_a_sum_over_nodes(source, table):
    cost = MacsCost(source.model.proto, table)
    widths = np.array([[16, 16], [5, 11], [4, 16]])
    us = sum(part.us(widths[:, list(part.groups)]) for part in cost.terms())
    assert us == pytest.approx(cost.predict_many(widths))


def test_no_plan_is_beyond_the_bound(source, table):
    cost = MacsCost(source.model.proto, table)
    loss = {name: np.linspace(1, 0, 17) ** 2 for name in cost.groups}
    bound, grid = Bound(cost, loss), np.array([[x, y] for x in range(4, 17) for y in range(4, 17)])
    us, lost = cost.predict_many(grid), sum(loss[n][grid[:, i]] for i, n in enumerate(cost.groups))
    for share in (0.2, 0.4, 0.7):
        ms = share * cost.baseline_ms
        best = lost[us <= ms * 1000].min()
        assert 0.8 * best <= bound.loss(ms) <= best * _ROUNDING
        quickest = us[lost <= best].min() / 1000
        assert 0.9 * quickest <= bound.ms(best) <= quickest * _ROUNDING


def test_verdicts():
    row = Row(
        "vm",
        "m",
        "cpu",
        1,
        "magnitude",
        4,
        10.0,
        9.0,
        True,
        kept=0.66,
        macs_ms=9.1,
        macs_kept=0.6,
        equal_ms=10.0,
        equal_kept=0.65,
        bound_kept=0.7,
        bound_ms=8.0,
    )
    assert row.on_target and row.better
    assert dataclasses.replace(row, kept=0.65).better is False
    assert dataclasses.replace(row, kept=0.65, equal_ms=10.6).better
    assert not dataclasses.replace(row, measured_ms=10.4).on_target
    assert not dataclasses.replace(row, measured_ms=8.4).on_target
    assert dataclasses.replace(row, kept=1.0).better is None
    unreachable = Row("vm", "m", "cpu", 1, "magnitude", 16, 10.0, 10.4, reached=False)
    assert unreachable.on_target and unreachable.better is None
    assert not dataclasses.replace(unreachable, measured_ms=9.0).on_target
    assert len({line.count("|") for line in (row.line(), unreachable.line())}) == 1


def test_importance_kept_is_all_of_the_whole_model_and_none_of_the_narrowest(source, table):
    bench = Bench(
        "m", source, Device.of(), Cutter(source, Target.of(table, source.model, force=False))
    )
    assert bench.kept({"conv1": 16, "conv2": 16}) == pytest.approx(1)
    assert bench.kept({"conv1": 4, "conv2": 4}) == pytest.approx(0)
    equal = bench.kept(bench.cut_to(0.5))
    assert 0.4 <= equal <= 0.5
    whole, fastest = bench.macs.groups, {"conv1": 4, "conv2": 4}
    ms = {True: 10.0, False: 1.0}
    work = count(source.model.proto).macs
    bench.measure = FakeBench(lambda proto: ms[count(proto).macs > 0.5 * work]).latency
    assert bench.cut_until(10.0) == whole
    found = bench.cut_until(2.0)  # nothing lies between 1 and 10
    assert fastest != found != whole
    assert bench.macs.predict_ms(found) <= 0.5 * bench.macs.baseline_ms
    assert bench.cut_until(0.5) is None
    bench.measure = DeployedBench(table, source.model).latency
    row = bench.row(1.01)
    assert row.target_ms == pytest.approx(table.latency_us.median_ms / 1.01)
    assert row.measured_ms > 0
