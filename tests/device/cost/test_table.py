import copy
import json
import math
from dataclasses import replace
from pathlib import Path

import pytest

from decig.device.cost.table import CostTable, NodeCost, Noise, ProfiledModel
from decig.device.measure.limits import Limits
from decig.errors import BadInputError
from decig.graph.channels import analyse
from decig.graph.cost import count
from decig.graph.model import load_model
from tests.device.tables import make_table
from tests.samples import write_dynamic_generator, write_generator


def test_round_trip(tmp_path):
    table, path = make_table(), tmp_path / "t.json"
    table.save(path)
    loaded = CostTable.load(path)
    assert loaded.to_dict() == table.to_dict()
    assert loaded.nodes[0].ports == table.nodes[0].ports
    assert loaded.nodes[-1].absorbed_by == "stem"


def test_limits_and_work_are_additions(tmp_path):
    table, path = make_table(), tmp_path / "t.json"
    nodes = tuple(replace(node, macs=7000, bytes=300) for node in table.nodes)
    replace(table, limits=Limits(100.0, 20.0), nodes=nodes).save(path)
    loaded = CostTable.load(path)
    assert loaded.limits == Limits(100.0, 20.0)
    assert (loaded.nodes[0].macs, loaded.nodes[0].bytes) == (7000, 300)
    older = json.loads(path.read_text())
    older.pop("limits")
    for node in older["nodes"]:
        del node["macs"], node["bytes"]
    path.write_text(json.dumps(older))
    assert CostTable.load(path).limits is None
    assert CostTable.load(path).to_dict() == table.to_dict()


def test_the_noise_is_an_addition_too(tmp_path):
    table, path = make_table(), tmp_path / "t.json"
    assert not table.doubts
    older = table.to_dict()
    del older["noise"]
    path.write_text(json.dumps(older | {"processor_share": 0.99}))
    loaded = CostTable.load(path)
    (doubt,) = loaded.doubts
    assert "older decig" in doubt
    assert loaded.to_dict() == older


@pytest.mark.parametrize(
    ("noise", "said"),
    [
        (Noise(0.7, 0.01), "was busy (the model had 70% of the processor time it could use) while"),
        (Noise(1.0, 0.5), "was unsteady (its pace wandered by 50%) while"),
        (Noise(0.7, 0.5), "it could use) and unsteady (its pace"),
        (Noise(1.0, 0.0), "was quiet while"),
    ],
)
def test_what_was_noticed_is_said_and_no_more(noise, said):
    assert said in str(noise)
    assert noise.trusted == ("quiet" in str(noise))


def test_keys_that_other_programs_rely_on(tmp_path):
    value = make_table().to_dict()
    assert {"schema_version", "device", "model", "latency_us", "nodes"} <= value.keys()
    assert "sha256" in value["model"]
    assert {"median", "mad", "p90", "runs"} == value["latency_us"].keys()
    assert {"name", "op", "latency_us", "share"} <= value["nodes"][0].keys()
    assert {"widths", "latency_us", "nodes"} == value["sweep"][0].keys()


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda v: v.update(schema_version=99), "'schema_version' is not 1"),
        (lambda v: v.pop("device"), "device is missing"),
        (lambda v: v.update(device=3), "device: expected `object`, not 3"),
        (lambda v: v["device"].pop("threads"), "device.threads is missing"),
        (lambda v: v["device"].update(threads="two"), "device.threads: expected `int`, not 'two'"),
        (lambda v: v["device"].update(provider=5), "device.provider: expected `str`, not 5"),
        (
            lambda v: v["device"].update(provider_options=[]),
            r"device.provider_options: expected `object`, not \[\]",
        ),
        (lambda v: v["model"].pop("sha256"), "model.sha256 is missing"),
        (lambda v: v["model"].update(inputs=3), "model.inputs: expected `object`, not 3"),
        (
            lambda v: v["model"].update(rewrites=3),
            "model.rewrites: expected `array`, not 3",
        ),
        (
            lambda v: v["model"].update(as_it_is_latency_us={"median": 1}),
            "model.as_it_is_latency_us.mad is missing",
        ),
        (
            lambda v: v["latency_us"].update(mad=-1),
            "latency_us.mad: expected `float` >= 0.0, not -1",
        ),
        (lambda v: v["latency_us"].update(p90=math.inf), "latency_us.p90: not a finite number"),
        (
            lambda v: v["sweep"][1]["latency_us"].update(runs=0),
            r"sweep\[1\].latency_us.runs: expected `int` >= 1, not 0",
        ),
        (lambda v: v.update(noise=1), "noise: expected `object`, not 1"),
        (lambda v: v["noise"].pop("unsteadiness"), "noise.unsteadiness is missing"),
        (lambda v: v.update(nodes={}), "nodes: expected `array`, not {}"),
        (
            lambda v: v["nodes"][1].update(latency_us="x"),
            r"nodes\[1\].latency_us: expected `float`, not 'x'",
        ),
        (lambda v: v["nodes"][0].update(macs=-1), r"nodes\[0\].macs: expected `int` >= 0, not -1"),
        (lambda v: v.update(limits={"gflops": 1}), "limits.gbytes_per_s is missing"),
        (lambda v: v.update(timed_alone=1), "timed_alone: expected `bool`, not 1"),
        (lambda v: v["nodes"][0]["ports"].pop(), r"nodes\[0\].ports: expected `array` of length 2"),
        (
            lambda v: v["nodes"][0]["ports"][0].update(fixed=-1),
            r"nodes\[0\]: ports: fewer than 0 channels",
        ),
        (
            lambda v: v["sweep"][2]["widths"].update(a=None),
            r"sweep\[2\].widths.a: expected `int`, not None",
        ),
    ],
)
def test_spoiled_files_name_file_and_key(tmp_path, spoil, message):
    path = tmp_path / "t.json"
    value = make_table().to_dict()
    spoil(value)
    path.write_text(json.dumps(value))
    with pytest.raises(BadInputError, match=rf"t\.json: {message}"):
        CostTable.load(path)


