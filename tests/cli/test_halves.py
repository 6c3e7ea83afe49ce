"""pix2pix's own data set, with both sides of a pair in one image, through the commands."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from decig.cli.written import absolute
from tests.cli.test_resuming import SETTINGS, weights
from tests.samples import PIXELS, call, decig, write_generator

COUNT = 5


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """A model, settings, pairs joined as pix2pix has them, and the same pairs cut apart."""
    rng = np.random.default_rng(0)
    for folder in ("joined", "a", "b"):
        (tmp_path / folder).mkdir()
    for number in range(COUNT):
        sides = rng.integers(0, 256, (2, 30, 30, 3), np.uint8)
        for folder, side in zip(("a", "b"), sides, strict=True):
            Image.fromarray(side).save(tmp_path / folder / f"{number}.png")
        Image.fromarray(np.hstack(list(sides))).save(tmp_path / "joined" / f"{number}.png")
    write_generator(tmp_path / "model.onnx", width=16)
    (tmp_path / "settings.toml").write_text(SETTINGS)
    return tmp_path


@pytest.mark.train
def test_halves_are_compressed_like_folders_of_their_own(place: Path) -> None:
    joined = place / "joined"
    for run, data, targets in (
        ("halves", f"{joined}:B", f"{joined}:A"),
        ("apart", place / "b", place / "a"),
    ):
        result = decig(
            *("compress", place / "model.onnx", *PIXELS, "--data", data, "--targets", targets),
            *("--config", place / "settings.toml", "--target-macs", 0.6, "--steps", 2),
            *("--output-dir", place / run),
        )
        assert result.exit_code == 0, result.stderr
        assert "side by side" not in result.stderr
    assert weights(place / "halves") == weights(place / "apart")
    again = decig("compress", "--resume", "--output-dir", place / "halves")
    assert again.exit_code == 0, again.stderr
    listed = (place / "halves" / "data.sha256").read_text().splitlines()
    assert len(listed) == 2 * COUNT and listed[0].endswith("  data:B/0.png")
    repeated = decig(
        *("compress", "--locked", place / "halves" / "run.toml"),
        *("--output-dir", place / "repeated"),
    )
    assert repeated.exit_code == 0, repeated.stderr
    assert weights(place / "repeated") == weights(place / "halves")
    result = decig("export", place / "halves", "-o", place / "small.onnx")
    assert result.exit_code == 0 and "are not there" not in result.stderr, result.stderr
    written = call("report", place / "halves", "-o", place / "report.html")
    assert not any("folder of images" in line for line in written["missing"])


def test_halves_are_sliced_and_checked_like_folders_of_their_own(place: Path) -> None:
    found = []
    for images, targets in (
        (f"{place / 'joined'}:B", f"{place / 'joined'}:A"),
        (place / "b", place / "a"),
    ):
        out, model = place / "half.onnx", place / "model.onnx"
        call("slice", model, *PIXELS, "--keep", 0.5, "--repair", images, "-o", out)
        judged = call("check", out, "--reference", model, "--data", images, "--targets", targets)
        assert judged["images"] == COUNT
        found.append([judged["ssim"], judged["psnr_db"], judged["real"]["ssim"]])
    assert found[0] == found[1]


def test_a_record_made_elsewhere_has_whole_paths(
    place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (place / "my:data").mkdir()
    (place / "joined").rename(place / "my:data" / "train")
    monkeypatch.chdir(place)
    assert absolute("my:data/train:A") == f"{place}/my:data/train:A"


def test_no_folder_is_not_the_working_directory(place: Path) -> None:
    model = place / "model.onnx"
    result = decig("check", model, "--reference", model, "--data", "")
    assert result.exit_code == 2 and "Directory '' does not exist" in result.stderr


def test_a_missing_folder_of_halves_is_a_usage_error(place: Path) -> None:
    model = place / "model.onnx"
    result = decig("check", model, "--reference", model, "--data", f"{place}/nowhere:A")
    assert result.exit_code == 2
    assert "nowhere' does not exist" in result.stderr
