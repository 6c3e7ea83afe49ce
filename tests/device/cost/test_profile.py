import hashlib
from pathlib import Path

import onnx
import pytest

from decig.device.cost.predict import Predictor
from decig.device.cost.profile import EFFORTS, Effort, profile_model
from decig.device.cost.table import CostTable
from decig.device.plan.planner import plan_widths
from decig.device.run.device import Device
from decig.graph.channels import analyse
from decig.graph.cost import count
from decig.graph.model import Model, load_model, normalise
from tests.device.devices import OPAQUE
from tests.device.graphs import style_net
from tests.graph.tiny import parse


def as_model(proto: onnx.ModelProto) -> Model:
    digest = hashlib.sha256(proto.SerializeToString()).hexdigest()
    return Model(normalise(proto), digest, Path("folder/small.onnx"))


@pytest.fixture(scope="module")
def model():
    return as_model(style_net())


@pytest.fixture(scope="module")
def table(model):
    return profile_model(model, Device.of(), effort=EFFORTS["quick"])


def test_every_node_and_the_whole(model, table):
    names = [node.name for node in model.proto.graph.node]
    assert [node.name for node in table.nodes] == names
    assert sum(node.latency_us for node in table.nodes) == pytest.approx(table.latency_us.median)
    assert sum(node.share for node in table.nodes) == pytest.approx(1.0)
    assert table.kernel_sum_over_latency > 0
    assert table.limits.gflops > 0
    assert sum(node.macs for node in table.nodes) == count(model.proto).macs
    assert all(node.bytes > 0 for node in table.nodes if node.latency_us)
    assert not any(node.macs or node.bytes for node in table.nodes if node.absorbed_by)
    assert table.model.path == "small.onnx"
    assert table.model.inputs == {"x": (1, 3, 24, 24)}
    table.require_same_graph(model.sha256)


def test_sweep_covers_the_groups(model, table):
    groups = {group.name: group.channels for group in analyse(model.proto).prunable}
    assert table.groups == groups
    assert table.sweep[0].widths == groups
    assert all(point.nodes.keys() == {n.name for n in table.nodes} for point in table.sweep)


def test_nodes_alike_share_a_signature(table):
    signatures = {node.name: node.signature for node in table.nodes}
    assert signatures["stem"] != signatures["norm"]
    assert signatures["res.a"] != signatures["res.b"]  # only one has to read a plain layout
    assert "24x24>3x3>24x24" in signatures["stem"]


def test_saves_predicts_and_plans(table, tmp_path):
    table.save(tmp_path / "t.json")
    predictor = Predictor(CostTable.load(tmp_path / "t.json"))
    assert predictor.predict_ms({}) > predictor.predict_ms(dict.fromkeys(table.groups, 4)) > 0
    curves = {name: [1 - k / full for k in range(full + 1)] for name, full in table.groups.items()}
    target = predictor.predict_ms(dict.fromkeys(table.groups, 4)) * 1.01
    assert predictor.predict_ms(plan_widths(predictor, curves, target)) <= target


def test_more_designs_where_there_is_doubt(model):
    steps = []
    table = profile_model(
        model,
        Device.of(),
        effort=Effort(first=8, further=3, firm=0.0, first_alone=8, firm_alone=0.0),
        progress=lambda done, total: steps.append((done, total)),
    )
    total = 8 + 3 * len(table.groups)
    assert len(table.sweep) == total
    assert steps[-1] == (total, total)
    assert [done for done, _ in steps] == sorted(done for done, _ in steps)


def test_where_only_whole_graphs_can_be_timed(model, tmp_path):
    effort = Effort(first=16, further=3, firm=0.0, first_alone=6, firm_alone=0.0)
    table = profile_model(model, OPAQUE, effort=effort)
    assert table.timed_alone
    assert sum(node.latency_us for node in table.nodes) == pytest.approx(table.latency_us.median)
    assert [bool(point.nodes) for point in table.sweep] == [True] * 6 + [False] * (
        3 * len(table.groups)
    )
    assert table.groups in [point.widths for point in table.sweep[1:]]  # the whole, once more
    table.save(tmp_path / "t.json")
    predictor = Predictor(CostTable.load(tmp_path / "t.json"))
    assert predictor.predict_ms({}) == pytest.approx(table.latency_us.median_ms, rel=1e-3)
    assert predictor.predict_ms(dict.fromkeys(table.groups, 4)) > 0  # how much, noise decides here


def test_prepare_sees_every_graph(model):
    seen = []

    def prepare(proto: onnx.ModelProto) -> onnx.ModelProto:
        seen.append(proto)
        renamed = onnx.ModelProto()
        renamed.CopyFrom(proto)
        head = next(node for node in renamed.graph.node if node.name == "head")
        head.name = "head/phases"
        return renamed

    steps = []
    table = profile_model(
        model,
        Device.of(),
        effort=Effort(first=3, further=0, firm=0.0, first_alone=3, firm_alone=0.0),
        prepare=prepare,
        progress=lambda done, total: steps.append((done, total)),
    )
    assert len(seen) >= len(table.sweep) == 3
    assert all(point.nodes["head"] > 0 for point in table.sweep)
    assert next(node for node in table.nodes if node.name == "head").latency_us > 0
    assert steps[-1] == (3, 3)


def test_a_model_without_groups_has_no_sweep():
    steps = []
    table = profile_model(
        as_model(parse("[only] y = Conv(x, w)", w=(3, 3, 3, 3))),
        Device.of(),
        effort=EFFORTS["quick"],
        progress=lambda done, total: steps.append((done, total)),
    )
    assert (table.groups, table.sweep) == ({}, ())
    assert [node.name for node in table.nodes] == ["only"]
    assert steps == [(1, 1)]


@pytest.mark.slow
@pytest.mark.parametrize("name", ["udnie", "sed_unet", "espcn_x3"])
def test_real_graphs(shared_suite, name):
    model = load_model(shared_suite / f"{name}.onnx")
    table = profile_model(model, Device.of(), effort=EFFORTS["standard"])
    assert sum(node.latency_us for node in table.nodes) == pytest.approx(table.latency_us.median)
    predictor = Predictor(table)
    assert predictor.predict_ms({}) == pytest.approx(predictor.baseline_ms, rel=0.2)
