import errno
import json
from pathlib import Path

import ml_dtypes
import numpy as np
import onnx
import pytest
from onnx import numpy_helper

from decig.graph.channels import analyse
from decig.graph.model import load_model
from decig.source.stamp import read_stamp
from tests.runtime import open_plain
from tests.samples import (
    PIXELS,
    decig,
    generator,
    write_dynamic_generator,
    write_generator,
    write_photos,
)


@pytest.fixture
def model(tmp_path):
    return write_generator(tmp_path / "model.onnx")


def test_half_of_every_group(model, tmp_path):
    out = tmp_path / "small.onnx"
    result = decig("slice", model, "-o", out, "--keep", 0.5, "--verify", "--json")
    assert result.exit_code == 0, result.stderr
    found = json.loads(result.stdout)
    assert found.keys() == {"params", "macs", "removed", "notices", "max_abs_diff"}
    assert found["notices"] == []
    assert found["removed"] == {"conv1": 4, "conv2": 4}
    assert found["macs"]["after"] < 0.45 * found["macs"]["before"]
    assert found["params"]["after"] < found["params"]["before"]
    assert found["max_abs_diff"] <= 1e-4
    assert analyse(load_model(out).proto).widths["conv1"] == 4


def test_the_table_says_the_same(model, tmp_path):
    result = decig("slice", model, "-o", tmp_path / "small.onnx", "--keep", 0.5, "--verify")
    assert result.exit_code == 0
    for text in ("parameters:", "channels removed: 8, from 2 groups", "masked original"):
        assert text in result.stdout


def test_dynamic_axes_stay_dynamic_and_are_verified_at_two_sizes(tmp_path):
    model = write_dynamic_generator(tmp_path / "model.onnx")
    out = tmp_path / "small.onnx"
    shape = ("--input-shape", "image:1,3,24,24")
    result = decig("slice", model, "-o", out, "--keep", 0.5, "--verify", "--json", *shape)
    assert result.exit_code == 0, result.stderr
    assert json.loads(result.stdout)["max_abs_diff"] <= 1e-4
    assert "compared at image 2x3x48x48 too" in result.stderr
    session = open_plain(out)
    for size in ((1, 3, 24, 24), (3, 3, 17, 40)):
        assert session.run(None, {"image": np.ones(size, np.float32)})[0].shape == size
    # The file says at which size it was looked at.
    assert decig("inspect", out, "--json").exit_code == 0


def test_a_plan_is_followed_and_stamped(model, tmp_path):
    sha256 = load_model(model).sha256
    plan = {"schema_version": 1, "model_sha256": sha256, "keep": {"conv1": [1, 5, 6]}}
    (tmp_path / "plan.json").write_text(json.dumps(plan))
    out = tmp_path / "small.onnx"
    result = decig("slice", model, "-o", out, "--plan", tmp_path / "plan.json", "--json", *PIXELS)
    assert json.loads(result.stdout)["removed"] == {"conv1": 5}
    stamped = read_stamp(onnx.load(out))
    assert stamped["plan"] == plan
    assert stamped["source_sha256"] == sha256
    assert stamped["pixels"]["channel_order"] == "rgb"


def test_a_plan_of_another_model_is_refused(model, tmp_path):
    (tmp_path / "plan.json").write_text('{"schema_version": 1, "model_sha256": "0", "keep": {}}')
    result = decig("slice", model, "-o", tmp_path / "x.onnx", "--plan", tmp_path / "plan.json")
    assert result.exit_code == 2
    assert "plan.json: the plan was made for another model" in result.stderr
    assert not (tmp_path / "x.onnx").exists()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((), "Missing one of --keep, --plan and --target-latency."),
        (("--keep", 0.5, "--target-latency", "1ms"), "--keep and --target-latency exclude"),
        (("--target-latency", "1ms"), "--target-latency needs --profile"),
        (("--target-latency", "20"), "needs a unit"),
        (("--keep", 0), "--keep"),
        (("--keep", 1.5), "--keep"),
    ],
)
def test_exactly_one_request(model, tmp_path, arguments, message):
    result = decig("slice", model, "-o", tmp_path / "x.onnx", *arguments)
    assert result.exit_code == 2
    assert message in result.stderr
    assert len(result.stderr.splitlines()) == 1


