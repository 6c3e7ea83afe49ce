from dataclasses import replace

import pytest

from decig.device.cost.table import CostTable, Noise
from decig.device.measure.rewriting import Choice, canonical_rules
from decig.device.plan import deployed as profiling
from decig.device.plan.deployed import (
    accept_device,
    as_it_is_ms,
    deployed_latency,
    deployed_nodes,
    deployed_roofline,
    profile_as_deployed,
    rewrites_of,
)
from decig.device.run.session import DeviceOptions
from decig.device.run.timing import Latency
from decig.errors import BadInputError
from decig.graph.cost import count
from decig.graph.model import load_model
from decig.graph.rewrite import DEVICE
from tests.samples import write_generator


@pytest.fixture(scope="module")
def table(tmp_path_factory):
    model = load_model(write_generator(tmp_path_factory.mktemp("model") / "m.onnx"))
    steps = []
    table = profile_as_deployed(model, DeviceOptions(), lambda done, total: steps.append(done))
    assert steps == sorted(steps)
    return replace(table, noise=Noise(1.0, 0.0))  # however busy the machine of the tests is


def test_the_table_names_the_rewrites_and_survives_its_file(table, tmp_path):
    assert "fold_batchnorm" in rewrites_of(table)
    table.save(tmp_path / "t.json")
    again = CostTable.load(tmp_path / "t.json")
    assert rewrites_of(again) == rewrites_of(table)
    assert as_it_is_ms(again) == pytest.approx(as_it_is_ms(table))
    assert as_it_is_ms(table) > 0


def test_nodes_keep_their_names_under_rewrites(table):
    assert {"conv1", "conv2", "head"} <= {node.name for node in table.nodes}
    assert all(node.latency_us >= 0 for node in table.nodes)
    assert sum(node.latency_us for node in table.nodes) == pytest.approx(table.latency_us.median)


def test_the_ratio_of_one_run_gives_the_latency_as_it_is(tmp_path, monkeypatch):
    times = {"as it is": Latency(300, 0, 300, 9), "deployed": Latency(200, 0, 200, 9)}
    monkeypatch.setattr(profiling, "time_graphs", lambda *_, **__: times)
    model = load_model(write_generator(tmp_path / "m.onnx"))
    table = profile_as_deployed(model, DeviceOptions(), lambda *_: None)
    assert as_it_is_ms(table) == pytest.approx(1.5 * table.latency_us.median_ms, rel=1e-3)


def test_rewrites_that_find_work_at_narrow_widths_only_are_kept_too(tmp_path, monkeypatch):
    took = Latency(1.0, 0.0, 1.0, 4)
    found = [(["phase_transpose"], ["winograd"]), (["winograd", "wide_head"], [])]
    sizes, tried = [], []

    def choose(proto, device, *, any_size=False, rules=DEVICE):
        sizes.append(count(proto).params)
        tried.append(rules)
        kept, dropped = found[len(sizes) - 1]
        return Choice(proto, {}, kept, dropped, took, took)

    monkeypatch.setattr(profiling, "choose_rewrites", choose)
    model = load_model(write_generator(tmp_path / "m.onnx", width=64))
    table = profile_as_deployed(model, DeviceOptions(), lambda *_: None)
    assert count(model.proto).params > sizes[0] > sizes[1]
    rules = rewrites_of(table)[len(canonical_rules(any_size=False)) :]
    assert rules == [rule for rule in DEVICE if rule in {"phase_transpose", "wide_head"}]
    assert {"phase_transpose", "wide_head"} <= {*tried[1]}
    assert "winograd" not in tried[1]


@pytest.mark.parametrize(
    ("entry", "reason"),
    [
        ({"onnxruntime": "1.0"}, "onnxruntime is '1.0' there"),
        ({"cpu": "another"}, "cpu is 'another' there"),
        ({"provider": "OpenVINOExecutionProvider"}, "'openvino' is not in the installed"),
        ({"accelerator": "a GPU"}, "accelerator is 'a GPU' there"),
    ],
)
def test_a_table_of_another_device_is_refused_or_forced(table, tmp_path, caplog, entry, reason):
    other = replace(table, device=table.device | entry)
    with pytest.raises(BadInputError, match=r"belongs to another device: .*--force") as caught:
        accept_device(other, force=False)
    assert reason in str(caught.value)
    (warning,) = accept_device(other, force=True)
    assert reason in warning
    assert warning in caplog.text
    model = load_model(write_generator(tmp_path / "m.onnx"))
    assert deployed_latency(other, model) is None
    assert deployed_nodes(other, model) is None
    assert deployed_roofline(other) is None


def test_a_table_of_this_device_is_taken(table, tmp_path):
    assert accept_device(table, force=False) == []
    model = load_model(write_generator(tmp_path / "m.onnx"))
    assert deployed_latency(table, model)(model.proto) > 0
    nodes = deployed_nodes(table, model)(model.proto)
    assert {node.name for node in table.nodes} == nodes.keys()
    assert nodes["conv2"] > 0


def test_a_provider_that_hides_its_kernels_is_learnt_from_in_wholes(table, tmp_path, monkeypatch):
    model = load_model(write_generator(tmp_path / "m.onnx"))
    monkeypatch.setattr(profiling, "find", lambda name: type("P", (), {"opaque": True}))
    assert deployed_nodes(replace(table, timed_alone=True), model)(model.proto) == {}
    assert deployed_nodes(table, model) is None


def test_a_table_from_a_busy_machine_says_so(table, caplog):
    busy = replace(table, noise=Noise(0.55, 0.02))
    (warning,) = accept_device(busy, force=False)
    assert "busy" in warning
    assert "55%" in warning
    assert warning in caplog.text
    assert not busy.to_dict()["noise"]["trusted"]
    assert replace(table, noise=Noise(1.0, 0.02)).to_dict()["noise"]["trusted"]


def test_a_table_that_does_not_know_says_so(table, caplog):
    (warning,) = accept_device(replace(table, noise=None), force=False)
    assert "did not note how busy the machine was" in warning
    assert warning in caplog.text


def test_the_roofline_of_the_table_and_of_a_slimmer_graph(table, tmp_path):
    slim = load_model(write_generator(tmp_path / "slim.onnx", width=4)).proto
    found = deployed_roofline(table)(slim)
    assert found["limits"] == table.limits.to_dict()
    assert found["reference"]["macs"] == sum(node.macs for node in table.nodes)
    assert found["candidate"]["macs"] == count(slim).macs < found["reference"]["macs"]
    times = sum(node["latency_us"] for node in found["candidate"]["nodes"])
    assert times == pytest.approx(found["candidate"]["latency_us"], abs=1)
    assert deployed_roofline(replace(table, limits=None)) is None


def test_damaged_rewrites(table, tmp_path):
    model = load_model(write_generator(tmp_path / "m.onnx"))
    damaged = replace(table, model=table.model | {"rewrites": 3})
    with pytest.raises(BadInputError, match=r"cost table: model\.rewrites: not a list of names"):
        deployed_latency(damaged, model)


def test_a_damaged_device(table):
    without = {key: value for key, value in table.device.items() if key != "threads"}
    with pytest.raises(BadInputError, match="cost table: device: 'threads'"):
        accept_device(replace(table, device=without), force=False)
    for key, value in (("threads", "two"), ("provider", 5), ("provider_options", [])):
        damaged = replace(table, device=table.device | {key: value})
        with pytest.raises(BadInputError, match=f"cost table: device: {key} is missing or damaged"):
            accept_device(damaged, force=False)
