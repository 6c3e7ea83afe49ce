"""The benchmark of training from scratch, in miniature: one seed, a handful of steps."""

import json
from dataclasses import replace
from pathlib import Path

import from_scratch
import numpy as np
import pytest
from click.testing import CliRunner
from from_scratch import ORIGINAL, SCRATCH, THEN, Asked
from jobs import Job
from PIL import Image

from decig.source.recipe import load_recipe
from decig.source.resolve import resolve
from tests.training.small import work_table

pytestmark = [pytest.mark.train, pytest.mark.slow]
FIGURES = {"latency_ms": {"candidate": 1.0}, "speedup": 2.0, "real": {}}
MINIATURE = ("--seeds", "1", "--steps", "4", "--side", "64", "--widths", "8,12", "--share", "0.5")


def write_facades(folder: Path, count: int) -> None:
    """Write pairs: noise on the left, blocks in the colours of the labels on the right."""
    labels = load_recipe(from_scratch.MODEL).pixels.labels
    assert labels is not None
    rng = np.random.default_rng(0)
    folder.mkdir(parents=True)
    for number in range(count):
        blocks = np.array(labels.palette, np.uint8)[rng.integers(0, 12, (5, 5))]
        noise = rng.integers(0, 256, (80, 80, 3), np.uint8)
        pair = np.concatenate([noise, blocks.repeat(16, 0).repeat(16, 1)], 1)
        Image.fromarray(pair).save(folder / f"{number}.png")


def test_all_three_are_trained_once_and_judged(tmp_path: Path, monkeypatch) -> None:
    for split in ("train", "val"):
        write_facades(tmp_path / "facades" / split, 4)
    options = {"out": tmp_path / "out", "data": tmp_path / "facades", "steps": 4, "side": 64}
    asked = Asked(
        **options,
        widths=[8, 12],
        discriminator=4,
        speedup=2.0,
        share=0.5,
        profile=None,
        compress_steps=2,
        batch=1,
        jobs=1,
    )
    recipe = asked.recipe(tmp_path / "out/seed-1/recipe", 1, 4)
    table = work_table(resolve(str(recipe), untrained=True).model)
    replace(table, device=replace(table.device, cpu="another")).save(tmp_path / "table.json")
    arguments = [*MINIATURE, "--out", asked.out, "--data", asked.data, "--discriminator", "4"]
    arguments += ["--profile", tmp_path / "table.json", "--speedup", "2", "--compress-steps", "2"]
    arguments += ["--results", tmp_path / "results"]
    result = CliRunner().invoke(from_scratch.main, [str(argument) for argument in arguments])
    assert result.exit_code == 0, result.output
    rows = json.loads((tmp_path / "results/from_scratch.json").read_text())["rows"]
    assert [row["model"] for row in rows] == [ORIGINAL, SCRATCH, THEN]
    assert rows[0]["ssim"] == pytest.approx(1) and all(row["minutes"] > 0 for row in rows)
    text = (tmp_path / "results/from_scratch.md").read_text()
    assert text.count("| 1 |") == 3 and f"{SCRATCH}: SSIM" in text
    original, scratch = (
        (asked.out / f"seed-1/{name}/run/generator.onnx").stat() for name in ("original", "scratch")
    )
    assert scratch.st_size < original.st_size

    monkeypatch.setattr(Job, "run", lambda job: pytest.fail(f"{job.name} was run again"))
    monkeypatch.setattr(from_scratch, "judged", lambda *_: rows[0] | FIGURES)
    again = CliRunner().invoke(from_scratch.main, [str(argument) for argument in arguments])
    assert again.exit_code == 0, again.output
