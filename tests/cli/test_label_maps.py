"""A generator that takes one-hot label maps, from image files through every command."""

from pathlib import Path

import numpy as np
import onnx
import pytest
from PIL import Image

from tests.graph.tiny import parse
from tests.samples import call, decig

PALETTE = np.array([[0, 0, 222], [0, 128, 255], [255, 240, 0], [174, 0, 0]], np.uint8)
RANGES = ("--input-range", "0,1", "--output-range", "0,1", "--channel-order", "rgb")
COLOURS = ("--one-hot", "0000de,0080ff,fff000,ae0000")


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a model and the same label maps in colours, blurred by JPEG, and as ids."""
    folder = tmp_path_factory.mktemp("labels")
    proto = parse(
        """
        [stem] a = Conv<pads=[1,1,1,1]>(labels, w1)
        r = Relu(a)
        [body] b = Conv<pads=[1,1,1,1]>(r, w2)
        q = Relu(b)
        [head] h = Conv<pads=[1,1,1,1]>(q, w3)
        picture = Sigmoid(h)
        """,
        inputs="float[1,4,24,24] labels",
        outputs="float[1,3,24,24] picture",
        w1=(16, 4, 3, 3),
        w2=(16, 16, 3, 3),
        w3=(3, 16, 3, 3),
    )
    onnx.save(proto, folder / "model.onnx")
    for name in ("colours", "ids"):
        (folder / name).mkdir()
    random = np.random.default_rng(0)
    for index in range(5):
        ids = random.integers(0, 4, (3, 4), np.uint8).repeat(16, 0).repeat(16, 1)
        Image.fromarray(ids).save(folder / "ids" / f"{index}.png")
        Image.fromarray(PALETTE[ids]).save(folder / "colours" / f"{index}.jpg", quality=90)
    return folder


@pytest.mark.parametrize(("kind", "flags"), [("colours", COLOURS), ("ids", ("--one-hot", 4))])
def test_slice_repair_and_check(place: Path, tmp_path: Path, kind: str, flags: tuple):
    model, half, grid = place / "model.onnx", tmp_path / "half.onnx", tmp_path / "grid.png"
    data = place / kind
    asked = ("--keep", 0.5, "--repair", data, "--verify", *RANGES, *flags)
    cut = call("slice", model, "-o", half, *asked)
    assert cut["max_abs_diff"] <= 1e-4
    # The file says what it takes: no flags for it.
    verdict = call("check", half, "--reference", model, "--data", data, "--grid", grid)
    assert verdict["images"] == 5
    assert 0.3 < verdict["ssim"] < 1
    assert np.asarray(Image.open(grid))[:, :28].std() > 20


@pytest.mark.train
def test_compress(place: Path, tmp_path: Path):
    from tests.training.small import write_table  # needs PyTorch

    model, run = place / "model.onnx", tmp_path / "run"
    table = write_table(tmp_path / "table.json", model)
    (tmp_path / "quick.toml").write_text("[distil]\ncrop = 16\nbatch = 2\npool = 2\nheld_out = 1\n")
    given = ("--profile", table, "--data", place / "colours", "--output-dir", run, "--steps", 3)
    asked = ("--config", tmp_path / "quick.toml", "--force", "--target-speedup", 1.5)
    assert call("compress", model, *given, *RANGES, *COLOURS, *asked)["steps"] == 3
    out = tmp_path / "out.onnx"
    assert call("export", run, "-o", out)["max_abs_diff"] <= 1e-4
    asked = ("--reference", model, "--data", place / "ids", "--one-hot", 4)
    assert call("check", out, *asked)["ssim"] < 1


@pytest.mark.train
def test_a_discriminator_sees_label_maps_beside_the_pictures(place: Path, tmp_path: Path):
    from decig.training.compression.adversary import fresh_discriminator
    from decig.training.pytorch.discriminator import save_discriminator
    from tests.training.small import write_table

    model, file = place / "model.onnx", tmp_path / "D.safetensors"
    table = write_table(tmp_path / "table.json", model)
    save_discriminator(fresh_discriminator(4, 8, 0), file)
    (tmp_path / "quick.toml").write_text(
        "[distil]\ncrop = 24\nbatch = 2\npool = 2\nheld_out = 1\nimitation = 0.1\n"
        "discriminator_features = 0.1\n"
    )
    given = ("--profile", table, "--data", place / "colours", "--steps", 2, "--force")
    given = (*given, *RANGES, *COLOURS, "--config", tmp_path / "quick.toml")
    for name, judge in (("fresh", ()), ("trained", ("--discriminator", file))):
        asked = ("--output-dir", tmp_path / name, "--target-speedup", 1.5, *judge)
        assert call("compress", model, *given, *asked)["steps"] == 2


@pytest.mark.parametrize(
    ("kind", "flags", "message"),
    [
        ("colours", (), "--one-hot 4 or --one-hot RRGGBB"),
        ("colours", ("--one-hot", 5), "one-hot label maps of 5 labels have 5"),
        ("ids", ("--one-hot", "0000de,zz"), "neither a number of labels nor a list of RRGGBB"),
        ("colours", ("--one-hot", 4), "JPEG does not keep the ids"),
        ("ids", ("--one-hot", 4, "--palette", "000000"), "exclude each other"),
    ],
)
def test_what_does_not_fit_is_one_line(place: Path, kind: str, flags: tuple, message: str):
    model = place / "model.onnx"
    asked = ("check", model, "--reference", model, "--data", place / kind, "--layout", "nchw")
    result = decig(*asked, *RANGES, *flags)
    assert result.exit_code == 2
    assert message in result.stderr


def test_one_hot_maps_are_no_pixels(place: Path, tmp_path: Path):
    asked = ("export", place / "model.onnx", "-o", tmp_path / "x.onnx", "--pixel-io")
    result = decig(*asked, *RANGES, *COLOURS)
    assert result.exit_code == 2
    assert "takes one-hot label maps, no pixels" in result.stderr
