from samples import generator

from decig.deploy import rewriting
from decig.deploy.rewriting import choose_rewrites, faster
from decig.device.session import DeviceOptions
from decig.device.timing import Latency
from decig.graph.model import normalise


def latency(median: float) -> Latency:
    return Latency(median, median / 1000, median, 10)


def choose(monkeypatch, times, **more):
    """Choose with made-up times: `times` is called with what is timed."""
    monkeypatch.setattr(
        rewriting, "time_graphs", lambda graphs, _: {n: latency(times(n)) for n in graphs}
    )
    return choose_rewrites(normalise(generator()), DeviceOptions(), **more)


def test_faster_is_beyond_doubt():
    assert faster(latency(90), latency(100))
    assert not faster(latency(100), latency(100))
    assert not faster(latency(99.99), latency(100))


def test_a_rule_that_pays_is_kept(monkeypatch):
    choice = choose(monkeypatch, lambda name: 50 if name in ("", "rewritten") else 100)
    assert "wide_head" in choice.kept
    assert choice.dropped == []
    assert choice.rewritten.median < choice.plain.median
    assert len(choice.proto.graph.node) > len(normalise(generator()).graph.node)


def test_a_rule_that_does_not_pay_is_dropped(monkeypatch):
    choice = choose(monkeypatch, lambda name: 100)
    assert choice.kept == []
    assert "wide_head" in choice.dropped
    assert choice.canonical == {"fold_batchnorm": 1}
    assert len(choice.proto.graph.node) == len(normalise(generator()).graph.node) - 1


def test_rules_that_only_pay_alone_are_dropped(monkeypatch):
    choice = choose(
        monkeypatch, lambda name: {"": 50, "canonical": 90, "rewritten": 95}.get(name, 100)
    )
    assert choice.kept == []
    assert choice.rewritten == latency(90)


def test_rules_for_one_size_are_not_for_any(monkeypatch):
    choice = choose(monkeypatch, lambda name: 100, any_size=True)
    assert choice.kept == choice.dropped == []
    assert choice.canonical == {"fold_batchnorm": 1}


def test_times_are_real():
    choice = choose_rewrites(normalise(generator()), DeviceOptions())
    assert choice.plain.median > 0
