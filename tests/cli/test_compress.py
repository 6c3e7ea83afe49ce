import json
import re
from dataclasses import replace

import numpy as np
import onnx
import pytest

from decig.cli.compress import _tell_of_table
from decig.device.cost.table import CostTable
from decig.device.plan.bench import DeployedBench
from decig.device.run.device import Device
from decig.graph.cost import count
from decig.source.stamp import read_stamp
from tests.device.bench import FakeBench
from tests.runtime import open_plain
from tests.samples import (
    PIXELS,
    call,
    decig,
    write_dynamic_generator,
    write_generator,
    write_other_groups,
    write_photos,
)

pytestmark = pytest.mark.train

CONTRACT = {
    "predicted_latency_ms",
    "measured_latency_ms",
    "ssim",
    "method",
    "steps",
    "training_seconds",
}
"""Keys that other programs rely on."""
CONFIG = "[distil]\ncrop = 24\nbatch = 2\npool = 2\nheld_out = 1\nrepair_crops = 2\n"


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """A folder with a model, its cost table, photos and quick settings."""
    folder = tmp_path_factory.mktemp("compress")
    write_photos(folder / "photos", 4)
    (folder / "quick.toml").write_text(CONFIG)
    model = write_generator(folder / "model.onnx", width=16)
    assert decig("profile", model, "-o", folder / "table.json").exit_code == 0
    return folder


@pytest.fixture(autouse=True)
def _latency_by_work(monkeypatch):
    """Tell latency by multiply-accumulates: what takes microseconds is too noisy to plan with."""

    def by_work(table, model):
        whole = count(model.proto).macs
        by_macs = FakeBench(lambda proto: table.latency_us.median_ms * count(proto).macs / whole)
        return replace(by_macs, roof=DeployedBench(table, model).roofline)

    monkeypatch.setattr("decig.device.plan.target.DeployedBench", by_work)


def compress(place, run, *arguments):
    model, table, photos = (place / name for name in ("model.onnx", "table.json", "photos"))
    given = {"--profile": table, "--config": place / "quick.toml"}
    usual = (part for item in given.items() if item[0] not in arguments for part in item)
    asked = ("--data", photos, "--output-dir", run, *PIXELS, *usual, *arguments)
    return decig("compress", model, *asked)


def latency_us(place):
    return json.loads((place / "table.json").read_text())["latency_us"]["median"]


def test_from_a_model_to_a_verified_smaller_file(place, tmp_path):
    run, out = tmp_path / "run", tmp_path / "out.onnx"
    target = f"{0.9 * latency_us(place):.1f}us"
    result = compress(place, run, "--target-latency", target, "--steps", 3, "--json")
    assert result.exit_code == 0, result.stderr
    figures = json.loads(result.stdout)
    assert figures.keys() >= CONTRACT
    spread = figures["measured_latency_us"]
    assert spread["median"] == pytest.approx(1000 * figures["measured_latency_ms"], abs=0.1)
    assert (
        spread.keys() == figures["original_latency_us"].keys() == {"median", "mad", "p90", "runs"}
    )
    assert figures["measured_latency_ms"] <= figures["target_latency_ms"] * 1.001
    teacher, student = (figures["roofline"][side] for side in ("reference", "candidate"))
    assert student["macs"] < teacher["macs"]
    assert student["nodes"][0].keys() == teacher["nodes"][0].keys()
    assert json.loads((run / "report.json").read_text())["roofline"] == figures["roofline"]
    assert f"decig compress {place / 'model.onnx'}" in (run / "report.html").read_text()
    again = call("report", run, "-o", tmp_path / "again.html")
    assert again["missing"] == [] and again["bytes"] > 50_000
    result = decig("export", run, "-o", out, "--json")
    assert result.exit_code == 0, result.stderr
    exported = json.loads(result.stdout)
    assert exported["torch_max_abs_diff"] <= 1e-4
    stamped = read_stamp(onnx.load(out))
    assert stamped["plan"]["keep"].keys() == {"conv1", "conv2"}
    reference = place / "model.onnx"
    result = decig("check", out, "--reference", reference, "--data", place / "photos", "--json")
    assert result.exit_code == 0, result.stderr
    found = json.loads(result.stdout)
    assert found["macs"]["candidate"] < found["macs"]["reference"]


