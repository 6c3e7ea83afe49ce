"""The benchmark of CycleGAN: its verdict, and all of it in miniature."""

import json
from dataclasses import replace
from pathlib import Path

import pytest
import unpaired
from click.testing import CliRunner
from contest import Contest
from judge import Row
from unpaired import verdicts

from decig.device.run.timing import Latency
from tests.benchmarks.small import SIDE, table_of, write_settings
from tests.samples import write_generator, write_photos


def row(method: str, kid: float) -> Row:
    latency = Latency(5000.0, 10.0, 5100.0, 30)
    return Row("8x", method, latency, 8.0, 1, 1, 0.1, 0.1, {}, {}, real={"kid": kid})


@pytest.mark.parametrize(("kid", "word"), [(0.0109, "within"), (0.0111, "NOT within")])
def test_the_compressed_net_may_be_a_tenth_farther(kid: float, word: str) -> None:
    (line,) = verdicts([row("teacher", 0.01), row("decig", kid)])
    assert line.endswith(f": {word} 10%.")


def test_a_perfect_original_gives_no_share() -> None:
    (line,) = verdicts([row("teacher", -0.001), row("decig", 0.01)])
    assert "not above 0" in line


def test_style_ranges_are_checked(tmp_path: Path) -> None:
    given = ["--photos", str(tmp_path), "--style", str(write_generator(tmp_path / "s.onnx"))]
    given += ["--style-range", "0", "--out", str(tmp_path / "out")]
    result = CliRunner().invoke(unpaired.main, given)
    assert result.exit_code == 2 and "--style-range takes two numbers" in result.output


@pytest.mark.slow
def test_in_miniature(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    train = Contest.train

    def with_table(contest: Contest) -> None:
        train(replace(contest, table=table_of(contest.teacher.model, tmp_path)))

    monkeypatch.setattr(Contest, "train", with_table)
    for split in ("train", "val"):
        write_photos(tmp_path / "photos" / split, 8, 70, 70)
    style = write_generator(tmp_path / "style.onnx", size=SIDE)
    given = ["--photos", tmp_path / "photos", "--style", style, "--style-range", "0,1"]
    given += ["--width", 8, "--blocks", 1, "--side", SIDE, "--discriminator", 4]
    given += ["--train-steps", 2, "--precision", "fp32", "--steps", 2, "--targets", 1.2]
    given += ["--config", write_settings(tmp_path), "--timing-seconds", 0.1, "--jobs", 1]
    given += ["--out", tmp_path / "out", "--results", tmp_path / "results"]
    result = CliRunner().invoke(unpaired.main, [str(each) for each in given])
    assert result.exit_code == 0, result.output
    rows = json.loads((tmp_path / "results" / "unpaired.json").read_text())["rows"]
    assert [each["method"] for each in rows] == ["teacher", "decig"]
    assert "| 1.2x | decig |" in (tmp_path / "results" / "unpaired.md").read_text()
    assert (tmp_path / "results" / "unpaired.jpg").exists()
