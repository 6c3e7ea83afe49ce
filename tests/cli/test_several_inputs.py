"""A generator with several inputs and outputs, through every command."""

import json
from pathlib import Path

import onnx
import pytest

from decig.device.measure import rewriting
from decig.device.run.timing import Timing
from decig.graph.model import initializers, load_model
from tests.graph.tiny import parse
from tests.samples import PIXELS, call, decig, write_generator, write_photos

# Image, label map, style code (AdaIN) and noise in; a mask beside the picture out.
BODY = """
    both = Concat<axis=1>(image, labels)
    [stem] a = Conv<pads=[1,1,1,1]>(both, w1)
    n = InstanceNormalization(a, one, zero)
    [affine] s = Gemm(code, ws, bs)
    s4 = Unsqueeze(s, at)
    m = Mul(n, s4)
    [strength] weighted = Conv(noise, w5)
    p = Add(m, weighted)
    r = Relu(p)
    [body] b = Conv<pads=[1,1,1,1]>(r, w2)
    q = Relu(b)
    [head] h = Conv<pads=[1,1,1,1]>(q, w3)
    picture = Sigmoid(h)
    [masker] k = Conv(q, w4)
    mask = Sigmoid(k)
"""
INPUTS = (
    "float[1,35,12,12] labels, float[1,3,12,12] image, float[1,16] code, float[1,1,12,12] noise"
)
OUTPUTS = "float[1,1,12,12] mask, float[1,3,12,12] picture"
FED = ("--feed", "labels=uniform", "--feed", "code=normal", "--feed", "noise=0.5")
DRAWN = (*PIXELS[2:], "--feed", "code=normal")


@pytest.fixture
def model(tmp_path: Path) -> Path:
    return write_model(tmp_path / "several.onnx")


def write_model(path: Path, side: int = 12) -> Path:
    proto = parse(
        BODY,
        inputs=INPUTS.replace("12,12", f"{side},{side}"),
        outputs=OUTPUTS.replace("12,12", f"{side},{side}"),
        w1=(16, 38, 3, 3),
        one=(16,),
        zero=(16,),
        ws=(16, 16),
        bs=(16,),
        at=[2, 3],
        w5=(16, 1, 1, 1),
        w2=(8, 16, 3, 3),
        w3=(3, 8, 3, 3),
        w4=(1, 8, 1, 1),
    )
    onnx.save(proto, path)
    return path


def a_target(folder: Path, model: Path) -> tuple[object, ...]:
    """Ask for a speed-up, by a cost table that tells latency by work."""
    from tests.training.small import write_table  # needs PyTorch

    table = write_table(folder / "work.json", model)
    return ("--profile", table, "--force", "--target-speedup", 1.5)


