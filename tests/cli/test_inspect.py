import json

import pytest

from tests.samples import (
    decig,
    write_dynamic_generator,
    write_generator,
    write_other_groups,
)


def test_json_has_the_keys_that_others_rely_on(tmp_path):
    result = decig("inspect", write_generator(tmp_path / "m.onnx"), "--json")
    assert result.exit_code == 0, result.stderr
    found = json.loads(result.stdout)
    assert {"params", "macs", "groups"} <= found.keys()
    groups = {group["name"]: group for group in found["groups"]}
    assert groups["conv1"]["channels"] == 8
    assert groups["conv1"]["prunable"]
    assert groups["conv1"]["reason"] == ""
    assert {"conv1", "norm1", "conv2"} <= set(groups["conv1"]["nodes"])
    assert not groups["head"]["prunable"]
    assert "picture" in groups["head"]["reason"]


def test_costs_of_groups_add_up(tmp_path):
    found = json.loads(decig("inspect", write_generator(tmp_path / "m.onnx"), "--json").stdout)
    for what in ("params", "macs"):
        assert sum(group[what] for group in found["groups"]) == found[what]


def test_a_profile_adds_shares_and_a_plan_what_stays(tmp_path):
    model, table = write_generator(tmp_path / "m.onnx"), tmp_path / "t.json"
    assert decig("profile", model, "-o", table).exit_code == 0
    sha256 = json.loads(table.read_text())["model"]["sha256"]
    plan = {"schema_version": 1, "model_sha256": sha256, "keep": {"conv2": [0, 1]}}
    (tmp_path / "plan.json").write_text(json.dumps(plan))
    asked = ("--profile", table, "--plan", tmp_path / "plan.json")
    groups = json.loads(decig("inspect", model, *asked, "--json").stdout)["groups"]
    assert 0.9 < sum(group["latency_share"] for group in groups) <= 1.001
    assert {group["name"]: group["kept"] for group in groups} == {"conv1": 8, "conv2": 2, "head": 3}
    shown = decig("inspect", model, *asked).stdout
    for text in ("latency", "kept", "conv1", "graph output picture", "multiply-accumulates"):
        assert text in shown


def test_a_profile_shows_the_distance_from_the_limits(tmp_path):
    model, table = write_generator(tmp_path / "m.onnx"), tmp_path / "t.json"
    assert decig("profile", model, "-o", table).exit_code == 0
    asked = ("inspect", model, "--profile", table)
    found = json.loads(decig(*asked, "--json").stdout)
    roofline, measured = found["roofline"], json.loads(table.read_text())
    assert roofline["limits"].keys() == {"gflops", "gbytes_per_s"}
    assert roofline["macs"] == found["macs"]
    assert roofline["latency_us"] == pytest.approx(measured["latency_us"]["median"], abs=1)
    nodes = {node["name"]: node for node in roofline["nodes"]}
    assert {"op", "macs", "bytes", "gflops", "gbytes_per_s", "bound"} <= nodes["conv2"].keys()
    shown = decig(*asked).stdout
    for text in ("GFLOP/s", "GB/s", "of limit", "of what the limits allow, mostly"):
        assert text in shown
    del measured["limits"]
    table.write_text(json.dumps(measured))
    assert "roofline" not in json.loads(decig(*asked, "--json").stdout)
    assert "GFLOP/s" not in decig(*asked).stdout


def test_a_table_of_another_graph_or_other_groups(tmp_path):
    model, table = write_generator(tmp_path / "m.onnx"), tmp_path / "t.json"
    assert decig("profile", model, "-o", table).exit_code == 0
    other = write_generator(tmp_path / "n.onnx", seed=1)
    result = decig("inspect", other, "--profile", table)
    assert result.exit_code == 2
    assert "made for another model" in result.stderr
    older = write_other_groups(tmp_path / "older.json", table)
    result = decig("inspect", model, "--profile", older)
    assert result.exit_code == 2
    assert "other channel groups (conv1: 0 channels there, 8 here)" in result.stderr


def test_bad_files(tmp_path):
    assert decig("inspect", tmp_path / "none.onnx").exit_code == 2
    (tmp_path / "bad.json").write_text("{")
    model = write_generator(tmp_path / "m.onnx")
    result = decig("inspect", model, "--profile", tmp_path / "bad.json")
    assert result.exit_code == 2
    assert "bad.json" in result.stderr


def test_one_input_needs_no_name(tmp_path):
    model = write_dynamic_generator(tmp_path / "m.onnx")
    named, bare = (
        decig("inspect", model, "--json", "--input-shape", shape)
        for shape in ("image:1,3,24,24", "1,3,24,24")
    )
    assert bare.exit_code == 0, bare.stderr
    assert bare.stdout == named.stdout
