"""The comparison of methods: what its table says, and all of it in miniature."""

import json
from pathlib import Path

import methods
import pytest
from click.testing import CliRunner
from competitors.matching import Match, PeerLatency
from jobs import BENCHMARKS
from judge import Row
from methods import comparisons, summary

from decig.device.run.timing import Latency
from decig.source.recipe import load_recipe
from decig.training.data.stages import require_trainable
from decig.training.pytorch.generator import build_generator
from tests.benchmarks.small import table_of, write_pairs, write_recipe, write_settings


def row(method: str, ssim: float, kid: float, seed: int | None = 0, target: str = "4x") -> Row:
    latency = Latency(5000.0, 10.0, 5100.0, 30)
    alike = {"ssim": ssim, "psnr_db": 20 + ssim, "kid": 0.01, "kid_standard_error": 0.003}
    real = {"kid": kid, "kid_standard_error": 0.002}
    return Row(target, method, latency, 4.0, 10**9, 10, 0.1, 0.01, alike, {"steps": 7}, seed, real)


def test_the_table_has_means_over_seeds_and_half_the_range() -> None:
    lines = summary([row("decig", 0.8, 0.010), row("decig", 0.9, 0.014, seed=1)]).splitlines()
    assert len(lines) == 3
    assert "| 4x | decig | 2 | 5.00 ± 0.00 | 4.00 ± 0.00 | 12.00 ± 2.00 |" in lines[2]
    assert "| 0.850 ± 0.050 |" in lines[2]
    assert lines[2].count("|") == lines[0].count("|")


def test_one_seed_has_no_range_and_the_teacher_no_likeness() -> None:
    teacher = row("teacher", 1.0, 0.02, None, "")
    teacher.similarity.clear()
    line = summary([teacher]).splitlines()[-1]
    assert line.startswith("| - | teacher | - | 5.00 | 4.00 | 20.00 | - | - | - | - | 7 |")


@pytest.mark.parametrize(
    ("kids", "word"),
    [((0.008, 0.009), "better"), ((0.013, 0.014), "WORSE"), ((0.0095, 0.0125), "equal within")],
)
def test_comparisons_tell_a_lead_from_what_seeds_explain(
    kids: tuple[float, float], word: str
) -> None:
    ours = [row("decig", 0.8, kid, seed) for seed, kid in enumerate(kids)]
    theirs = [row("supernet", 0.8, kid, seed) for seed, kid in enumerate((0.010, 0.012))]
    (line,) = comparisons([*ours, *theirs])
    assert line.startswith("- 4x, decig against supernet: KID to photos x1000")
    assert word in line.partition("; SSIM")[0]
    assert "SSIM 0.800 against 0.800: equal within" in line


@pytest.mark.slow
def test_in_miniature(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(PeerLatency, "screen", lambda self: None)
    monkeypatch.setattr(PeerLatency, "match", lambda self, result: Match(8, 1.0))
    recipe = write_recipe(tmp_path / "recipe")
    for split in ("train", "test"):
        write_pairs(tmp_path / "data" / split)
    given = [recipe, "--data", tmp_path / "data", "--targets", 1.5, "--seeds", "0", "--steps", 3]
    given += ["--config", write_settings(tmp_path), "--jobs", 1, "--timing-seconds", 0.1]
    given += ["--profile", table_of(recipe / "generator.onnx", tmp_path)]
    given += ["--out", tmp_path / "out", "--results", tmp_path / "results"]
    result = CliRunner().invoke(methods.main, [str(each) for each in given])
    assert result.exit_code == 0, result.output
    rows = json.loads((tmp_path / "results" / "methods.json").read_text())["rows"]
    assert [each["method"] for each in rows] == ["teacher", *methods.METHODS]
    assert all(each["real"]["kid"] is not None for each in rows)
    text = (tmp_path / "results" / "methods.md").read_text()
    assert all(f"| 1.5x | {method} | 1 |" in text for method in methods.METHODS)
    assert (tmp_path / "results" / "methods_1.5x.jpg").exists()
    again = CliRunner().invoke(methods.main, [str(each) for each in given])
    assert "== compress: 3 of 3 done before" in again.output
    assert "== peers: 1 of 1 done before" in again.output


def test_bad_input_is_said_in_one_line_before_anything_is_trained(tmp_path: Path) -> None:
    given = ["--data", str(tmp_path), "--out", str(tmp_path / "out")]
    result = CliRunner().invoke(methods.main, given)
    assert result.exit_code == 1
    assert result.output.startswith("Error: ") and result.output.count("\n") == 1
    assert "train" in result.output


def test_the_recipe_of_the_published_teacher_is_the_net_of_the_repository_made_smaller() -> None:
    smaller = load_recipe(BENCHMARKS / "recipes" / "facades-128")
    whole = load_recipe(BENCHMARKS.parent / "models" / "facades-resunet")
    assert smaller.input_shape == [1, 3, 128, 128]
    assert smaller.pixels == whole.pixels
    nets = [build_generator(require_trainable(each), each.folder) for each in (smaller, whole)]
    shapes = [{n: tuple(w.shape) for n, w in net.state_dict().items()} for net in nets]
    assert shapes[0] == shapes[1]
