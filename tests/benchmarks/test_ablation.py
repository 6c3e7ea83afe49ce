"""The ablation in miniature, and what its table says."""

import json
import shutil
from pathlib import Path
from typing import Any

import ablation
import pytest
from ablation import ROWS, Ablation, page, toml, verdict
from click.testing import CliRunner
from goals import Effort
from jobs import Job

from decig.files import write_json
from decig.quality import features
from decig.training.compression.terms import TERMS
from decig.training.config import Config
from tests.samples import write_generator, write_photos
from tests.training.small import write_table

RECIPE = """
[model]
onnx = "m.onnx"
input_shape = [1, 3, 32, 32]
[pixels]
input_range = [0, 1]
output_range = [0, 1]
"""
SMALL = "[distil]\ncrop = 24\nbatch = 1\npool = 2\nheld_out = 1\nrepair_crops = 2\n"
RUN = ("as it is", "global threshold")


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.name)
def test_every_row_has_settings_that_compress_takes(row: ablation.Row, tmp_path: Path) -> None:
    (tmp_path / "row.toml").write_text(toml(row.settings))
    config = Config.read(tmp_path / "row.toml")
    assert config.needs_target is row.target or row.settings.get("decig", {}).get("condense")
    names = [other.name for other in ROWS]
    assert not row.against or names.index(row.against) < names.index(row.name)


def test_every_loss_has_a_row() -> None:
    asked = {key for row in ROWS for key in row.settings.get("distil", {})}
    assert asked >= TERMS.keys()


@pytest.mark.slow
def test_a_row_runs_once_and_is_judged(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    if (package := features.lacking()) is not None:
        pytest.skip(f"needs {package}: pip install 'decig[quality]'")
    model, out = tmp_path / "model", tmp_path / "out"
    model.mkdir()
    write_generator(model / "m.onnx", size=32, width=16)
    (model / "recipe.toml").write_text(RECIPE)
    for split in ("train", "val"):
        write_photos(tmp_path / "photos" / split, 4, 32, 40)
    (tmp_path / "small.toml").write_text(SMALL)
    (out / "profile").mkdir(parents=True)
    write_table(out / "profile" / "table.json", model / "m.onnx")
    write_json(out / "profile" / "done.json", {"asked": {"model": str(model)}})
    given: list[object] = ["--model", model, "--data", tmp_path / "photos", "--out", out]
    given += ["--steps", 4, "--seeds", 1, "--speedup", 1.2, "--config", tmp_path / "small.toml"]
    given += ["--results", tmp_path, *(part for name in RUN for part in ("--only", name))]

    def called(*more: object) -> str:
        result = CliRunner().invoke(ablation.main, [str(part) for part in (*given, *more)])
        assert result.exit_code == 0, result.output
        return (tmp_path / "ablation.md").read_text()

    text = called()
    found = json.loads((tmp_path / "ablation.json").read_text())
    assert [row["row"] for row in found] == list(RUN)
    assert all(row["steps"] > 0 and row["kid"] == row["kid"] for row in found)
    assert [line.split("|")[1].strip() for line in text.splitlines()[-2:]] == list(RUN)

    def run(_: Job) -> None:
        raise AssertionError("a finished row is run again")

    monkeypatch.setattr(Job, "run", run)
    assert called().splitlines()[4:] == text.splitlines()[4:]  # all but when it was made
    shutil.rmtree(out / "global-threshold")
    assert "| global threshold |" not in called("--judge-only")


def rows(name: str, *ssims: float) -> list[dict[str, Any]]:
    same = {"row": name, "predicted_ms": 5.0, "steps": 10, "psnr_db": 20.0, "kid": 0.01}
    return [same | {"seed": seed, "ssim": ssim} for seed, ssim in enumerate(ssims)]


def test_the_table_says_what_is_within_the_spread() -> None:
    chosen = [row for row in ROWS if row.name in ("as it is", "haar 1", "no repair")]
    asked = Ablation(Path(), Path(), 4.0, Effort(8.0), range(2), chosen, {}, Path())
    lines = page(asked, rows("as it is", 0.8, 0.82) + rows("haar 1", 0.9, 0.91)
                 + rows("no repair", 0.8, 0.81)).splitlines()  # fmt: skip
    assert len({line.count("|") for line in lines}) == 1
    cells = {line.split("|")[1].strip(): line.split("|")[-3].strip() for line in lines[2:]}
    assert cells["as it is"] == "-"
    assert cells["haar 1"] == "better"
    assert cells["no repair"] == "nothing beyond the spread"


@pytest.mark.parametrize(
    ("name", "ours", "theirs", "said"),
    [
        ("ssim", [0.9, 0.9], [0.8, 0.81], "better"),
        ("ssim", [0.7, 0.7], [0.8, 0.81], "worse"),
        ("kid", [0.01, 0.011], [0.02, 0.021], "better"),
        ("kid", [0.03, 0.031], [0.02, 0.021], "worse"),
        ("ssim", [0.8, 0.84], [0.82, 0.82], "nothing beyond the spread"),
        ("ssim", [0.9], [0.8, 0.8], "one seed says nothing of the spread"),
    ],
)
def test_a_difference_counts_beyond_the_spread(
    name: str, ours: list[float], theirs: list[float], said: str
) -> None:
    assert verdict(name, ours, theirs) == said
