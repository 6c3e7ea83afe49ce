"""Slimmer versions of a model, measured as they would be deployed."""

from dataclasses import replace

import pytest

from decig.device.measure.rewriting import Choice
from decig.device.plan import bench
from decig.device.plan.bench import DeployedBench
from decig.device.run.device import Device
from decig.graph import rewrite
from decig.graph.cost import count
from decig.graph.model import load_model
from tests.samples import write_dynamic_generator, write_generator


def test_the_model_itself_is_measured_whole_and_node_by_node(profiled_table, profiled_model):
    here = DeployedBench(profiled_table, profiled_model)
    assert here.learns
    assert here.latency(profiled_model.proto).median > 0
    here.pause()
    nodes = here.node_us(profiled_model.proto)
    assert {node.name for node in profiled_table.nodes} == nodes.keys()
    assert nodes["conv2"] > 0


def test_graphs_of_about_the_same_work_get_the_same_rewrites(
    profiled_table, profiled_model, tmp_path, monkeypatch
):
    asked = []

    def choose_rewrites(proto, device, *, known, timing):
        asked.append(count(proto).macs)
        assert known == profiled_table.rewrites
        return Choice(proto, {}, ["wide_head", "winograd"][: len(asked)], [])

    monkeypatch.setattr(bench, "choose_rewrites", choose_rewrites)
    always = tuple(rule for rule in profiled_table.rewrites if rule not in rewrite.DEVICE)
    assert "fold_batchnorm" in always
    here = DeployedBench(profiled_table, profiled_model)
    assert here.rewrites(profiled_model.proto) == profiled_table.rewrites and not asked
    wide, narrower, widest = (
        load_model(write_generator(tmp_path / f"{width}.onnx", width=width)).proto
        for width in (16, 15, 40)
    )
    assert here.rewrites(wide) == (*always, "wide_head")
    assert here.rewrites(narrower) == (*always, "wide_head") and len(asked) == 1
    assert here.rewrites(widest) == (*always, "wide_head", "winograd")
    assert here.rewrites(wide) == (*always, "wide_head") and len(asked) == 2
    assert here.latency(wide).median > 0 and len(asked) == 2


def test_a_file_is_measured_without_rewrites_and_with_its_dynamic_axes(
    profiled_table, profiled_model, tmp_path, monkeypatch
):
    opened = []
    monkeypatch.setattr(
        Device,
        "open",
        lambda self, graph, _open=Device.open: opened.append(graph) or _open(self, graph),
    )
    path = write_dynamic_generator(tmp_path / "m.onnx")
    slim = load_model(path, {"image": [1, 3, 24, 24]})
    written = slim.reopen(slim.proto)
    here = DeployedBench(profiled_table, profiled_model)
    assert here.file_latency(written, slim.proto).median > 0
    assert opened[0] is written
    assert "BatchNormalization" in {node.op_type for node in written.graph.node}


def test_a_provider_that_hides_its_kernels_is_learnt_from_in_wholes(
    profiled_table, profiled_model, monkeypatch
):
    monkeypatch.setattr(Device, "opaque", True)
    alone = DeployedBench(replace(profiled_table, timed_alone=True), profiled_model)
    assert alone.learns and alone.node_us(profiled_model.proto) == {}
    assert not DeployedBench(profiled_table, profiled_model).learns


def test_the_roofline_of_the_table_and_of_a_slimmer_graph(profiled_table, profiled_model, tmp_path):
    slim = load_model(write_generator(tmp_path / "slim.onnx", width=4)).proto
    found = DeployedBench(profiled_table, profiled_model).roofline(slim)
    assert found["limits"] == profiled_table.limits.to_dict()
    assert found["reference"]["macs"] == sum(node.macs for node in profiled_table.nodes)
    assert found["candidate"]["macs"] == count(slim).macs < found["reference"]["macs"]
    times = sum(node["latency_us"] for node in found["candidate"]["nodes"])
    assert times == pytest.approx(found["candidate"]["latency_us"], abs=1)
    unlimited = replace(profiled_table, limits=None)
    assert DeployedBench(unlimited, profiled_model).roofline(slim) is None


def test_this_machine_is_told_from_others(profiled_table):
    assert Device.elsewhere(profiled_table.device) is None
    other = replace(profiled_table, device=replace(profiled_table.device, onnxruntime="1.0"))
    assert "onnxruntime is '1.0' there" in Device.elsewhere(other.device)


@pytest.mark.parametrize(
    ("provider", "reason"),
    [
        ("OpenVINOExecutionProvider", "'openvino' is not in the installed ONNX Runtime"),
        ("RocketExecutionProvider", "'RocketExecutionProvider' is not known"),
    ],
)
def test_a_provider_that_is_not_here_is_elsewhere(profiled_table, provider, reason):
    other = replace(profiled_table, device=replace(profiled_table.device, provider=provider))
    assert reason in Device.elsewhere(other.device)


def test_a_machine_at_another_pace_than_the_tables_is_told_once(
    profiled_table, profiled_model, monkeypatch, caplog
):
    bench = DeployedBench(profiled_table, profiled_model)

    def estimate(*_, off_pace):
        off_pace(1.7)
        return profiled_table.latency_us

    monkeypatch.setattr("decig.device.plan.bench.latency_at_pace", estimate)
    for _ in range(2):
        bench.latency(profiled_model.proto)
    (doubt,) = bench.doubts
    assert "1.7 times off the pace" in doubt and caplog.text.count(doubt) == 1
