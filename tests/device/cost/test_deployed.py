"""The cost table of a model as it would be deployed."""

import pytest

from decig.device.cost import deployed
from decig.device.cost.deployed import profile_as_deployed
from decig.device.cost.table import CostTable
from decig.device.measure import rewriting
from decig.device.measure.rewriting import Choice, canonical_rules
from decig.device.run.device import Device
from decig.device.run.timing import Latency
from decig.errors import DecigError
from decig.graph.cost import count
from decig.graph.model import load_model
from decig.graph.rewrite import DEVICE
from tests.samples import write_generator


def test_the_table_names_the_rewrites_and_survives_its_file(profiled_table, tmp_path):
    assert "fold_batchnorm" in profiled_table.rewrites
    profiled_table.save(tmp_path / "t.json")
    again = CostTable.load(tmp_path / "t.json")
    assert again.rewrites == profiled_table.rewrites
    assert again.as_it_is_ms == pytest.approx(profiled_table.as_it_is_ms, abs=1e-4)
    assert profiled_table.as_it_is_ms > 0


def test_nodes_keep_their_names_under_rewrites(profiled_table):
    assert {"conv1", "conv2", "head"} <= {node.name for node in profiled_table.nodes}
    assert all(node.latency_us >= 0 for node in profiled_table.nodes)
    assert sum(node.latency_us for node in profiled_table.nodes) == pytest.approx(
        profiled_table.latency_us.median
    )


def test_the_ratio_of_one_run_gives_the_latency_as_it_is(tmp_path, monkeypatch):
    times = {"as it is": Latency(300, 3, 330, 9), "deployed": Latency(200, 0, 200, 9)}
    monkeypatch.setattr(deployed, "time_graphs", lambda *_, **__: times)
    model = load_model(write_generator(tmp_path / "m.onnx"))
    table = profile_as_deployed(model, Device.of(), lambda *_: None)
    assert table.as_it_is_ms == pytest.approx(1.5 * table.latency_us.median_ms, rel=1e-3)
    found = table.model.as_it_is_latency_us
    assert found.mad == pytest.approx(0.01 * found.median)
    assert found.p90 == pytest.approx(1.1 * found.median)


def test_a_model_that_runs_only_when_rewritten_has_a_table(tmp_path, monkeypatch, caplog):
    def or_refuse(proto, device, _run=rewriting.timed_run):
        if "BatchNormalization" in {node.op_type for node in proto.graph.node}:
            raise DecigError("OtherExecutionProvider cannot run BatchNormalization n")
        return _run(proto, device)

    monkeypatch.setattr(rewriting, "timed_run", or_refuse)
    model = load_model(write_generator(tmp_path / "m.onnx"))
    table = profile_as_deployed(model, Device.of(), lambda *_: None)
    assert table.as_it_is_ms == table.latency_us.median_ms
    assert "not timed without rewrites: OtherExecutionProvider cannot run" in caplog.text


def test_rewrites_that_find_work_at_narrow_widths_only_are_kept_too(tmp_path, monkeypatch):
    found = [(["phase_transpose"], ["winograd"]), (["winograd", "wide_head"], [])]
    sizes, tried = [], []

    def choose(proto, device, *, any_size=False, rules=DEVICE):
        sizes.append(count(proto).params)
        tried.append(rules)
        kept, dropped = found[len(sizes) - 1]
        return Choice(proto, {}, kept, dropped)

    monkeypatch.setattr(deployed, "choose_rewrites", choose)
    model = load_model(write_generator(tmp_path / "m.onnx", width=64))
    table = profile_as_deployed(model, Device.of(), lambda *_: None)
    assert count(model.proto).params > sizes[0] > sizes[1]
    rules = table.rewrites[len(canonical_rules(any_size=False)) :]
    assert list(rules) == [rule for rule in DEVICE if rule in {"phase_transpose", "wide_head"}]
    assert {"phase_transpose", "wide_head"} <= {*tried[1]}
    assert "winograd" not in tried[1]
