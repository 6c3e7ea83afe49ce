"""OpenVINO, really run, in a virtual environment of its own.

onnxruntime and onnxruntime-openvino are one Python module, so the environment that runs the tests
cannot have both. DECIG_OPENVINO_PYTHON names the interpreter of one that has the latter, and what
decig needs (CONTRIBUTING.md says how to make it).
"""

import json
import os
import subprocess
from pathlib import Path

import pytest

from tests.samples import PIXELS, write_generator, write_photos

_VARIABLE = "DECIG_OPENVINO_PYTHON"
_TOOLCHAIN = Path(__file__).resolve().parents[3] / "toolchain"

pytestmark = pytest.mark.skipif(
    _VARIABLE not in os.environ, reason=f"{_VARIABLE} names no interpreter with OpenVINO"
)


def decig(*arguments: object) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [
            os.environ[_VARIABLE],
            "-c",
            "from decig.cli.main import main; main()",
            *map(str, arguments),
        ],
        env=os.environ | {"PYTHONPATH": str(_TOOLCHAIN)},
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    return write_generator(tmp_path_factory.mktemp("model") / "m.onnx", size=48)


@pytest.fixture(scope="module")
def table(model):
    path = model.with_name("table.json")
    result = decig("profile", model, "-o", path, "--ep", "OpenVINO")
    assert result.returncode == 0, result.stderr
    return json.loads(path.read_text())


def test_nodes_add_up_to_the_whole(table):
    device = table["device"]
    assert device["provider"] == "OpenVINOExecutionProvider"
    assert device["provider_options"] == {"device_type": "CPU", "num_of_threads": "1"}
    nodes = {node["name"]: node["latency_us"] for node in table["nodes"]}
    assert sum(nodes.values()) == pytest.approx(table["latency_us"]["median"], rel=0.01)
    assert nodes["conv2"] > 0
    assert table["sweep"]


def test_plans_and_exports(model, table, tmp_path):
    arguments = ["--profile", model.with_name("table.json"), "--keep", "0.5", "--json"]
    result = decig("slice", model, "-o", tmp_path / "half.onnx", *arguments, "--force")
    assert result.returncode == 0, result.stderr
    assert json.loads(result.stdout)["predicted_latency_ms"] > 0
    result = decig("export", model, "-o", tmp_path / "out.onnx", "--ep", "openvino", "--json")
    assert result.returncode == 0, result.stderr
    assert json.loads(result.stdout)["max_abs_diff"] <= 1e-4


def test_pixels_and_fewer_bits(model, tmp_path):
    out, folder = tmp_path / "out.onnx", write_photos(tmp_path / "photos")
    arguments = ["--pixel-io", "--precision", "auto", "--calibration", folder, "--min-psnr", "20"]
    device = ["--ep", "openvino", "--json"]
    result = decig("export", model, "-o", out, *arguments, *device, *PIXELS)
    assert result.returncode == 0, result.stderr
    assert json.loads(result.stdout)["precision"]["variants"].keys() == {"fp16", "int8"}
    arguments = ["--reference", model, "--data", folder, "--min-psnr", "20"]
    result = decig("check", out, *arguments, *device, *PIXELS)
    assert result.returncode == 0, result.stderr
    assert json.loads(result.stdout)["latency_from_bytes"] is True


@pytest.mark.parametrize(
    ("option", "message"),
    [("bogus=1", "Invalid OpenVINO EP option: bogus"), ("device_type=GPU", "did not start")],
)
def test_options_that_it_refuses(model, tmp_path, option, message):
    out = tmp_path / "t.json"
    result = decig("profile", model, "-o", out, "--ep", "openvino", "--ep-option", option)
    assert result.returncode in (1, 2)
    assert message in result.stderr.splitlines()[-1]
    assert not out.exists()


def test_cuda_is_not_there(model, tmp_path):
    result = decig("profile", model, "-o", tmp_path / "t.json", "--ep", "cuda")
    assert result.returncode == 2
    assert "pip uninstall -y onnxruntime-openvino && pip install 'onnxruntime-gpu" in result.stderr
