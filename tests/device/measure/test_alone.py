import time

import numpy as np
import onnx
import pytest
from onnx import helper

from decig.device.measure import alone as isolated
from decig.device.measure.alone import signature, split, time_layers
from decig.device.measure.nodes import measure_nodes
from decig.device.run.device import Device
from decig.device.run.timing import Timing, time_once
from decig.graph.model import normalise
from tests.device.devices import OPAQUE
from tests.device.graphs import Builder, style_net

TIMING = Timing(min_runs=3, max_runs=3)


@pytest.fixture(autouse=True)
def _no_layer_is_known(monkeypatch, tmp_path):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))


@pytest.fixture
def timed(monkeypatch, tmp_path):
    """Times made up: 10 us for each node of a model and 2 for the call; kept from other tests."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    seen = []

    def pretend(model, device):
        seen.append(model)
        return 2.0 + 10.0 * len(model.graph.node), 0.0

    monkeypatch.setattr(isolated, "time_alone", pretend)
    return seen


def test_followers_belong_to_the_node_in_front():
    proto = normalise(style_net())
    layers = split(proto, {})
    assert sum(len(layer.nodes) for layer in layers) == len(proto.graph.node)
    by_name = {layer.name: [node.op_type for node in layer.nodes] for layer in layers}
    assert by_name["norm"][0] == "InstanceNormalization"
    assert "Relu" not in {layer.nodes[0].op_type for layer in layers}


def test_a_value_that_others_read_ends_a_layer():
    builder = Builder(4, 8)
    conv = builder.conv("x", "a", 4, 4)
    relu = builder.node("Relu", [conv], "r")
    builder.node("Add", [relu, conv], "y")
    proto = normalise(builder.build(4))
    assert [len(layer.nodes) for layer in split(proto, {})] == [1, 1, 1]


def test_what_replaces_a_node_stays_together():
    builder = Builder(4, 8)
    conv = builder.conv("x", "a/wide", 4, 4)
    narrow = builder.conv(conv, "a/narrow", 4, 4)
    relu = builder.node("Relu", [narrow], "r")
    builder.node("Add", [relu, conv], "y")
    proto = normalise(builder.build(4))
    names = [node.name for node in proto.graph.node]
    both, *others = split(proto, dict.fromkeys(names[:2], "a"))
    assert [node.name for node in both.nodes] == names[:2]
    assert len(both.results) == 2  # the sum reads the first part too, so the Relu stands alone
    assert [len(layer.nodes) for layer in others] == [1, 1]


def test_a_follower_joins_what_replaces_a_node():
    builder = Builder(4, 8)
    narrow = builder.conv(builder.conv("x", "a/wide", 4, 8), "a/narrow", 8, 4)
    builder.node("Relu", [narrow], "y")
    proto = normalise(builder.build(4))
    owner = {node.name: "a" for node in proto.graph.node if node.op_type == "Conv"}
    (layer,) = split(proto, owner)
    assert [node.op_type for node in layer.nodes] == ["Conv", "Conv", "Relu"]
    assert layer.results == ("y",)


def test_every_signature_is_timed_once(timed):
    proto = normalise(style_net())
    found = time_layers(proto, {}, Device.of())
    count = len(timed)
    assert len({signature(model) for model in timed}) == count
    assert found.nodes.keys() == {node.name for node in proto.graph.node}
    assert all(us >= 0 for us in found.nodes.values())
    time_layers(proto, {}, Device.of())
    assert len(timed) == count
    time_layers(proto, {}, Device.of(threads=2))
    assert len(timed) == 2 * count
    for model in timed:
        onnx.checker.check_model(model, full_check=True)


def test_signatures_forget_weights_but_not_shapes():
    def model(inputs, seed):
        builder = Builder(inputs, 8, seed)
        builder.conv("x", "a", inputs, 4, "y")
        return builder.build(4)

    assert signature(model(4, 0)) == signature(model(4, 1))
    assert signature(model(4, 0)) != signature(model(8, 0))


def test_a_layer_is_timed_once_for_all_models(monkeypatch):
    timed = []

    def time_one(model, device):
        timed.append(signature(model))
        return 100.0 * len(timed), 0.0

    monkeypatch.setattr(isolated, "time_alone", time_one)
    proto = normalise(style_net())
    first = time_layers(proto, {}, Device.of(threads=7))
    assert len(timed) == len(set(timed)) > 3
    count = len(timed)
    assert time_layers(proto, {}, Device.of(threads=7)) == first
    assert len(timed) == count
    time_layers(normalise(style_net(8)), {}, Device.of(threads=7))
    assert count < len(timed) < 2 * count


def test_a_layer_that_cannot_run_alone_takes_no_time_and_is_named(caplog):
    builder = Builder(3, 8)
    builder.conv("x", "a", 3, 4, "y")
    proto = normalise(builder.build(4))
    node = next(n for n in proto.graph.node if n.op_type == "Conv")
    node.CopyFrom(helper.make_node("NoSuchOp", list(node.input), list(node.output), name="a"))
    assert time_layers(proto, {}, Device.of()).nodes == {"a": 0.0}
    assert "does not run 1 layers on their own (a)" in caplog.text


def test_an_opaque_provider_is_charged_layer_by_layer():
    proto = normalise(style_net())
    names = [node.name for node in proto.graph.node]
    found = measure_nodes(proto, names, OPAQUE, TIMING)
    assert found.alone
    assert found.nodes.keys() == set(names)
    assert sum(found.nodes.values()) == pytest.approx(found.kernel_sum_us)
    assert found.nodes["head"] > 0
    assert all(found.nodes[name] == 0 for name in found.absorbed)
    assert found.kernels["norm"].startswith("InstanceNormalization")
    assert np.isfinite(found.kernel_sum_us)


def test_a_gpus_own_clock_times_the_whole_too(monkeypatch):
    """Its host waits for it, and takes longer."""

    class OnGpu:
        def __call__(self):
            time.sleep(0.002)

        def time_us(self):
            self()
            return 100.0

    monkeypatch.setattr(Device, "prepare", lambda *_: OnGpu())
    monkeypatch.setattr(Device, "observe", lambda _, run: (time_once(run), 1.0))
    found = measure_nodes(normalise(style_net()), [], OPAQUE, TIMING, alone=False)
    assert found.latency.median == 100.0
    assert found.share == 1.0


def test_an_opaque_provider_can_be_timed_as_a_whole(timed):
    proto = normalise(style_net())
    names = [node.name for node in proto.graph.node]
    found = measure_nodes(proto, names, OPAQUE, TIMING, alone=False)
    assert found.latency.median > 0
    assert found.nodes == {}
    assert timed == []
