from dataclasses import replace

import pytest
from samples import generator, write_dynamic_generator, write_generator

from decig.deploy import rewriting
from decig.deploy.rewriting import choose_rewrites, faster
from decig.device.session import DeviceOptions
from decig.device.timing import Latency
from decig.graph.model import load_model, normalise


def latency(median: float) -> Latency:
    return Latency(median, median / 1000, median, 10)


@pytest.fixture
def model(tmp_path):
    return load_model(write_generator(tmp_path / "model.onnx"))


@pytest.fixture
def choose(model, monkeypatch):
    """Choose with made-up times: `times` is called with what is timed."""

    def run(times, model=model):
        monkeypatch.setattr(
            rewriting, "time_graphs", lambda graphs, _: {n: latency(times(n)) for n in graphs}
        )
        return choose_rewrites(model, DeviceOptions())

    return run


def test_faster_is_beyond_doubt():
    assert faster(latency(90), latency(100))
    assert not faster(latency(100), latency(100))
    assert not faster(latency(99.99), latency(100))


def test_a_rule_that_pays_is_kept(choose):
    choice = choose(lambda name: 50 if name in ("", "rewritten") else 100)
    assert "wide_head" in choice.kept
    assert choice.dropped == []
    assert choice.rewritten.median < choice.plain.median
    assert len(choice.proto.graph.node) > len(normalise(generator()).graph.node)


def test_a_rule_that_does_not_pay_is_dropped(choose):
    choice = choose(lambda name: 100)
    assert choice.kept == []
    assert "wide_head" in choice.dropped
    assert choice.canonical == {"fold_batchnorm": 1}
    assert len(choice.proto.graph.node) == len(normalise(generator()).graph.node) - 1


def test_rules_that_only_pay_alone_are_dropped(choose):
    choice = choose(lambda name: {"": 50, "canonical": 90, "rewritten": 95}.get(name, 100))
    assert choice.kept == []
    assert choice.rewritten == latency(90)


def test_rules_for_one_size_are_not_for_dynamic_axes(choose, tmp_path):
    path = write_dynamic_generator(tmp_path / "dynamic.onnx")
    dynamic = load_model(path, {"image": [1, 3, 24, 24]})
    choice = choose(lambda name: 50 if name in ("", "rewritten") else 100, dynamic)
    assert choice.kept == choice.dropped == []
    assert choice.canonical == {"fold_batchnorm": 1}
    assert "wide_head" in choose(lambda name: 100, replace(dynamic, axes=None)).dropped


def test_times_are_real(model):
    choice = choose_rewrites(model, DeviceOptions())
    assert choice.plain.median > 0