def test_a_request_that_changes_nothing_says_so(model, tmp_path):
    result = decig("slice", model, "-o", tmp_path / "same.onnx", "--keep", 1, "--json")
    assert result.exit_code == 0
    assert "model.onnx: nothing to remove" in result.stderr
    assert json.loads(result.stdout)["notices"][0].startswith("nothing to remove")


def test_a_model_in_which_nothing_can_be_cut_says_why(tmp_path):
    proto = generator()
    norm = next(node for node in proto.graph.node if node.name == "norm2")
    norm.op_type = "LRN"
    del norm.input[1:]
    norm.attribute.append(onnx.helper.make_attribute("size", 3))
    first = next(node for node in proto.graph.node if node.name == "norm1")
    first.CopyFrom(onnx.helper.make_node("LRN", first.input[:1], first.output, "norm1", size=3))
    onnx.save(proto, tmp_path / "model.onnx")
    result = decig("slice", tmp_path / "model.onnx", "-o", tmp_path / "same.onnx", "--keep", 0.5)
    assert result.exit_code == 0
    assert "nothing to remove; the output is the model as it is: LRN norm" in result.stderr


def test_a_quantised_model_says_so(tmp_path):
    weight = np.random.default_rng(0).integers(-127, 127, (8, 3, 3, 3), np.int8)
    constants = {"s": np.float32(0.1), "z": np.uint8(0), "w": weight, "w0": np.int8(0)}
    proto = onnx.helper.make_model(
        onnx.helper.make_graph(
            [
                onnx.helper.make_node("QuantizeLinear", ["x", "s", "z"], ["q"]),
                onnx.helper.make_node(
                    "QLinearConv", ["q", "s", "z", "w", "s", "w0", "s", "z"], ["c"]
                ),
                onnx.helper.make_node("DequantizeLinear", ["c", "s", "z"], ["y"]),
            ],
            "quantised",
            [onnx.helper.make_tensor_value_info("x", onnx.TensorProto.FLOAT, [1, 3, 8, 8])],
            [onnx.helper.make_tensor_value_info("y", onnx.TensorProto.FLOAT, [1, 8, 6, 6])],
            [numpy_helper.from_array(np.asarray(a), name) for name, a in constants.items()],
        ),
        opset_imports=[onnx.helper.make_opsetid("", 17)],
        ir_version=8,
    )
    onnx.save(proto, tmp_path / "model.onnx")
    result = decig("slice", tmp_path / "model.onnx", "-o", tmp_path / "same.onnx", "--keep", 0.5)
    assert result.exit_code == 0, result.stderr
    assert "its weights are quantised; slice the float model" in result.stderr


def test_the_floor_is_kept_and_said(model, tmp_path):
    out = tmp_path / "small.onnx"
    result = decig("slice", model, "-o", out, "--keep", 0.25, "--json")
    found = json.loads(result.stdout)
    assert found["removed"] == {"conv1": 4, "conv2": 4}
    assert found["notices"] == [
        "conv1, conv2: no share of the channels leaves a group fewer than 4 (a plan can)"
    ]
    assert found["notices"][0] in result.stderr


def test_widths_of_a_share_are_multiples(tmp_path):
    model = write_generator(tmp_path / "model.onnx", width=24)
    for align, kept in ((None, 20), (1, 17), (8, 24)):
        asked = () if align is None else ("--align", align)
        result = decig("slice", model, "-o", tmp_path / "x.onnx", "--keep", 0.7, "--json", *asked)
        assert result.exit_code == 0, result.stderr
        found = json.loads(result.stdout)
        assert found["removed"].get("conv1", 0) == 24 - kept
        assert "multiple of" in found["notices"][0]
    plan = ("--target-latency", "1ms", "--profile", model, "--align", 4)
    result = decig("slice", model, "-o", tmp_path / "x.onnx", *plan)
    assert result.exit_code == 2
    assert "--align goes with --keep." in result.stderr


