"""Models with several pictures, or several images, through every command that looks at one."""

import json
from pathlib import Path

import numpy as np
import onnx
import pytest
from PIL import Image

from decig.device.measure import rewriting
from decig.device.run.timing import Timing
from decig.quality.metrics import psnr, ssim
from decig.source.flags import PixelFlags
from decig.source.resolve import resolve
from tests.curves import write_curves
from tests.graph.tiny import parse
from tests.runtime import open_plain
from tests.samples import PIXELS, call, decig, write_photos

CANDIDATES = "halfway (1x3x24x24), final (1x3x24x24)"


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rewriting, "COMPARISON", Timing(max_seconds=0.05))


@pytest.fixture
def model(tmp_path: Path) -> Path:
    return write_curves(tmp_path / "curves.onnx")


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    return write_photos(tmp_path / "photos", 4)


def test_every_command_refuses_and_names_the_pictures(model: Path, photos: Path, tmp_path: Path):
    out = tmp_path / "out.onnx"
    for command in (
        ("check", model, "--reference", model, "--data", photos),
        ("slice", model, "-o", out, "--keep", 0.5, "--repair", photos),
        ("export", model, "-o", out, "--pixel-io"),
        ("export", model, "-o", out, "--precision", "fp16", "--calibration", photos),
    ):
        result = decig(*command, *PIXELS)
        assert result.exit_code == 2, command
        assert CANDIDATES in result.stderr
        assert "--picture halfway" in result.stderr
        assert not out.exists()
        wrong = decig(*command, *PIXELS, "--picture", "face")
        assert wrong.exit_code == 2
        assert "face cannot be the picture: the model's outputs are halfway" in wrong.stderr


def test_what_looks_at_no_picture_needs_no_name(model: Path, tmp_path: Path):
    call("slice", model, "-o", tmp_path / "half.onnx", "--keep", 0.5, "--verify")
    call("export", model, "-o", tmp_path / "out.onnx")
    call("inspect", model)


def test_check_judges_the_named_picture_and_the_others_beside_it(
    model: Path, photos: Path, tmp_path: Path
):
    half = tmp_path / "half.onnx"
    call("slice", model, "-o", half, "--keep", 0.5)
    asked = ("check", half, "--reference", model, "--data", photos, *PIXELS)
    found = {name: call(*asked, "--picture", name) for name in ("halfway", "final")}
    pictures = resolve(str(model), PixelFlags((0, 1), (0, 1), None, "rgb")).pictures(photos)
    feeds = [picture.feeds for picture in pictures]
    painted = [[open_plain(onnx.load(file)).run(None, f) for f in feeds] for file in (model, half)]
    for place, (name, other) in enumerate((("halfway", "final"), ("final", "halfway"))):
        theirs, ours = (
            [np.clip(outputs[place].transpose(0, 2, 3, 1), 0, 1) for outputs in side]
            for side in painted
        )
        right = np.mean([ssim(a, b) for a, b in zip(theirs, ours, strict=True)])
        decibels = np.mean([psnr(a, b) for a, b in zip(theirs, ours, strict=True)])
        assert found[name]["picture"] == name
        assert found[name]["ssim"] == pytest.approx(right, abs=1e-4)
        assert list(found[name]["other_pictures"]) == [other]
        beside = found[other]["other_pictures"][name]
        assert beside["ssim"] == pytest.approx(right, abs=1e-4)
        assert beside["psnr_db"] == pytest.approx(decibels, abs=1e-2)
    assert found["final"]["ssim"] != pytest.approx(found["halfway"]["ssim"], abs=1e-3)
    told = decig(*asked, "--picture", "final").stdout
    assert f"halfway: SSIM {found['halfway']['ssim']:.4f}" in told


def test_outputs_may_have_other_names_in_the_candidate(photos: Path, tmp_path: Path):
    model = write_curves(tmp_path / "a.onnx")
    other = write_curves(tmp_path / "b.onnx", ("one", "two", "three"))
    asked = ("check", other, "--reference", model, "--data", photos, *PIXELS)
    for name in ("final", "two"):
        found = call(*asked, "--picture", name)
        assert found["picture"] == "final"
        assert found["ssim"] == pytest.approx(1)
    result = decig(*asked, "--picture", "three")
    assert result.exit_code == 2
    assert "not a batch" in result.stderr or "6 channels" in result.stderr


