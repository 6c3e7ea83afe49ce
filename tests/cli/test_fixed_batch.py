"""Files with a fixed batch of several images, through every command that looks at pictures."""

from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from decig.device.measure import rewriting
from decig.device.run.timing import Timing
from decig.source.flags import PixelFlags
from decig.source.resolve import resolve
from tests.samples import PIXELS, call, decig, generator, write_photos

BATCH = 4
FLAGS = PixelFlags((0.0, 1.0), (0.0, 1.0), None, "rgb")


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rewriting, "COMPARISON", Timing(max_seconds=0.05))


def write_batched(path: Path, *, tied: bool = False, channels: int = 3) -> Path:
    """Write the small generator for four images at once; `tied` bakes their number into a node."""
    proto = generator(channels=channels)
    for value in (*proto.graph.input, *proto.graph.output):
        value.type.tensor_type.shape.dim[0].dim_value = BATCH
    if tied:
        sizes = numpy_helper.from_array(np.array([BATCH, 8, -1], np.int64), "flat_sizes")
        back = numpy_helper.from_array(np.array([BATCH, 8, 24, 24], np.int64), "sizes")
        proto.graph.initializer.extend([sizes, back])
        place = next(i for i, n in enumerate(proto.graph.node) if n.name == "norm1.relu")
        source = proto.graph.node[place].output[0]
        for node in proto.graph.node:
            node.input[:] = ["same" if name == source else name for name in node.input]
        flat = helper.make_node("Reshape", [source, "flat_sizes"], ["flat"], name="flatten")
        same = helper.make_node("Reshape", ["flat", "sizes"], ["same"], name="unflatten")
        proto.graph.node.insert(place + 1, flat)
        proto.graph.node.insert(place + 2, same)
    onnx.checker.check_model(proto)
    onnx.save(proto, path)
    return path


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    return write_photos(tmp_path / "photos", 6)


@pytest.mark.parametrize("channels", [1, 3])
def test_every_image_fills_a_batch_and_the_flag_is_named(
    tmp_path: Path, photos: Path, channels: int, caplog: pytest.LogCaptureFixture
):
    model = write_batched(tmp_path / "a.onnx", channels=channels)
    source = resolve(str(model), FLAGS)
    listed = list(source.pictures(photos))
    assert f"--input-shape image:1,{channels},24,24" in caplog.text
    assert len(listed) == 6
    for picture in listed:
        tensor = picture.feeds["image"]
        assert tensor.shape == (BATCH, channels, 24, 24)
        expected = source.require_pixels().to_tensor(picture.pixels[None], channels)
        assert all(np.array_equal(one, expected[0]) for one in tensor)


@pytest.mark.parametrize("tied", [False, True])
def test_repair_and_check_take_photos(tmp_path: Path, photos: Path, tied: bool):
    model = write_batched(tmp_path / "a.onnx", tied=tied)
    plain, repaired = tmp_path / "plain.onnx", tmp_path / "repaired.onnx"
    keep = ("slice", model, "--keep", 0.5, "--verify", *PIXELS)
    call(*keep, "-o", plain)
    result = decig(*keep, "-o", repaired, "--repair", photos)
    assert result.exit_code == 0, result.stderr
    assert "--input-shape image:1,3,24,24" in result.stderr
    shape = onnx.load(repaired).graph.input[0].type.tensor_type.shape
    assert [dim.dim_value for dim in shape.dim] == [BATCH, 3, 24, 24]
    asked = ("check", "--reference", model, "--data", photos, *PIXELS)
    better, worse = call(*asked, repaired), call(*asked, plain)
    assert better["images"] == worse["images"] == 6
    assert better["ssim"] > worse["ssim"]


def test_the_batch_can_be_made_one(tmp_path: Path, photos: Path):
    model, out = write_batched(tmp_path / "a.onnx"), tmp_path / "one.onnx"
    one = ("--input-shape", "image:1,3,24,24")
    result = decig("slice", model, "-o", out, "--keep", 0.5, "--repair", photos, *PIXELS, *one)
    assert result.exit_code == 0, result.stderr
    assert "fills such a batch" not in result.stderr
    shape = onnx.load(out).graph.output[0].type.tensor_type.shape
    assert [dim.dim_value for dim in shape.dim] == [1, 3, 24, 24]


def test_pixels_in_the_graph(tmp_path: Path, photos: Path):
    model, out = write_batched(tmp_path / "a.onnx"), tmp_path / "bytes.onnx"
    call("export", model, "-o", out, "--pixel-io", *PIXELS)
    found = call("check", out, "--reference", model, "--data", photos, *PIXELS)
    assert found["ssim"] > 0.999


@pytest.mark.train
@pytest.mark.parametrize("tied", [False, True])
def test_compress_and_export(tmp_path: Path, tied: bool):
    """Three images are held out: more pictures, as each fills a batch, than looks in training."""
    photos = write_photos(tmp_path / "photos", 15)
    model = write_batched(tmp_path / "a.onnx", tied=tied)
    table, run = tmp_path / "table.json", tmp_path / "run"
    assert decig("profile", model, "-o", table, "--quick").exit_code == 0
    settings = tmp_path / "quick.toml"
    settings.write_text(
        "[distil]\ncrop = 24\nbatch = 1\npool = 2\nheld_out = 3\n[decig]\ncondense = 0.5\n"
    )
    asked = ("compress", model, "--profile", table, "--data", photos, "--output-dir", run)
    assert call(*asked, *PIXELS, "--steps", 6, "--config", settings)["steps"] == 3
    out = tmp_path / "out.onnx"
    call("export", run, "-o", out)
    shape = onnx.load(out).graph.input[0].type.tensor_type.shape
    assert [dim.dim_value for dim in shape.dim] == [BATCH, 3, 24, 24]
    assert call("check", out, "--reference", model, "--data", photos)["images"] == 15


@pytest.mark.parametrize(
    ("shape", "told"),
    [
        ([3, 24, 24], "looks like an image without a batch axis"),
        ([24, 24, 1], "looks like an image without a batch axis"),
        ([1, 5, 3, 24, 24], "looks like several frames"),
        ([2, 3, 5, 24, 24], "looks like several frames"),
    ],
)
def test_what_only_looks_like_an_image_is_not_to_be_fed_noise(
    tmp_path: Path, photos: Path, shape: list[int], told: str
):
    value = [helper.make_tensor_value_info(name, TensorProto.FLOAT, shape) for name in ("x", "y")]
    node = helper.make_node("Relu", ["x"], ["y"])
    graph = helper.make_graph([node], "g", value[:1], value[1:])
    model = tmp_path / "odd.onnx"
    opsets = [helper.make_opsetid("", 17)]
    onnx.save(helper.make_model(graph, opset_imports=opsets, ir_version=8), model)
    fed = (*PIXELS, "--layout", "nchw")
    result = decig("check", model, "--reference", model, "--data", photos, *fed)
    assert result.exit_code == 2
    assert told in result.stderr
    assert "normal" not in result.stderr
