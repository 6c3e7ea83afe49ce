import numpy as np
import pytest

from decig.device.measure import rewriting
from decig.device.measure.rewriting import choose_rewrites, faster
from decig.device.run.device import Device
from decig.device.run.timing import Latency
from decig.errors import DecigError
from decig.graph.model import normalise
from tests.device.devices import FOREIGN
from tests.graph.tiny import tiny
from tests.samples import generator


def latency(median: float) -> Latency:
    return Latency(median, median / 1000, median, 10)


def choose(monkeypatch, times, device=None, **more):
    """Choose with made-up times: `times` is called with what is timed."""
    monkeypatch.setattr(
        rewriting, "time_graphs", lambda graphs, *_: {n: latency(times(n)) for n in graphs}
    )
    return choose_rewrites(normalise(generator()), device or Device.of(), **more)


def test_faster_is_beyond_doubt():
    assert faster(latency(90), latency(100))
    assert not faster(latency(100), latency(100))
    assert not faster(latency(99.99), latency(100))


def test_a_rule_that_pays_is_kept(monkeypatch):
    choice = choose(monkeypatch, lambda name: 50 if name in ("", "chosen") else 100)
    assert "wide_head" in choice.kept
    assert choice.dropped == []
    assert len(choice.proto.graph.node) > len(normalise(generator()).graph.node)


def test_a_rule_that_does_not_pay_is_dropped(monkeypatch):
    choice = choose(monkeypatch, lambda name: 100)
    assert choice.kept == []
    assert "wide_head" in choice.dropped
    assert choice.canonical == {"fold_batchnorm": 1}
    assert len(choice.proto.graph.node) == len(normalise(generator()).graph.node) - 1


def test_rules_that_only_pay_alone_are_dropped(monkeypatch):
    times = {"": 50, "canonical": 90, "chosen": 95}
    choice = choose(monkeypatch, lambda name: times.get(name, 100))
    assert choice.kept == []
    assert "wide_head" in choice.dropped


def test_rules_of_the_cost_table_are_tried_as_a_set(monkeypatch):
    known = ["wide_head", "winograd", "no_such_rule"]
    choice = choose(monkeypatch, lambda name: 50 if name == "planned" else 100, known=known)
    assert choice.kept == ["wide_head"]
    slower = choose(monkeypatch, lambda name: 200 if name == "planned" else 100, known=known)
    assert slower.kept == []
    assert "wide_head" in slower.dropped


def refusing(monkeypatch, refuses):
    """Let the device refuse graphs with a node for which `refuses` is true."""

    def timed_run(proto, device):
        for node in proto.graph.node:
            if refuses(node):
                raise DecigError(f"OtherExecutionProvider cannot run {node.op_type} {node.name}")
        return lambda: None

    monkeypatch.setattr(rewriting, "timed_run", timed_run)


def test_a_rule_whose_work_the_device_refuses_is_left_out(monkeypatch):
    refusing(monkeypatch, lambda node: node.name.startswith("head/"))
    choice = choose(monkeypatch, lambda name: 50 if name in ("", "chosen") else 100, FOREIGN)
    assert choice.kept == []
    assert "wide_head" in choice.dropped


def test_rules_that_only_another_one_makes_fit_for_the_device_are_left_out(monkeypatch):
    """A crop made uneven padding, which the device takes only once it is made phases."""
    weight = np.random.default_rng(0).normal(size=(16, 16, 3, 3)).astype(np.float32)
    bounds = {"a": np.zeros(2, int), "b": np.full(2, 16), "axes": np.array([2, 3])}
    proto = tiny(
        """u = ConvTranspose <strides = [2, 2]> (x, w)
        y = Slice (u, a, b, axes)""",
        inputs="float[1,16,8,8] x",
        outputs="float[1,16,16,16] y",
        w=weight,
        **bounds,
    )
    assert rewriting.matching(proto, ["slice_into_transpose", "phase_transpose"])

    def uneven(node):
        pads = [list(a.ints) for a in node.attribute if a.name == "pads"]
        return node.op_type == "ConvTranspose" and bool(pads) and pads[0][:2] != pads[0][2:]

    refusing(monkeypatch, uneven)
    monkeypatch.setattr(
        rewriting,
        "time_graphs",
        lambda graphs, *_: {n: latency(50 * len(g.graph.node)) for n, g in graphs.items()},
    )
    choice = choose_rewrites(proto, FOREIGN)
    assert "slice_into_transpose" not in choice.kept
    assert "slice_into_transpose" in choice.dropped


def test_rules_for_one_size_are_not_for_any(monkeypatch):
    choice = choose(monkeypatch, lambda name: 100, any_size=True)
    assert choice.kept == choice.dropped == []
    assert choice.canonical == {"fold_batchnorm": 1}


def test_times_are_real():
    graph = normalise(generator())
    times = rewriting.time_graphs({"whole": graph}, Device.of(), rewriting.Timing(max_runs=3))
    assert times["whole"].median > 0
    assert set(choose_rewrites(graph, Device.of()).canonical) == {"fold_batchnorm"}


@pytest.mark.parametrize(("phases_us", "kept"), [(50, ["wide_head"]), (90, ["coarse_head"])])
def test_what_another_rule_hides_is_tried_without_it(monkeypatch, phases_us, kept):
    weight = np.random.default_rng(0).normal(size=(3, 4, 9, 9)).astype(np.float32)
    body = "y = Conv <pads = [4, 4, 4, 4]> (x, w)"
    sizes = {"inputs": "float[1,4,16,16] x", "outputs": "float[1,3,16,16] y"}
    proto = tiny(body, **sizes, w=weight)

    def time(graph):
        strided = [n for n in graph.graph.node if n.op_type == "Conv" and "stride" in str(n)]
        folded = any(4 * 4 * 3 in tensor.dims for tensor in graph.graph.initializer)
        return phases_us if strided else 80 if folded else 100

    monkeypatch.setattr(
        rewriting,
        "time_graphs",
        lambda graphs, *_: {n: latency(time(g)) for n, g in graphs.items()},
    )
    choice = choose_rewrites(proto, Device.of())
    assert choice.kept == kept
    assert time(choice.proto) == min(phases_us, 80)


def test_of_two_rules_that_do_the_same_one_stays(monkeypatch):
    weights = {
        "w": np.random.default_rng(0).normal(size=(3, 16, 9, 9)).astype(np.float32),
        "v": np.random.default_rng(1).normal(size=(16, 16, 3, 3)).astype(np.float32),
    }
    body = """
        h = Conv <pads = [1, 1, 1, 1]> (x, v)
        y = Conv <pads = [4, 4, 4, 4]> (h, w)
    """
    sizes = {"inputs": "float[1,16,32,32] x", "outputs": "float[1,3,32,32] y"}
    proto = tiny(body, **sizes, **weights)

    def time(graph):
        return 100 if len(graph.graph.node) == 2 else 50  # any rule is as good as all

    monkeypatch.setattr(
        rewriting,
        "time_graphs",
        lambda graphs, *_: {n: latency(time(g)) for n, g in graphs.items()},
    )
    choice = choose_rewrites(proto, Device.of())
    assert len(choice.kept) == 1
    assert len(choice.dropped) > 1
    assert time(choice.proto) == 50