def test_the_name_is_remembered_in_files_and_recipes(model: Path, photos: Path, tmp_path: Path):
    half = tmp_path / "half.onnx"
    cut = ("slice", model, "--keep", 0.5, "--repair", photos, "--verify", *PIXELS)
    assert call(*cut, "-o", half, "--picture", "final")["max_abs_diff"] <= 1e-4
    assert call("check", half, "--reference", half, "--data", photos)["picture"] == "final"
    recipe = tmp_path / "recipe"
    recipe.mkdir()
    (recipe / "recipe.toml").write_text(
        f'[model]\nonnx = "{model}"\ninput_shape = [1, 3, 24, 24]\n'
        '[pixels]\ninput_range = [0, 1]\noutput_range = [0, 1]\npicture = "final"\n'
    )
    found = call("check", recipe, "--reference", recipe, "--data", photos)
    assert found["picture"] == "final"


def test_pixels_in_the_graph_are_those_of_the_named_picture(
    model: Path, photos: Path, tmp_path: Path
):
    out = tmp_path / "bytes.onnx"
    call("export", model, "-o", out, "--pixel-io", *PIXELS, "--picture", "final")
    kinds = {o.name: o.type.tensor_type.elem_type for o in onnx.load(out).graph.output}
    assert kinds["final"] == onnx.TensorProto.UINT8
    assert kinds["halfway"] == onnx.TensorProto.FLOAT
    found = call(
        "check", out, "--reference", model, "--data", photos, *PIXELS, "--picture", "final"
    )
    assert found["picture"] == "final"
    assert found["ssim"] > 0.999
    assert found["other_pictures"]["halfway"]["ssim"] > 0.999


@pytest.mark.train
def test_compress_learns_the_named_picture(model: Path, photos: Path, tmp_path: Path):
    table, run = tmp_path / "table.json", tmp_path / "run"
    assert decig("profile", model, "-o", table, "--quick").exit_code == 0
    settings = tmp_path / "quick.toml"
    settings.write_text(
        "[distil]\ncrop = 24\nbatch = 1\npool = 2\nheld_out = 1\n[decig]\ncondense = 0.5\n"
    )
    asked = ("compress", model, "--profile", table, "--data", photos, "--output-dir", run)
    asked = (*asked, *PIXELS, "--steps", 4, "--config", settings)
    refused = decig(*asked)
    assert refused.exit_code == 2
    assert CANDIDATES in refused.stderr
    assert not run.exists()
    trained = decig(*asked, "--picture", "final")
    assert trained.exit_code == 0, trained.stderr
    assert "only final is trained and judged; halfway may change" in trained.stderr
    assert json.loads((run / "run.json").read_text())["pixels"]["picture"] == "final"
    assert call("check", run, "--reference", model, "--data", photos)["picture"] == "final"


def write_two_images(path: Path) -> Path:
    """Write a model of two images in colour."""
    body = """
        both = Concat<axis=1>(content, style)
        [stem] a = Conv<pads=[1,1,1,1]>(both, w1)
        r = Relu(a)
        [head] h = Conv<pads=[1,1,1,1]>(r, w2)
        y = Sigmoid(h)
    """
    inputs = "float[1,3,24,24] content, float[1,3,24,24] style"
    proto = parse(
        body, inputs=inputs, outputs="float[1,3,24,24] y", w1=(8, 6, 3, 3), w2=(3, 8, 3, 3)
    )
    onnx.save(proto, path)
    return path


