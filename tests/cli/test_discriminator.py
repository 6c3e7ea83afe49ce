"""--discriminator: from a training of one's own, or a checkpoint, into a compression."""

import json
from pathlib import Path

import pytest

from tests.reference_weights import make_weights
from tests.samples import PIXELS, call, decig, write_generator, write_photos

pytestmark = pytest.mark.train

CONFIG = "[distil]\ncrop = 24\nbatch = 2\npool = 2\nheld_out = 1\nrepair_crops = 2\n"
CHECKPOINTS = Path(__file__).resolve().parents[3] / "shared" / "checkpoints"


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """A folder with a model, the table of another device, photos and quick settings."""
    from tests.training.small import write_table

    write_photos(tmp_path / "photos", 4)
    (tmp_path / "quick.toml").write_text(CONFIG)
    write_table(tmp_path / "table.json", write_generator(tmp_path / "model.onnx", width=16))
    return tmp_path


def asked(place: Path, *options: object) -> tuple[object, ...]:
    given = ("--profile", place / "table.json", "--data", place / "photos", "--force", *PIXELS)
    wanted = ("--target-speedup", 1.2, "--steps", 2, "--output-dir", place / "run")
    return ("compress", place / "model.onnx", *given, *wanted, *options)


def checkpoint(folder: Path, name: str) -> Path:
    """Write what a reference implementation saves."""
    import torch

    keys = CHECKPOINTS / f"{name}.json"
    if not keys.is_file():
        pytest.skip(f"{keys} is not there")
    made = make_weights(json.loads(keys.read_text())["keys"])
    torch.save({key: torch.from_numpy(value) for key, value in made.items()}, folder / "D.pth")
    return folder / "D.pth"


@pytest.mark.parametrize(
    ("name", "real"),
    [("pix2pix_patchgan", "--targets"), ("cyclegan_patchgan", "--unpaired")],
)
def test_a_reference_checkpoint_judges_the_student(place: Path, name: str, real: str) -> None:
    file = checkpoint(place, name)
    options = (real, place / "photos", "--config", place / "quick.toml", "--discriminator", file)
    assert call(*asked(place, *options))["steps"] == 2
    record = json.loads((place / "run" / "run.json").read_text())
    assert record["discriminator"]["path"] == str(file)
    # The folder alone is enough to go on, and another file is refused.
    again = ("compress", "--resume", "--output-dir", place / "run")
    assert call(*again)["steps"] == 2
    other = decig(*again, "--discriminator", place / "model.onnx")
    assert other.exit_code == 2
    assert "model.onnx: holds no discriminator of a known kind" in other.stderr


@pytest.mark.parametrize(
    ("name", "real", "message"),
    [
        ("pix2pix_patchgan", None, "would judge nothing: give real pictures"),
        ("pix2pix_patchgan", "--unpaired", "unpaired pictures belong to no input"),
        ("spade_facades_discriminator", "--targets", "judges 16 channels"),
    ],
)
def test_one_that_does_not_fit_is_one_line(
    place: Path, name: str, real: str | None, message: str
) -> None:
    given = () if real is None else (real, place / "photos")
    options = (*given, "--config", place / "quick.toml")
    result = decig(*asked(place, *options, "--discriminator", checkpoint(place, name)))
    assert result.exit_code == 2
    *_, line = result.stderr.splitlines()
    assert "D.pth: this discriminator " in line and message in line
    assert not (place / "run").exists()


def test_a_missing_file_is_one_line(place: Path) -> None:
    result = decig(*asked(place, "--discriminator", place / "D.pth"))
    assert result.exit_code == 2
    assert "D.pth: cannot read these weights: No such file" in result.stderr