def test_repair_needs_to_know_the_pixels(model, tmp_path):
    photos = write_photos(tmp_path / "photos")
    result = decig("slice", model, "-o", tmp_path / "x.onnx", "--keep", 0.5, "--repair", photos)
    assert result.exit_code == 2
    assert "--input-range" in result.stderr


def test_repair_changes_the_weights_and_verify_the_slice_before_it(model, tmp_path):
    photos = write_photos(tmp_path / "photos")
    asked = ("--keep", 0.75, "--align", 1, "--repair", photos, "--verify", "--json", *PIXELS)
    result = decig("slice", model, "-o", tmp_path / "x.onnx", *asked)
    assert result.exit_code == 0, result.stderr
    steps = [line.split(":")[0] for line in result.stderr.splitlines() if " % " in line]
    assert steps == ["score channels", "repair"]
    assert json.loads(result.stdout)["max_abs_diff"] <= 1e-4


def test_a_full_disk_leaves_nothing(model, tmp_path, monkeypatch):
    def full(path, content):
        with path.open("wb") as file:
            file.write(content[:10])
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(Path, "write_bytes", full)
    folder = tmp_path / "out"
    folder.mkdir()
    result = decig("slice", model, "-o", folder / "x.onnx", "--keep", 0.5)
    assert result.exit_code == 1
    assert result.stderr == f"decig: error: {folder}/x.onnx: not written: No space left on device\n"
    assert list(folder.iterdir()) == []


def test_ctrl_c_leaves_nothing(model, tmp_path, monkeypatch):
    def stop(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr("decig.deploy.cutter.slice_graph", stop)
    result = decig("slice", model, "-o", tmp_path / "x.onnx", "--keep", 0.5)
    assert result.exit_code == 130
    assert "decig: interrupted" in result.stderr
    assert not (tmp_path / "x.onnx").exists()


def test_real_generators(shared_suite, tmp_path):
    half = {"udnie": 0.281, "sed_unet": 0.252, "espcn_x3": 0.268}
    for name, share in half.items():
        out = tmp_path / f"{name}.onnx"
        model = shared_suite / f"{name}.onnx"
        result = decig("slice", model, "-o", out, "--keep", 0.5, "--verify", "--json")
        assert result.exit_code == 0, result.stderr
        found = json.loads(result.stdout)
        assert found["macs"]["after"] <= 1.12 * share * found["macs"]["before"]
        assert found["max_abs_diff"] <= 1e-4


@pytest.mark.parametrize("dtype", [np.float16, ml_dtypes.bfloat16, np.float64])
def test_weights_of_any_float_type_keep_it(model, tmp_path, dtype):
    proto = onnx.load(model)
    for tensor in proto.graph.initializer:
        array = numpy_helper.to_array(tensor).astype(dtype)
        tensor.CopyFrom(numpy_helper.from_array(array, tensor.name))
    kind = onnx.helper.np_dtype_to_tensor_dtype(np.dtype(dtype))
    for value in (*proto.graph.input, *proto.graph.output):
        value.type.tensor_type.elem_type = kind
    onnx.save(proto, model)
    out = tmp_path / "small.onnx"
    asked = ("--keep", 0.5, "--verify", "--json")
    result = decig("slice", model, "-o", out, *asked)
    assert result.exit_code == 0, result.stderr
    assert json.loads(result.stdout)["max_abs_diff"] <= 1e-5
    assert {tensor.data_type for tensor in onnx.load(out).graph.initializer} == {kind}
    photos = write_photos(tmp_path / "photos")
    result = decig("slice", model, "-o", out, *asked, "--repair", photos, *PIXELS)
    assert result.exit_code == 0, result.stderr
    assert {tensor.data_type for tensor in onnx.load(out).graph.initializer} == {kind}
