"""Encoders, images beside the photo, stacked pictures, RGBA and Lab, through the commands."""

from pathlib import Path

import numpy as np
import onnx
import pytest
from PIL import Image

from decig.device.measure import rewriting
from decig.device.run.timing import Timing
from tests.graph.tiny import parse
from tests.samples import call, decig, write_photos

RANGES = ("--input-range", "0,1", "--output-range", "0,1")
RGB = ("--channel-order", "rgb")


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rewriting, "COMPARISON", Timing(max_seconds=0.05))


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    return write_photos(tmp_path / "photos", 4)


def write_net(path: Path, inputs: dict[str, int], made: int) -> Path:
    """Write a model that makes a picture of `made` channels from inputs of some channels each."""
    together = sum(inputs.values())
    joined = f"both = Concat<axis=1>({', '.join(inputs)})"
    proto = parse(
        f"""
        {joined}
        [stem] a = Conv<pads=[1,1,1,1]>(both, w1)
        r = Relu(a)
        [body] b = Conv<pads=[1,1,1,1]>(r, w2)
        q = Relu(b)
        [head] h = Conv<pads=[1,1,1,1]>(q, w3)
        y = Sigmoid(h)
        """,
        inputs=", ".join(f"float[1,{count},24,24] {name}" for name, count in inputs.items()),
        outputs=f"float[1,{made},24,24] y",
        w1=np.random.default_rng(1).normal(0, 0.3, (8, together, 3, 3)).astype(np.float32),
        w2=np.random.default_rng(2).normal(0, 0.2, (8, 8, 3, 3)).astype(np.float32),
        w3=np.random.default_rng(3).normal(0, 0.3, (made, 8, 3, 3)).astype(np.float32),
    )
    onnx.save(proto, path)
    return path


def write_encoder(path: Path) -> Path:
    """Write a model that makes two maps of features and a code from an image."""
    proto = parse(
        """
        [stem] a = Conv<pads=[1,1,1,1]>(image, w1)
        r = Relu(a)
        [body] b = Conv<pads=[1,1,1,1], strides=[2,2]>(r, w2)
        fine = Relu(b)
        [deep] c = Conv<pads=[1,1,1,1], strides=[2,2]>(fine, w3)
        coarse = Relu(c)
        mean = GlobalAveragePool(coarse)
        code = Flatten(mean)
        """,
        inputs="float[1,3,24,24] image",
        outputs="float[1,8,12,12] fine, float[1,16,6,6] coarse, float[1,16] code",
        w1=(8, 3, 3, 3),
        w2=(8, 8, 3, 3),
        w3=(16, 8, 3, 3),
    )
    onnx.save(proto, path)
    return path


def test_an_encoder_is_repaired_without_an_output_range(tmp_path: Path, photos: Path):
    model, plain = write_encoder(tmp_path / "encoder.onnx"), tmp_path / "plain.onnx"
    out = tmp_path / "out.onnx"
    cut = ("slice", model, "--keep", 0.5, "--verify", "--input-range", "0,1", *RGB)
    assert call(*cut, "-o", out, "--repair", photos)["max_abs_diff"] <= 1e-4
    call(*cut, "-o", plain)
    from tests.runtime import open_plain

    feeds = {"image": np.asarray(_photo(photos), np.float32)}
    true, better, worse = (
        open_plain(onnx.load(file)).run(["coarse"], feeds)[0] for file in (model, out, plain)
    )
    assert np.square(better - true).mean() < np.square(worse - true).mean()


def _photo(photos: Path) -> np.ndarray:
    with Image.open(photos / "a.jpg") as opened:
        pixels = np.asarray(opened.convert("RGB").resize((24, 24)))
    return pixels.transpose(2, 0, 1)[None] / 255


def test_an_encoder_has_no_picture_to_check_or_train(tmp_path: Path, photos: Path):
    model = write_encoder(tmp_path / "encoder.onnx")
    fed = ("--input-range", "0,1", *RGB)
    result = decig("check", model, "--reference", model, "--data", photos, *fed)
    assert result.exit_code == 2
    assert "output has 8 channels" in result.stderr


def test_a_model_that_paints_still_needs_its_output_range(tmp_path: Path, photos: Path):
    model = write_net(tmp_path / "net.onnx", {"image": 3}, 3)
    out = tmp_path / "out.onnx"
    asked = ("slice", model, "-o", out, "--keep", 0.5, "--repair", photos)
    result = decig(*asked, "--input-range", "0,1", *RGB)
    assert result.exit_code == 2
    assert "--output-range" in result.stderr


def test_a_mask_beside_the_photo(tmp_path: Path, photos: Path):
    model = write_net(tmp_path / "net.onnx", {"image": 3, "mask": 1}, 3)
    for photo in list(photos.iterdir()):
        mask = np.zeros((30, 40), np.uint8)
        mask[10:20, 10:30] = 255
        Image.fromarray(mask).save(photos / f"{photo.stem}.mask.png")
    fed, out = (*RANGES, *RGB, "--feed", "mask=files"), tmp_path / "out.onnx"
    call("slice", model, "-o", out, "--keep", 0.5, "--repair", photos, *fed)
    found = call("check", out, "--reference", model, "--data", photos)
    assert found["images"] == 4  # masks are no photos
    empty = tmp_path / "empty"
    write_photos(empty, 1)
    result = decig("check", model, "--reference", model, "--data", empty, *fed)
    assert result.exit_code == 2
    assert "a.mask.png" in result.stderr