def test_two_inputs_that_could_be_the_image(photos: Path, tmp_path: Path):
    model, out = write_two_images(tmp_path / "two.onnx"), tmp_path / "out.onnx"
    for command in (
        ("check", model, "--reference", model, "--data", photos),
        ("slice", model, "-o", out, "--keep", 0.5, "--repair", photos),
        ("export", model, "-o", out, "--pixel-io"),
    ):
        result = decig(*command, *PIXELS)
        assert result.exit_code == 2, command
        assert "content (1x3x24x24), style (1x3x24x24)" in result.stderr
        assert "--image content" in result.stderr
        assert not out.exists()
    fed = (*PIXELS, "--image", "style", "--feed", "content=0.5")
    call("slice", model, "-o", out, "--keep", 0.5, "--repair", photos, *fed)
    assert call("check", out, "--reference", out, "--data", photos)["images"] == 4
    call("export", model, "-o", out, "--pixel-io", *fed)
    kinds = {i.name: i.type.tensor_type.elem_type for i in onnx.load(out).graph.input}
    assert kinds == {"content": onnx.TensorProto.FLOAT, "style": onnx.TensorProto.UINT8}


@pytest.mark.parametrize(
    "wrong",
    [("0,255", "0,1"), ("0,1", "0,255"), ("0,1", "-300,300")],
)
def test_a_wrong_range_is_an_error_that_names_the_flag(
    model: Path, photos: Path, tmp_path: Path, wrong: tuple[str, str]
):
    out = tmp_path / "out.onnx"
    ranges = ("--input-range", wrong[0], "--output-range", wrong[1], *PIXELS[4:])
    for command in (
        ("check", model, "--reference", model, "--data", photos),
        ("slice", model, "-o", out, "--keep", 0.5, "--repair", photos),
        ("export", model, "-o", out, "--precision", "fp16", "--calibration", photos),
    ):
        result = decig(*command, *ranges, "--picture", "final")
        assert result.exit_code == 2, command
        assert f"--input-range {wrong[0]}" in result.stderr
        assert f"--output-range {wrong[1]}" in result.stderr
        assert not out.exists()


@pytest.mark.train
def test_compress_refuses_a_wrong_range_before_the_run_begins(
    model: Path, photos: Path, tmp_path: Path
):
    table, run = tmp_path / "table.json", tmp_path / "run"
    assert decig("profile", model, "-o", table, "--quick").exit_code == 0
    ranges = ("--input-range", "0,255", "--output-range", "0,1", *PIXELS[4:])
    asked = ("compress", model, "--profile", table, "--data", photos, "--output-dir", run)
    result = decig(*asked, *ranges, "--picture", "final", "--steps", 2, "--target-speedup", 1.1)
    assert result.exit_code == 2
    assert "--input-range 0,255" in result.stderr
    assert not run.exists()


def test_a_candidate_that_paints_nothing_fails_and_is_reported(
    model: Path, photos: Path, tmp_path: Path
):
    flat = onnx.load(model)
    for tensor in flat.graph.initializer:
        if tensor.name == "w2":
            huge = np.full(tuple(tensor.dims), 40, np.float32)
            tensor.CopyFrom(onnx.numpy_helper.from_array(huge, "w2"))
    grey = onnx.helper.make_node("Mul", ["final", "nothing"], ["black"])
    flat.graph.node.append(grey)
    flat.graph.initializer.append(onnx.numpy_helper.from_array(np.float32(0), "nothing"))
    flat.graph.output[1].name = "black"
    onnx.save(flat, tmp_path / "flat.onnx")
    result = decig(
        "check",
        tmp_path / "flat.onnx",
        "--reference",
        model,
        "--data",
        photos,
        *PIXELS,
        "--picture",
        "final",
        "--json",
    )
    assert result.exit_code == 3
    assert "the candidate's pictures" in json.loads(result.stdout)["failures"][0]


def test_dark_photos_are_no_wrong_range(model: Path, tmp_path: Path):
    folder = write_photos(tmp_path / "night", 2)
    for file in folder.iterdir():
        with Image.open(file) as opened:
            dark = opened.point(lambda value: value // 6)
        dark.save(file)
    found = call(
        "check", model, "--reference", model, "--data", folder, *PIXELS, "--picture", "final"
    )
    assert found["ssim"] == pytest.approx(1)
