import json

import onnx
import pytest

from tests.samples import decig, generator, write_generator


def test_a_table_and_its_summary(tmp_path):
    out = tmp_path / "table.json"
    result = decig("profile", write_generator(tmp_path / "m.onnx"), "-o", out)
    assert result.exit_code == 0, result.stderr
    table = json.loads(out.read_text())
    assert {"schema_version", "device", "model", "latency_us", "nodes"} <= table.keys()
    assert table["latency_us"]["median"] > 0
    assert {"name", "op", "latency_us", "share"} <= table["nodes"][0].keys()
    assert "conv1" in result.stdout
    assert "latency" in result.stdout
    assert "profile: 100 %" not in result.stdout


def test_layers_have_the_names_that_inspect_has(tmp_path):
    proto = generator()
    for node in proto.graph.node:
        node.name = f"/body/{node.name}/{node.op_type}"
    onnx.save(proto, tmp_path / "m.onnx")
    shown = [
        decig(*command, tmp_path / "m.onnx").stdout
        for command in (("inspect",), ("profile", "-o", tmp_path / "t.json"))
    ]
    for table in shown:
        names = {line.split()[0] for line in table.splitlines() if line.strip()}
        assert {"conv1", "conv2", "head"} <= names
    # The file goes by the names of nodes.
    nodes = json.loads((tmp_path / "t.json").read_text())["nodes"]
    assert "/body/conv1/Conv" in {node["name"] for node in nodes}


def test_a_provider_that_is_not_installed(tmp_path):
    model, out = write_generator(tmp_path / "m.onnx"), tmp_path / "t.json"
    result = decig("profile", model, "-o", out, "--ep", "OpenVINOExecutionProvider")
    assert result.exit_code == 2
    assert "pip install onnxruntime-openvino" in result.stderr
    assert not out.exists()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--ep", "abacus"), "execution provider 'abacus' is not known"),
        (("--ep-option", "x"), "KEY=VALUE"),
        (("--threads", "0"), "--threads"),
        (("--input-shape", "image:1,x"), "NAME:1,3,256,256"),
        (("--input-shape", "photo:1,3,8,8"), "inputs are image"),
    ],
)
def test_bad_options(tmp_path, arguments, message):
    model = write_generator(tmp_path / "m.onnx")
    result = decig("profile", model, "-o", tmp_path / "t.json", *arguments)
    assert result.exit_code == 2
    assert message in result.stderr


def test_an_output_folder_that_is_not_there(tmp_path):
    model = write_generator(tmp_path / "m.onnx")
    result = decig("profile", model, "-o", tmp_path / "none" / "t.json")
    assert result.exit_code == 2
    assert "its folder is not there" in result.stderr