def test_missing_and_truncated_files(tmp_path):
    with pytest.raises(BadInputError, match="cannot read this cost table"):
        CostTable.load(tmp_path / "none.json")
    (tmp_path / "half.json").write_text(json.dumps(make_table().to_dict())[:200])
    with pytest.raises(BadInputError, match="not valid JSON"):
        CostTable.load(tmp_path / "half.json")


def test_another_graph_is_refused():
    table = make_table()
    table.require_same_graph("ab" * 32)
    with pytest.raises(BadInputError, match=r"another model \(m\.onnx, sha256 abababababab"):
        table.require_same_graph("cd" * 32)


def test_another_size_of_a_dynamic_model_is_refused(tmp_path):
    path = write_dynamic_generator(tmp_path / "model.onnx")
    small, large = (load_model(path, {"image": [1, 3, n, n]}) for n in (24, 48))
    channels = analyse(small.proto)
    known = ProfiledModel(small.sha256, "model.onnx", {"image": (1, 3, 24, 24)})
    table = replace(make_table(), model=known, groups={"conv1": 8, "conv2": 8})
    table.require_same_model(small, channels)
    with pytest.raises(BadInputError, match=r"another size of image: .*image:1,3,24,24, or"):
        table.require_same_model(large, channels)
    with pytest.raises(BadInputError, match="another model"):
        replace(table, model=replace(known, sha256="ab" * 32)).require_same_model(small, channels)


@pytest.mark.parametrize(
    ("groups", "message"),
    [
        ({"conv1": 8}, "conv2: 0 channels there, 8 here"),
        ({"conv1": 8, "conv2": 8, "head": 3}, "head: 3 channels there, 0 here"),
        ({"conv1": 16, "conv2": 8}, "conv1: 16 channels there, 8 here"),
    ],
)
def test_other_groups_of_the_same_model_are_refused(tmp_path, groups, message):
    model = load_model(write_generator(tmp_path / "model.onnx"))
    table = replace(make_table(), model=ProfiledModel(model.sha256), groups=groups)
    with pytest.raises(BadInputError, match=rf"{message}\); profile .*model\.onnx again"):
        table.require_same_model(model, analyse(model.proto))


def test_a_table_serves_other_weights_of_the_same_structure_only(tmp_path):
    trained, fresh, wider = (
        load_model(write_generator(tmp_path / f"{name}.onnx", **settings))
        for name, settings in {
            "trained": {},
            "fresh": {"seed": 1},
            "wider": {"width": 12},
        }.items()
    )
    work = count(trained.proto).by_node
    nodes = tuple(
        NodeCost(node.name, node.op_type, 1.0, 0.1, "s", macs=work.get(node.name, 0))
        for node in trained.proto.graph.node
    )
    groups = {group.name: group.channels for group in analyse(trained.proto).prunable}
    known = ProfiledModel(trained.sha256, "trained.onnx", {"image": (1, 3, 24, 24)})
    table = replace(make_table(), model=known, nodes=nodes, groups=groups)
    assert fresh.sha256 != trained.sha256
    table.require_same_structure(fresh, analyse(fresh.proto))
    with pytest.raises(BadInputError, match="another model"):
        table.require_same_model(fresh, analyse(fresh.proto))
    for other in (wider, replace(fresh, proto=_without_last_node(fresh.proto))):
        with pytest.raises(
            BadInputError, match=r"another model \(trained\.onnx\), not for one bui"
        ):
            table.require_same_structure(other, analyse(fresh.proto))
    larger = load_model(write_generator(tmp_path / "larger.onnx", size=48))
    silent = replace(table, nodes=tuple(replace(node, macs=0) for node in nodes))
    with pytest.raises(BadInputError, match="taken at another size of image"):
        silent.require_same_structure(larger, analyse(larger.proto))


def _without_last_node(proto):
    other = copy.deepcopy(proto)
    del other.graph.node[-1]
    return other


@pytest.mark.parametrize("name", ["epyc-cpu-1", "epyc-openvino-1"])
def test_files_are_written_as_they_were_read(tmp_path, name):
    path = Path(__file__).resolve().parents[3] / "profiles" / f"{name}.json"
    CostTable.load(path).save(tmp_path / "t.json")
    assert (tmp_path / "t.json").read_bytes() == path.read_bytes()


def test_a_table_cannot_be_changed():
    table = make_table()
    with pytest.raises(AttributeError):
        table.groups = {}
    assert isinstance(table.sweep, tuple)
    assert isinstance(table.nodes, tuple)
