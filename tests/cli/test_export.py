import json

import onnx
import pytest

from decig.cli.export import PRECISIONS
from decig.deploy import precision
from decig.source.resolve import resolve
from decig.source.stamp import read_stamp
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
    for text in ("fold_batchnorm (1)", "difference to the graph before export", "latency:"):
        assert text in result.stdout


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