def test_without_a_table_the_model_is_profiled_here_first(place, tmp_path, monkeypatch):
    known = CostTable.load(place / "table.json")
    asked = []

    def profiled(model, device, *_):
        asked.append(device)
        return known

    monkeypatch.setattr("decig.api.deployment.profile_as_deployed", profiled)
    data, run = place / "photos", tmp_path / "run"
    given = ("compress", place / "model.onnx", "--data", data, "--output-dir", run, *PIXELS)
    given = (*given, "--config", place / "quick.toml", "--steps", 2, "--target-speedup", "1.05")
    assert decig(*given).exit_code == 0
    assert asked == [Device.of(threads=1)]
    assert CostTable.load(run / "profile.json") == known
    again = decig(*given)
    assert again.exit_code == 2 and "holds a run already" in again.stderr
    bad = decig(*given[:-1], "1.1", "--targets", tmp_path / "run")
    assert bad.exit_code == 2
    assert len(asked) == 1  # bad input is found before anything is measured


def test_folded_norms_are_not_in_the_exported_file(place, tmp_path):
    run, out, config = tmp_path / "run", tmp_path / "out.onnx", tmp_path / "any.toml"
    config.write_text(CONFIG + "[decig]\nfold_tolerance = 1\n")
    target = ("--target-speedup", "1.05")
    asked = ("--fold-norms", "--steps", 4, "--config", config, "--json", *target)
    result = compress(place, run, *asked)
    assert result.exit_code == 0, result.stderr
    figures = json.loads(result.stdout)
    assert figures["norms_folded"].keys() == {"norm2"}
    assert figures["latency_ms"].keys() == {"with_norms", "folded"}
    result = decig("export", run, "-o", out, "--json")
    assert result.exit_code == 0, result.stderr
    operators = {node.op_type for node in onnx.load(out).graph.node}
    assert not operators & {"InstanceNormalization", "BatchNormalization"}
    assert "InstanceNormalization" in {
        n.op_type for n in onnx.load(place / "model.onnx").graph.node
    }


def test_without_a_target_a_file_of_settings_asks_for_stage_one(place, tmp_path):
    result = compress(place, tmp_path / "run", "--steps", 4)
    assert result.exit_code == 2
    assert (
        "give --target-latency, --target-speedup or --target-macs: without any of them, only stage"
        in result.stderr
    )
    config = tmp_path / "stage_one.toml"
    config.write_text(CONFIG + "[decig]\ncondense = 0.5\n")
    result = compress(place, tmp_path / "run", "--steps", 4, "--config", config, "--json")
    assert result.exit_code == 0, result.stderr
    figures = json.loads(result.stdout)
    assert figures["target_latency_ms"] is None
    assert min(figures["widths"].values()) >= 4


def test_a_dry_run_writes_nothing(place, tmp_path):
    result = compress(place, tmp_path / "run", "--target-speedup", "1.5", "--dry-run", "--json")
    assert result.exit_code == 0, result.stderr
    found = json.loads(result.stdout)
    assert found["widths"].keys() == found["channels"].keys() == {"conv1", "conv2"}
    assert found["expected_seconds"] == 1200 and found["steps"] is None
    assert found["macs"]["after"] < found["macs"]["before"]
    assert not (tmp_path / "run").exists()


def test_a_dry_run_says_what_it_would_do(place, tmp_path):
    asked = ("--target-speedup", "1.05", "--steps", 50, "--dry-run")
    found = json.loads(compress(place, tmp_path / "run", *asked, "--json").stdout)
    assert found["steps"] == 50 and found["expected_seconds"] > 0
    lines = compress(place, tmp_path / "run", *asked).stdout.splitlines()
    titles = [line.partition(":")[0] for line in lines if ":" in line]
    assert titles[:6] == ["asked", "predicted", "work", "size", "training", "method"]
    assert re.match(r"training:  50 steps, about .* s here", lines[4])
    conv1 = next(line.split() for line in lines if line.split()[0] == "conv1")
    assert conv1[:2] == ["conv1", "16"] and 0 < int(conv1[2]) <= 16
    assert not (tmp_path / "run").exists()
    timed = compress(place, tmp_path / "run", *asked[:2], "--budget", "90s", "--dry-run").stdout
    assert "training:  1 min 30 s at most" in timed