def test_every_command(model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(rewriting, "COMPARISON", Timing(max_seconds=0.05))
    groups = call("inspect", model)["groups"]
    assert sorted(group["channels"] for group in groups if group["prunable"]) == [8, 16]
    half = tmp_path / "half.onnx"
    cut = call("slice", model, "-o", half, "--keep", 0.5, "--verify")
    assert sorted(cut["removed"].values()) == [4, 8]
    assert cut["max_abs_diff"] <= 1e-4
    table = tmp_path / "table.json"
    assert decig("profile", model, "-o", table).exit_code == 0
    inputs = json.loads(table.read_text())["model"]["inputs"]
    assert list(inputs) == ["labels", "image", "code", "noise"]
    out = tmp_path / "out.onnx"
    assert call("export", half, "-o", out)["max_abs_diff"] <= 1e-4
    photos = write_photos(tmp_path / "photos", 2)
    verdict = call("check", out, "--reference", half, "--data", photos, *PIXELS, *FED)
    assert verdict["images"] == 2
    assert verdict["ssim"] > 0.999
    same = call("check", half, "--reference", model, "--data", photos, *PIXELS, *FED)
    assert same["ssim"] < 0.999


@pytest.mark.train
def test_repair_and_compress(model: Path, tmp_path: Path):
    photos = write_photos(tmp_path / "photos", 4, 24, 24)
    repaired, plain = tmp_path / "repaired.onnx", tmp_path / "plain.onnx"
    keep = ("slice", model, "--keep", 0.75, "--align", 1, "--verify", *PIXELS)
    assert call(*keep, "-o", plain)["max_abs_diff"] <= 1e-4
    assert call(*keep, "-o", repaired, "--repair", photos, *FED)["max_abs_diff"] <= 1e-4
    asked = ("check", "--reference", model, "--data", photos, *PIXELS, *FED)
    assert call(*asked, repaired)["ssim"] > call(*asked, plain)["ssim"]
    settings, run = tmp_path / "quick.toml", tmp_path / "run"
    settings.write_text(
        "[distil]\ncrop = 11\nbatch = 2\npool = 2\nheld_out = 1\nadversarial = 0.0\n"
    )
    given = ("--data", photos, "--targets", photos, *PIXELS, "--steps", 3)
    given = (*given, *a_target(tmp_path, model))
    found = call("compress", model, *given, *FED, "--output-dir", run, "--config", settings)
    assert found["steps"] == 3
    assert call("check", run, "--reference", model, "--data", photos)["images"] == 4


@pytest.mark.train
def test_a_discriminator_sees_the_image_beside_the_picture(tmp_path: Path):
    model, photos = write_model(tmp_path / "m.onnx", 24), write_photos(tmp_path / "photos", 4)
    settings = tmp_path / "quick.toml"
    settings.write_text(
        "[distil]\ncrop = 24\nbatch = 2\npool = 2\nheld_out = 1\nimitation = 0.1\n"
        "discriminator_style = 0.1\n"
    )
    given = ("--data", photos, *PIXELS, *FED, "--steps", 2, "--config", settings)
    run = ("--output-dir", tmp_path / "run", *a_target(tmp_path, model))
    assert call("compress", model, *given, *run)["steps"] == 2


def test_what_nothing_feeds_is_one_line(model: Path, tmp_path: Path):
    photos = write_photos(tmp_path / "photos", 1)
    for command in (
        ("slice", model, "-o", tmp_path / "x.onnx", "--keep", 0.5, "--repair", photos),
        ("check", model, "--reference", model, "--data", photos),
    ):
        result = decig(*command, *PIXELS)
        assert result.exit_code == 2
        assert "input labels (1x35x12x12) takes no image" in result.stderr
        assert "--feed labels=normal" in result.stderr


def write_painter(path: Path) -> Path:
    """Write a model that takes a style code alone."""
    shapes = {"wc": (1024, 16), "w1": (8, 4, 3, 3), "w2": (3, 8, 3, 3), "one": (8,), "zero": (8,)}
    proto = parse(
        """
        [first] c = Gemm<transB=1>(code, wc)
        m = Reshape(c, sizes)
        [middle] a = Conv<pads=[1,1,1,1]>(m, w1)
        [norm] n = InstanceNormalization(a, one, zero)
        r = Relu(n)
        [head] h = Conv<pads=[1,1,1,1]>(r, w2)
        picture = Sigmoid(h)
        """,
        inputs="float[1,16] code",
        outputs="float[1,3,16,16] picture",
        sizes=[1, 4, 16, 16],
        **shapes,
    )
    onnx.save(proto, path)
    return path


def test_fewer_bits_are_judged_on_draws(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(rewriting, "COMPARISON", Timing(max_seconds=0.05))
    model, out = write_painter(tmp_path / "code.onnx"), tmp_path / "out.onnx"
    asked = ("export", model, "-o", out, "--precision", "auto", "--min-psnr", 20)
    found = call(*asked, *DRAWN)["precision"]
    for variant in found["variants"].values():
        assert 0.9 < variant["ssim"] <= 1
        assert variant["latency_ms"] > 0
    assert found["variants"].keys() == {"fp16", "int8"}
    result = decig(*asked, *PIXELS, "--layout", "nchw")
    assert result.exit_code == 2
    assert "input code (1x16) takes no image: say what feeds it" in result.stderr


def test_repair_without_images(tmp_path: Path):
    model = write_painter(tmp_path / "code.onnx")
    plain, drawn, folder = (tmp_path / f"{name}.onnx" for name in ("plain", "drawn", "folder"))
    asked = ("slice", model, "--keep", 0.75, "--align", 1, *DRAWN)
    call(*asked, "-o", plain)
    call(*asked, "--repair", "-o", drawn)
    call(*asked, "--repair", tmp_path, "-o", folder)
    likeness = {
        made: call("check", made, "--reference", model, *DRAWN)["ssim"] for made in (plain, drawn)
    }
    assert likeness[drawn] > likeness[plain]
    weights = [initializers(load_model(path).proto) for path in (drawn, folder)]
    assert all((weights[0][name] == weights[1][name]).all() for name in weights[0])


@pytest.mark.parametrize("flags", [PIXELS, (*PIXELS, "--feed", "image=files")])
def test_repair_of_what_comes_from_a_folder_needs_it(tmp_path: Path, flags: tuple):
    model, out = write_generator(tmp_path / "m.onnx"), tmp_path / "x.onnx"
    result = decig("slice", model, "-o", out, "--keep", 0.5, *flags, "--repair")
    assert result.exit_code == 2
    assert "--repair needs DIR" in result.stderr
    assert not out.exists()


@pytest.mark.train
def test_a_model_that_paints_from_a_code(tmp_path: Path):
    model, run = write_painter(tmp_path / "code.onnx"), tmp_path / "run"
    half = tmp_path / "half.onnx"
    assert call("slice", model, "--keep", 0.5, "-o", half, *DRAWN, "--repair")["removed"]
    grid = tmp_path / "grid.png"
    verdict = call("check", half, "--reference", model, *DRAWN, "--grid", grid)
    assert verdict["images"] == 16
    assert verdict["ssim"] < 1
    assert grid.is_file()
    settings = tmp_path / "quick.toml"
    settings.write_text("[distil]\nbatch = 2\nrepair_crops = 4\nheld_out = 2\n")
    given = ("--output-dir", run, "--config", settings, "--steps", 2)
    target = a_target(tmp_path, model)
    found = call("compress", model, *given, *target, *DRAWN, "--fold-norms")
    assert found["steps"] + found["folding_steps"] == 2
    assert list(found["norms_folded"] | found["norms_put_back"]) == ["norm"]
    assert call("check", run, "--reference", model)["images"] == 16
    result = decig("check", model, "--reference", model, *PIXELS, "--layout", "nchw")
    assert result.exit_code == 2
    assert "input code (1x16) takes no image" in result.stderr
