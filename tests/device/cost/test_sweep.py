from dataclasses import replace

import pytest

from decig.device.cost.sweep import Sweep
from decig.device.measure.nodes import NodeTimes
from decig.device.run.device import Device
from decig.device.run.timing import Latency
from tests.device.graphs import style_net


def test_measures_designs_at_one_pace():
    names = [node.name for node in style_net().graph.node]
    sweep = Sweep(lambda w: style_net(w["width"]), {"width": 16}, names, Device.of())
    points = [sweep.measure({"width": width}) for width in (16, 8)]
    assert [point.widths["width"] for point in points] == [16, 8]
    assert all(pace > 0 for pace in sweep.pace)
    assert len(sweep.pace) == 2
    assert sweep.unsteadiness >= 0.0
    for point in points:
        assert list(point.nodes) == names
        assert point.latency_us.median > 0
        assert all(us >= 0 for us in point.nodes.values())


def measured(monkeypatch, *times):
    """Let measurements find these microseconds of the design and of the slim version beside it."""
    found = iter(times)

    def measure_nodes(*_, companion, **__):
        us, slim = next(found)
        companion._seen = [slim * 1.1, slim]
        return node_times(us, companion=slim)

    monkeypatch.setattr("decig.device.cost.sweep.measure_nodes", measure_nodes)


def test_a_slower_machine_is_the_same_machine(monkeypatch):
    measured(monkeypatch, (50.0, 50.0), (100.0, 50.0), (110.0, 55.0))
    sweep = Sweep(lambda w: style_net(w["width"]), {"width": 16}, ["n"], Device.of())
    first, second = sweep.measure({"width": 16}), sweep.measure({"width": 16})
    assert second.latency_us.median == pytest.approx(first.latency_us.median)
    assert second.nodes == pytest.approx(first.nodes)
    assert sweep.pace == [1.0, 1.1]
    assert sweep.unsteadiness == pytest.approx(0.048, abs=0.01)


def test_what_was_measured_at_half_the_pace_is_measured_again(monkeypatch):
    measured(monkeypatch, (50.0, 50.0), (170.0, 90.0), (171.0, 90.0), (100.0, 51.0))
    sweep = Sweep(lambda w: style_net(w["width"]), {"width": 16}, ["n"], Device.of())
    assert sweep.measure({"width": 16}).latency_us.median == pytest.approx(100 / 1.02)
    assert sweep.pace == [1.02]


def test_the_profiler_is_not_part_of_a_run(monkeypatch):
    measured(monkeypatch, (56.0, 50.0), (100.0, 50.0))
    sweep = Sweep(lambda w: style_net(w["width"]), {"width": 16}, ["n"], Device.of())
    assert sweep.measure({"width": 8}).latency_us.median == pytest.approx(94.0)


def node_times(us: float, *, companion: float) -> NodeTimes:
    return NodeTimes(Latency(us, 0.0, us, 5), us, 1.0, {"n": us}, {}, {}, companion)


def test_layers_timed_alone_have_a_pace_of_their_own(monkeypatch):
    measured(monkeypatch, (50.0, 50.0), (110.0, 55.0))
    sweep = Sweep(lambda w: style_net(w["width"]), {"width": 16}, ["n"], Device.of())
    times = replace(node_times(110.0, companion=55.0), alone=True)
    monkeypatch.setattr(sweep, "times", lambda *_, **__: times)
    sweep._pace_run._seen = [55.0]
    point = sweep.measure({"width": 16})
    assert point.latency_us.median == pytest.approx(100.0)
    assert point.nodes == {"n": 110.0}


def test_so_is_what_was_measured_at_twice_the_pace(monkeypatch):
    measured(monkeypatch, (50.0, 50.0), (60.0, 26.0), (100.0, 51.0))
    sweep = Sweep(lambda w: style_net(w["width"]), {"width": 16}, ["n"], Device.of())
    assert sweep.measure({"width": 16}).latency_us.median == pytest.approx(100 / 1.02)


def test_a_machine_that_stays_at_another_pace_is_taken_as_it_is(monkeypatch):
    measured(monkeypatch, (50.0, 50.0), *[(200.0, 100.0)] * 100)
    sweep = Sweep(lambda w: style_net(w["width"]), {"width": 16}, ["n"], Device.of())
    found = [sweep.measure({"width": 16}).latency_us.median for _ in range(3)]
    assert found == pytest.approx([100.0] * 3)
