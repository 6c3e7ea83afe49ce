"""`decig slice` with a cost table: for a latency, and tables that do not fit."""

import json
import re

import pytest

from decig.device.cost.predict import Predictor
from decig.device.cost.table import CostTable
from tests.samples import decig, write_generator, write_other_groups


@pytest.fixture(scope="module")
def profiled(tmp_path_factory):
    folder = tmp_path_factory.mktemp("profiled")
    model, table = write_generator(folder / "model.onnx"), folder / "table.json"
    assert decig("profile", model, "-o", table).exit_code == 0
    return model, table


def test_a_latency_is_planned_for_and_measured(profiled, tmp_path):
    model, table = profiled
    # The whole model is fast enough, whatever this machine's noise makes of it.
    target = f"{10 * CostTable.load(table).latency_us.median:.3f}us"
    asked = ("--profile", table, "--target-latency", target, "--json")
    result = decig("slice", model, "-o", tmp_path / "x.onnx", *asked)
    assert result.exit_code == 0, result.stderr
    found = json.loads(result.stdout)
    assert found["removed"] == {}
    assert found["measured_latency_ms"] > 0
    assert re.search(r"^plan: 100 % predicted_ms [\d.]+, measured_ms [\d.]+$", result.stderr, re.M)


def test_on_another_device_the_prediction_must_do(profiled, tmp_path):
    model, table = profiled
    predictor = Predictor(CostTable.load(table))
    narrowest = predictor.predict_ms(dict.fromkeys(predictor.groups, 4))
    wanted = (narrowest + predictor.predict_ms(predictor.groups)) / 2
    elsewhere = json.loads(table.read_text())
    elsewhere["device"]["cores"] += 1
    other = tmp_path / "other.json"
    other.write_text(json.dumps(elsewhere))
    asked = ("--target-latency", f"{1000 * wanted:.3f}us", "--force", "--json")
    result = decig("slice", model, "-o", tmp_path / "x.onnx", "--profile", other, *asked)
    assert result.exit_code == 0, result.stderr
    found = json.loads(result.stdout)
    assert "measured_latency_ms" not in found
    assert found["predicted_latency_ms"] <= wanted + 1e-3
    assert re.search(r"^plan: 100 % predicted_ms [\d.]+$", result.stderr, re.M)


def test_the_summary_names_both_latencies(profiled, tmp_path):
    model, table = profiled
    whole = CostTable.load(table).latency_us.median_ms
    asked = ("--profile", table, "--target-latency", f"{2000 * whole:.1f}us")
    result = decig("slice", model, "-o", tmp_path / "x.onnx", *asked)
    assert result.exit_code == 0, result.stderr
    assert re.search(r"^measured latency, once exported: [\d.]+ ms$", result.stdout, re.M)
    what = "measured latency of this file, not exported yet"
    assert re.search(rf"^{what}: [\d.]+ ms$", result.stdout, re.M)
    result = decig("slice", model, "-o", tmp_path / "x.onnx", *asked, "--json")
    assert json.loads(result.stdout)["file_latency_ms"] > 0


def test_an_unreachable_latency_says_what_is_reachable(profiled, tmp_path):
    model, table = profiled
    out = tmp_path / "x.onnx"
    result = decig("slice", model, "-o", out, "--profile", table, "--target-latency", "0.001us")
    assert result.exit_code == 3
    assert "out of reach" in result.stderr
    assert "ms on this device" in result.stderr
    assert not out.exists()


def test_a_table_of_another_graph(profiled, tmp_path):
    other = write_generator(tmp_path / "other.onnx", seed=1)
    result = decig(
        "slice", other, "-o", tmp_path / "x.onnx", "--profile", profiled[1], "--keep", 0.5
    )
    assert result.exit_code == 2
    assert "made for another model (model.onnx" in result.stderr


@pytest.mark.parametrize("asked", [("--keep", 0.5), ("--target-latency", "1ms")])
def test_a_table_of_other_groups(profiled, tmp_path, asked):
    model, table = profiled
    other = write_other_groups(tmp_path / "other.json", table)
    result = decig("slice", model, "-o", tmp_path / "x.onnx", "--profile", other, *asked)
    assert result.exit_code == 2
    *_, line = result.stderr.splitlines()
    assert "other channel groups (conv1: 0 channels there, 8 here); profile " in line
    assert not (tmp_path / "x.onnx").exists()


def test_a_table_without_a_sweep(profiled, tmp_path):
    model, table = profiled
    other = tmp_path / "other.json"
    other.write_text(json.dumps(json.loads(table.read_text()) | {"sweep": []}))
    asked = ("--profile", other, "--target-latency", "1ms")
    result = decig("slice", model, "-o", tmp_path / "x.onnx", *asked)
    assert result.exit_code == 2
    assert "error: the cost table has no width sweep; profile the model again" in result.stderr


def test_a_table_of_another_device(profiled, tmp_path):
    model, table = profiled
    found = json.loads(table.read_text())
    found["device"]["onnxruntime"] = "1.0"
    other, out = tmp_path / "other.json", tmp_path / "x.onnx"
    other.write_text(json.dumps(found))
    arguments = ("slice", model, "-o", out, "--profile", other, "--keep", 0.5, "--json")
    result = decig(*arguments)
    assert result.exit_code == 2
    assert "onnxruntime is '1.0' there" in result.stderr
    assert not out.exists()
    result = decig(*arguments, "--force")
    assert result.exit_code == 0
    # A busy machine adds a warning of its own.
    warnings = json.loads(result.stdout)["warnings"]
    assert any("onnxruntime is '1.0' there" in warning for warning in warnings)
