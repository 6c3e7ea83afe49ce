from dataclasses import replace

import numpy as np
import pytest

from decig.device.cost.predict import Predictor
from decig.device.cost.sweep import Sweep, first_designs, next_designs
from decig.device.measure.nodes import NodeTimes
from decig.device.run.session import DeviceOptions
from decig.device.run.timing import Latency
from tests.device.graphs import style_net
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


def test_measures_designs_at_one_pace():
    names = [node.name for node in style_net().graph.node]
    sweep = Sweep(lambda w: style_net(w["width"]), {"width": 16}, names, DeviceOptions())
    points = [sweep.measure({"width": width}) for width in (16, 8)]
    assert [point.widths["width"] for point in points] == [16, 8]
    assert all(pace > 0 for pace in sweep.pace)
    assert len(sweep.pace) == 2
    assert sweep.unsteadiness >= 0.0
    for point in points:
        assert list(point.nodes) == names
        assert point.latency.median > 0
        assert all(us >= 0 for us in point.nodes.values())


def measured(monkeypatch, *times):
    """Let measurements find these microseconds of the design and of the slim version beside it."""
    found = iter(times)

    def measure_nodes(*_, beside, **__):
        us, slim = next(found)
        beside._seen = [slim * 1.1, slim]
        return node_times(us, beside=slim)

    monkeypatch.setattr("decig.device.cost.sweep.measure_nodes", measure_nodes)


def test_a_slower_machine_is_the_same_machine(monkeypatch):
    measured(monkeypatch, (50.0, 50.0), (100.0, 50.0), (110.0, 55.0))
    sweep = Sweep(lambda w: style_net(w["width"]), {"width": 16}, ["n"], DeviceOptions())
    first, second = sweep.measure({"width": 16}), sweep.measure({"width": 16})
    assert second.latency.median == pytest.approx(first.latency.median)
    assert second.nodes == pytest.approx(first.nodes)
    assert sweep.pace == [1.0, 1.1]
    assert sweep.unsteadiness == pytest.approx(0.048, abs=0.01)


def test_what_was_measured_at_half_the_pace_is_measured_again(monkeypatch):
    measured(monkeypatch, (50.0, 50.0), (170.0, 90.0), (171.0, 90.0), (100.0, 51.0))
    sweep = Sweep(lambda w: style_net(w["width"]), {"width": 16}, ["n"], DeviceOptions())
    assert sweep.measure({"width": 16}).latency.median == pytest.approx(100 / 1.02)
    assert sweep.pace == [1.02]


def test_the_profiler_is_not_part_of_a_run(monkeypatch):
    measured(monkeypatch, (56.0, 50.0), (100.0, 50.0))
    sweep = Sweep(lambda w: style_net(w["width"]), {"width": 16}, ["n"], DeviceOptions())
    assert sweep.measure({"width": 8}).latency.median == pytest.approx(94.0)


def node_times(us: float, *, beside: float) -> NodeTimes:
    return NodeTimes(Latency(us, 0.0, us, 5), us, 1.0, {"n": us}, {}, {}, beside)


def test_layers_timed_alone_have_a_pace_of_their_own(monkeypatch):
    measured(monkeypatch, (50.0, 50.0), (110.0, 55.0))
    sweep = Sweep(lambda w: style_net(w["width"]), {"width": 16}, ["n"], DeviceOptions())
    times = replace(node_times(110.0, beside=55.0), alone=True)
    monkeypatch.setattr(sweep, "times", lambda *_, **__: times)
    sweep._beside._seen = [55.0]
    point = sweep.measure({"width": 16})
    assert point.latency.median == pytest.approx(100.0)
    assert point.nodes == {"n": 110.0}


def test_so_is_what_was_measured_at_twice_the_pace(monkeypatch):
    measured(monkeypatch, (50.0, 50.0), (60.0, 26.0), (100.0, 51.0))
    sweep = Sweep(lambda w: style_net(w["width"]), {"width": 16}, ["n"], DeviceOptions())
    assert sweep.measure({"width": 16}).latency.median == pytest.approx(100 / 1.02)


def test_a_machine_that_stays_at_another_pace_is_taken_as_it_is(monkeypatch):
    measured(monkeypatch, (50.0, 50.0), *[(200.0, 100.0)] * 100)
    sweep = Sweep(lambda w: style_net(w["width"]), {"width": 16}, ["n"], DeviceOptions())
    found = [sweep.measure({"width": 16}).latency.median for _ in range(3)]
    assert found == pytest.approx([100.0] * 3)