def test_an_unreachable_target_is_exit_code_3_and_leaves_nothing(place, tmp_path):
    result = compress(place, tmp_path / "run", "--target-speedup", "100000")
    assert result.exit_code == 3
    assert "out of reach" in result.stderr
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--target-latency", "1ms", "--target-speedup", "2"), "exclude each other"),
        (("--budget", "1m", "--steps", "2"), "exclude each other"),
        (("--target-speedup", "1"), "--target-speedup"),
        (("--budget", "20"), "needs a unit"),
        (("--target-speedup", "2,4,2.0"), "target speedup: 2x is named twice"),
        (("--target-latency", "20ms,0.02s"), "target latency: 20ms is named twice"),
        (("--target-macs", "2G", "--target-speedup", "2"), "exclude each other"),
        (("--target-macs", "0.5"), "--target-macs is for no device: leave --profile out"),
        (("--target-macs", "1"), "a share is below it"),
        (("--target-macs", "2ms"), "is no number of multiply-accumulates"),
    ],
)
def test_bad_requests(place, tmp_path, arguments, message):
    result = compress(place, tmp_path / "run", *arguments)
    assert result.exit_code == 2
    assert message in result.stderr
    assert not (tmp_path / "run").exists()


def test_a_table_of_another_device(place, tmp_path):
    found = json.loads((place / "table.json").read_text())
    found["device"]["threads"] = 64
    other = tmp_path / "other.json"
    other.write_text(json.dumps(found))
    arguments = ("--target-speedup", "1.05", "--dry-run", "--json", "--profile", other)
    result = compress(place, tmp_path / "run", *arguments)
    assert result.exit_code == 0, result.stderr
    found["device"]["cores"] += 1
    other.write_text(json.dumps(found))
    assert compress(place, tmp_path / "run", *arguments).exit_code == 2
    result = compress(place, tmp_path / "run", *arguments, "--force")
    assert result.exit_code == 0
    assert "cores is" in json.loads(result.stdout)["warnings"][-1]


def test_a_table_of_other_groups(place, tmp_path):
    other = write_other_groups(tmp_path / "other.json", place / "table.json")
    result = compress(place, tmp_path / "run", "--target-speedup", "2", "--profile", other)
    assert result.exit_code == 2
    assert "other channel groups (conv1: 0 channels there, 16 here)" in result.stderr
    assert not (tmp_path / "run").exists()


def test_dynamic_axes_stay_dynamic(tmp_path):
    model = write_dynamic_generator(tmp_path / "model.onnx", width=16)
    photos, table = write_photos(tmp_path / "photos", 4), tmp_path / "table.json"
    (tmp_path / "quick.toml").write_text(CONFIG)
    size = ("--input-shape", "image:1,3,24,24")
    assert decig("profile", model, "-o", table, *size).exit_code == 0
    given = ("--profile", table, "--data", photos, "--config", tmp_path / "quick.toml", *PIXELS)
    asked = ("--target-speedup", "1.05", "--steps", 1, "--output-dir", tmp_path / "run")
    result = decig("compress", model, *given, *asked, *size)
    assert result.exit_code == 0, result.stderr
    out = tmp_path / "out.onnx"
    result = decig("export", tmp_path / "run", "-o", out)
    assert result.exit_code == 0, result.stderr
    picture = open_plain(out).run(None, {"image": np.zeros((2, 3, 16, 40), np.float32)})
    assert picture[0].shape == (2, 3, 16, 40)