def test_two_pictures_stacked_into_six_channels(tmp_path: Path, photos: Path):
    model, out = write_net(tmp_path / "net.onnx", {"x": 6}, 3), tmp_path / "out.onnx"
    result = decig("check", model, "--reference", model, "--data", photos, *RANGES, *RGB)
    assert result.exit_code == 2
    assert "--feed x=files:LOW,HIGH reads NAME.x.1.png, NAME.x.2.png" in result.stderr
    pairs = tmp_path / "pairs"
    for number in (1, 2):
        write_photos(pairs / f"x.{number}", 3, 24 + number, 24)
    fed = (*RANGES, *RGB, "--feed", "x=files:0,1")
    call("slice", model, "-o", out, "--keep", 0.5, "--repair", pairs, *fed)
    assert call("check", out, "--reference", model, "--data", pairs)["images"] == 3


@pytest.mark.train
def test_stacked_pictures_are_trained_on(tmp_path: Path):
    model, table = write_net(tmp_path / "net.onnx", {"x": 6}, 3), tmp_path / "table.json"
    for number in (1, 2):
        write_photos(tmp_path / "pairs" / f"x.{number}", 6, 24, 24)
    assert decig("profile", model, "-o", table, "--quick").exit_code == 0
    settings, run = tmp_path / "quick.toml", tmp_path / "run"
    settings.write_text("[distil]\nbatch = 1\npool = 2\nheld_out = 1\n[decig]\ncondense = 0.5\n")
    found = call(
        *("compress", model, "--profile", table, "--data", tmp_path / "pairs", "--steps", 4),
        *("--output-dir", run, "--config", settings, *RANGES, *RGB, "--feed", "x=files:0,1"),
    )
    assert found["steps"] == 2
    assert call("check", run, "--reference", model, "--data", tmp_path / "pairs")["images"] == 6


def write_sprites(folder: Path) -> Path:
    """Write pictures with transparency."""
    folder.mkdir()
    rng = np.random.default_rng(0)
    for name in "abcd":
        coarse = Image.fromarray(rng.integers(0, 256, (4, 4, 4), np.uint8), "RGBA")
        coarse.resize((30, 30), Image.Resampling.BICUBIC).save(folder / f"{name}.png")
    return folder


def test_rgba_nets(tmp_path: Path, photos: Path):
    model, out = write_net(tmp_path / "net.onnx", {"image": 4}, 4), tmp_path / "out.onnx"
    sprites = write_sprites(tmp_path / "sprites")
    result = decig("check", model, "--reference", model, "--data", sprites, *RANGES, *RGB)
    assert result.exit_code == 2
    assert "--channel-order rgba" in result.stderr
    order = ("--channel-order", "rgba")
    call("slice", model, "-o", out, "--keep", 0.5, "--repair", sprites, *RANGES, *order)
    for folder in (sprites, photos):
        found = call("check", out, "--reference", model, "--data", folder)
        assert found["images"] == 4
    refused = decig("export", out, "-o", tmp_path / "bytes.onnx", "--pixel-io")
    assert refused.exit_code == 2
    assert "RGBA" in refused.stderr


@pytest.mark.parametrize(("taken", "made"), [(3, 3), (1, 2), (1, 3)])
def test_lab_nets(tmp_path: Path, photos: Path, taken: int, made: int):
    model, out = write_net(tmp_path / "net.onnx", {"image": taken}, made), tmp_path / "out.onnx"
    order = ("--channel-order", "lab", "--layout", "nchw")
    call("slice", model, "-o", out, "--keep", 0.5, "--repair", photos, *RANGES, *order)
    found = call("check", out, "--reference", model, "--data", photos)
    assert 0 < found["ssim"] < 1
    assert found["colour"]["reference"] > 0


@pytest.mark.train
@pytest.mark.parametrize(("order", "channels"), [("rgba", 4), ("lab", 3)])
def test_rgba_and_lab_are_trained(tmp_path: Path, order: str, channels: int):
    model = write_net(tmp_path / "net.onnx", {"image": channels}, channels)
    table, sprites = tmp_path / "table.json", write_sprites(tmp_path / "sprites")
    assert decig("profile", model, "-o", table, "--quick").exit_code == 0
    settings, run = tmp_path / "quick.toml", tmp_path / "run"
    settings.write_text(
        "[distil]\ncrop = 24\nbatch = 1\npool = 2\nheld_out = 1\n[decig]\ncondense = 0.5\n"
    )
    asked = ("compress", model, "--profile", table, "--data", sprites, "--steps", 4)
    asked = (*asked, "--output-dir", run, "--config", settings, *RANGES, "--channel-order", order)
    taught = decig(*asked, "--targets", sprites)
    if channels == 3:
        assert taught.exit_code == 0, taught.stderr
    else:  # a real picture says nothing of transparency
        assert taught.exit_code == 2
        assert "the model makes 4 channels (RGBA), and they go with 1 or 3" in taught.stderr
        assert call(*asked)["steps"] == 2
    assert call("check", run, "--reference", model, "--data", sprites)["images"] == 4
