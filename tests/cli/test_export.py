import json
import re

import onnx
import pytest

from decig.cli.export import PRECISIONS
from decig.deploy import precision
from decig.source.resolve import resolve
from decig.source.stamp import read_stamp
from tests.deploy.runs import plan_for, write_run
from tests.samples import PIXELS, decig, write_dynamic_generator, write_generator


@pytest.fixture
def model(tmp_path):
    return write_generator(tmp_path / "model.onnx")


def test_the_file_is_folded_verified_and_stamped(model, tmp_path):
    out = tmp_path / "out.onnx"
    result = decig("export", model, "-o", out, "--json", *PIXELS)
    assert result.exit_code == 0, result.stderr
    found = json.loads(result.stdout)
    assert found["max_abs_diff"] <= 1e-4
    assert found["rewrites"]["canonical"]["fold_batchnorm"] == 1
    assert found["latency_ms"]["exported"] > 0
    proto = onnx.load(out)
    assert "BatchNormalization" not in {node.op_type for node in proto.graph.node}
    stamped = read_stamp(proto)
    assert stamped["source_sha256"] == resolve(str(model)).model.sha256
    assert stamped["figures"] == found
    assert stamped["device"]["provider"] == "CPUExecutionProvider"
    assert resolve(str(out)).require_pixels().input_range == (0, 1)


def test_the_summary(model, tmp_path):
    result = decig("export", model, "-o", tmp_path / "out.onnx")
    assert result.exit_code == 0
    titles = [line.partition(":")[0] for line in result.stdout.splitlines()]
    assert titles == ["file", "latency", "nodes", "size", "precision", "proof"]
    texts = [line[11:] for line in result.stdout.splitlines()]
    assert texts[0] == str(tmp_path / "out.onnx")
    assert re.fullmatch(r"[\d.]+ ms to [\d.]+ ms, [\d.]+ times faster", texts[1])
    before, after = (len(onnx.load(p).graph.node) for p in (model, tmp_path / "out.onnx"))
    assert texts[2].startswith(f"{before} to {after}, by ")
    assert texts[4] == "fp32"
    assert re.fullmatch(r"differs by [\d.e-]+ from the graph before, in .*", texts[5])


def test_another_operator_set(model, tmp_path):
    out = tmp_path / "out.onnx"
    assert decig("export", model, "-o", out, "--opset", 21).exit_code == 0
    assert onnx.load(out).opset_import[0].version == 21


def test_dynamic_axes_stay_dynamic_unless_told_otherwise(tmp_path):
    model = write_dynamic_generator(tmp_path / "model.onnx")
    asked = ("--input-shape", "image:1,3,24,24", "--json")
    for extra, dims in (((), ["batch", 3, "height", "width"]), (("--fixed-size",), [1, 3, 24, 24])):
        out = tmp_path / "out.onnx"
        result = decig("export", model, "-o", out, *asked, *extra)
        assert result.exit_code == 0, result.stderr
        found = onnx.load(out).graph.input[0].type.tensor_type.shape.dim
        assert [d.dim_param or d.dim_value for d in found] == dims


def test_a_run_is_exported_for_the_device_that_it_was_planned_for(tmp_path):
    run = write_run(tmp_path / "run", tmp_path / "photos")
    plan_for(run, threads=2)
    out = tmp_path / "out.onnx"
    for asked, threads, warned in (((), 2, 0), (("--threads", 2), 2, 0), (("--threads", 1), 2, 1)):
        result = decig("export", run, "-o", out, "--json", *asked)
        assert result.exit_code == 0, result.stderr
        found = json.loads(result.stdout)
        assert len(found.get("warnings", [])) == warned
        assert ("latency_ms" in found) is not bool(warned)
        assert read_stamp(onnx.load(out))["device"]["threads"] == threads
    result = decig("export", run, "-o", out, "--threads", 1)
    assert "latency:   not measured, as the device is another one" in result.stdout
    assert "threads is 2 there and 1 here" in result.stderr


def test_a_run_of_a_device_that_is_not_here_is_verified_here(tmp_path):
    run = write_run(tmp_path / "run", tmp_path / "photos")
    plan_for(run, provider="OpenVINOExecutionProvider")
    result = decig("export", run, "-o", tmp_path / "out.onnx", "--json")
    assert result.exit_code == 0, result.stderr
    (warning,) = json.loads(result.stdout)["warnings"]
    assert (
        "provider is 'OpenVINOExecutionProvider' there and 'CPUExecutionProvider' here" in warning
    )


def test_the_precisions_are_those_that_there_are():
    assert PRECISIONS == precision.PRECISIONS


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--precision", "int4"), "'int4' is not one of 'fp32', 'fp16', 'int8', 'auto'"),
        (("--precision", "int8"), "--precision int8 needs --calibration DIR"),
        (("--opset", "2"), "opset 2: the graph cannot be converted"),
        (("--ep", "cuda"), "pip install 'onnxruntime-gpu"),
    ],
)
def test_what_it_cannot_do(model, tmp_path, arguments, message):
    result = decig("export", model, "-o", tmp_path / "out.onnx", *arguments)
    assert result.exit_code == 2
    assert message in result.stderr
    assert not (tmp_path / "out.onnx").exists()