def test_several_targets_make_a_run_each_and_a_frontier(place, tmp_path):
    run = tmp_path / "run"
    result = compress(place, run, "--target-speedup", "1.2,1.05", "--steps", 2, "--json")
    assert result.exit_code == 0, result.stderr
    found = json.loads(result.stdout)
    assert [each["target"] for each in found["targets"]] == ["1.05x", "1.2x"]
    found.pop("notices", None)
    assert json.loads((run / "frontier.json").read_text()) == found
    text = (run / "report.html").read_text()
    assert "2 of 2 targets done" in text and 'href="1.2x/report.html"' in text
    for name in ("1.05x", "1.2x"):
        assert (run / name / "plan.json").is_file()
    assert decig("export", run / "1.2x", "-o", tmp_path / "out.onnx").exit_code == 0
    result = decig("export", run, "-o", tmp_path / "none.onnx")
    assert result.exit_code == 2
    assert f"holds a run for each target; name one: {run}/1.05x, {run}/1.2x" in result.stderr
    result = decig("compress", "--resume", "--output-dir", run)
    assert result.exit_code == 0, result.stderr
    _, original, slow, fast, *_, note, following, last = result.stdout.splitlines()
    assert original.split()[0] == "original" and slow.split()[0] == "1.05x"
    assert fast.split()[0] == "1.2x"
    assert note == f"figures: {run / 'frontier.json'}"
    assert following == f"next:    decig export {run / '1.05x'} -o 1.05x.onnx"
    assert last == f"next:    decig export {run / '1.2x'} -o 1.2x.onnx"
    result = decig("compress", "--resume", "--output-dir", run / "1.2x")
    assert result.exit_code == 2
    assert f"is part of {run}: go on with decig compress --resume --output-dir {run}" in (
        result.stderr
    )


def test_a_dry_run_of_several_targets_plans_them_all(place, tmp_path):
    asked = ("--target-speedup", "1.05,1.2", "--dry-run")
    found = json.loads(compress(place, tmp_path / "run", *asked, "--json").stdout)["targets"]
    assert list(found) == ["1.05x", "1.2x"]
    assert all(plan["widths"].keys() == {"conv1", "conv2"} for plan in found.values())
    shown = compress(place, tmp_path / "run", *asked).stdout
    assert shown.index("1.05x:") < shown.index("1.2x:")
    assert not (tmp_path / "run").exists()


def test_targets_in_multiply_accumulates_need_no_device(place, tmp_path):
    run = tmp_path / "run"
    given = ("compress", place / "model.onnx", "--data", place / "photos", "--output-dir", run)
    given = (*given, *PIXELS, "--config", place / "quick.toml", "--steps", 2)
    result = decig(*given, "--target-macs", "0.5", "--json")
    assert result.exit_code == 0, result.stderr
    figures = json.loads(result.stdout)
    assert figures["macs"]["after"] <= figures["target_macs"] == figures["macs"]["before"] / 2
    assert figures["predicted_macs"] == figures["macs"]["after"]
    timed = ("predicted_latency_ms", "measured_latency_ms", "target_latency_ms")
    assert all(figures[key] is None for key in timed)
    assert not (run / "profile.json").exists()
    result = decig("compress", "--resume", "--output-dir", run)
    assert result.exit_code == 0, result.stderr
    assert "asked:     " in result.stdout and "multiply-accumulates" in result.stdout
    assert f"next:      decig export {run} -o run.onnx" in result.stdout
    assert decig("export", run, "-o", tmp_path / "out.onnx").exit_code == 0


def test_a_folder_with_a_cost_table_alone_says_how_it_is_used_again(tmp_path, caplog):
    caplog.set_level("INFO", "decig")
    folder = tmp_path / "m-4x"
    _tell_of_table(folder)
    folder.mkdir()
    _tell_of_table(folder)
    assert not caplog.messages
    (folder / "profile.json").touch()
    _tell_of_table(folder)
    assert caplog.messages == [
        f"{folder}: holds the cost table; with --profile {folder}/profile.json it is used again"
    ]
    (folder / "run.json").touch()
    _tell_of_table(folder)
    assert len(caplog.messages) == 1
