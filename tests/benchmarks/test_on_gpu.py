"""The benchmark for a GPU: how it divides its time, and all of it in miniature on the processor."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import gpu_plan
import on_gpu
import onnxruntime
import pytest
import torch
from click.testing import CliRunner
from goals import Target
from gpu_plan import NAMES, SHARES, Clock, Original, Plan, write_recipe
from jobs import Job

from decig.files import write_json
from decig.source.recipe import load_recipe
from tests.benchmarks.small import table_of, write_pairs


@pytest.mark.parametrize("name", NAMES)
def test_recipes_are_those_of_the_models_for_a_gpu(name: str, tmp_path: Path) -> None:
    given = load_recipe(gpu_plan.MODELS / name)
    made = load_recipe(write_recipe(name, tmp_path / "whole", miniature=False))
    stage = {"crop": 256, "load": 286, "batch": gpu_plan.BATCH, "epochs": 200}
    assert made.train == (given.train or {}) | {"precision": "bf16", "stages": [stage]}
    assert (made.input_shapes, made.pixels) == (given.input_shapes, given.pixels)
    assert made.source == replace(given.source, python=made.source.python)
    tiny = load_recipe(write_recipe(name, tmp_path / "tiny", miniature=True))
    assert max(tiny.input_shape[2:]) <= 64
    assert tiny.source.arguments["width"] < given.source.arguments["width"]


def test_a_clock_says_what_is_left(monkeypatch: pytest.MonkeyPatch) -> None:
    now = 100.0
    monkeypatch.setattr(gpu_plan.time, "monotonic", lambda: now)
    clock = Clock(10)
    now = 160.0
    assert clock.until("originals") == pytest.approx(600 * SHARES["originals"] - 60)
    assert clock.until(*SHARES) == pytest.approx(600 * sum(SHARES.values()) - 60)
    assert sum(SHARES.values()) < 0.9  # the rest is for judging


class Run:
    """Jobs that take as long as they are told, by a clock of their own."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, overhead_s: float) -> None:
        self.now, self.overhead_s, self.waves = 0.0, overhead_s, []
        monkeypatch.setattr(gpu_plan.time, "monotonic", lambda: self.now)
        monkeypatch.setattr(gpu_plan, "run_all", self.run_all)

    def run_all(self, jobs: list[Job], at_once: int) -> None:
        seconds = [float(job.command[-1]) for job in jobs]
        self.waves.append(seconds)
        for job, trained in zip(jobs, seconds, strict=True):
            job.folder.mkdir(parents=True)
            report = {"training_seconds": trained, "steps": 9, "predicted_latency_ms": 1.0}
            write_json(job.folder / "report.json", report)
            figures: dict[str, Any] = {"wall_s": trained + self.overhead_s, "cpu_s": 1.0}
            write_json(job.folder / "done.json", {"asked": job.asked} | figures)
        self.now += max(seconds) + self.overhead_s


@pytest.fixture
def plan(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Plan:
    """Two originals that are trained and profiled."""
    originals = []
    for name in NAMES:
        original = Original(name, tmp_path / "recipe", tmp_path / name)
        for file in (original.model, original.table):
            file.parent.mkdir(parents=True)
            file.write_text("{}")
        originals.append(original)
    monkeypatch.setattr(Plan, "halves", lambda self, original, split: (tmp_path, tmp_path))
    targets, methods = [Target(4, "x"), Target(8, "x")], ("decig", "supernet", "hypernet")
    clock = Clock(10)
    return Plan(originals, tmp_path, targets, methods, False, 4, 50, clock, tmp_path, tmp_path)


@pytest.mark.parametrize("overhead_s", [20.0, 45.0, 90.0])
def test_compressions_end_in_time(
    overhead_s: float, plan: Plan, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = Run(monkeypatch, overhead_s)
    plan = replace(plan, clock=Clock(10))
    run.now = 600 * (SHARES["originals"] + SHARES["profiles"])
    told: list[list[str]] = []
    failures = plan.compress(told.append)
    assert run.now <= 600 * sum(SHARES.values()) + max(0.0, overhead_s - 45)
    assert len(told) == len(run.waves) and len(run.waves[0]) == 4
    left_out = sum(len(wave) for wave in run.waves) - 12
    assert len(failures) == -left_out
    assert all("no time was left" in failure for failure in failures)
    if overhead_s <= 45:
        assert not failures
        assert all(len(plan.entries(original)) == 6 for original in plan.originals)


def test_finished_compressions_are_not_repeated(
    plan: Plan, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = Run(monkeypatch, 1.0)
    plan = replace(plan, clock=Clock(100))
    plan.compress(lambda _: None)
    waves = len(run.waves)
    assert plan.compress(lambda _: None) == [] and len(run.waves) == waves


@pytest.mark.parametrize(
    ("there", "said"),
    [
        ([], "execution provider 'cuda' is not in the installed ONNX Runtime"),
        (["CUDAExecutionProvider"], "PyTorch finds no CUDA device: install its build for CUDA"),
    ],
)
def test_without_a_gpu_it_says_so_at_once(
    there: list[str], said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    has = [*there, "CPUExecutionProvider"]
    monkeypatch.setattr(onnxruntime, "get_available_providers", lambda: has)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    out, results = tmp_path / "out", tmp_path / "results"
    given = ["--data", str(tmp_path), "--out", str(out), "--results", str(results)]
    result = CliRunner().invoke(on_gpu.main, given)
    assert result.exit_code == 1
    assert result.output.startswith(f"Error: {said}") and result.output.count("\n") == 1
    assert not out.exists() and not results.exists()


def test_what_went_wrong_is_published(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    told: list[str] = []

    def compress(self: Plan, ended: Callable[[list[str]], object]) -> list[str]:
        ended(["a wave failed"])
        told.append((tmp_path / "results" / "on_gpu.md").read_text())
        return ["a wave failed", "another one, too"]

    monkeypatch.setattr(Plan, "train", lambda self: ["training failed"])
    monkeypatch.setattr(Plan, "profile", lambda self: [])
    monkeypatch.setattr(Plan, "compress", compress)
    for split in ("train", "test"):
        write_pairs(tmp_path / "data" / split)
    given = ["--miniature", "--data", tmp_path / "data"]
    given += ["--out", tmp_path / "out", "--results", tmp_path / "results"]
    result = CliRunner().invoke(on_gpu.main, [str(each) for each in given])
    assert result.exit_code == 1 and "nothing was trained" in result.output
    assert "- training failed\n- a wave failed\n" in told[0]
    assert "- another one, too" in (tmp_path / "results" / "on_gpu.md").read_text()


@pytest.mark.slow
def test_in_miniature(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def profile(self: Plan) -> list[str]:
        for original in self.originals:
            original.table.parent.mkdir()
            table_of(original.model, original.table.parent)
        return []

    monkeypatch.setattr(Plan, "profile", profile)
    for split in ("train", "test"):
        write_pairs(tmp_path / "data" / split)
    given = ["--miniature", "--data", tmp_path / "data", "--targets", 1.5, "--minutes", 600]
    given += ["--method", "decig", "--jobs", 1, "--pictures", 4, "--timing-seconds", 0.1]
    given += ["--out", tmp_path / "out", "--results", tmp_path / "results"]
    result = CliRunner().invoke(on_gpu.main, [str(each) for each in given])
    assert result.exit_code == 0, result.output
    found = json.loads((tmp_path / "results" / "on_gpu.json").read_text())
    assert found["failures"] == []
    methods = {name: [row["method"] for row in rows] for name, rows in found["rows"].items()}
    assert methods == {name: ["teacher", "decig"] for name in NAMES}
    text = (tmp_path / "results" / "on_gpu.md").read_text()
    assert text.count("20 steps.") == 2 and text.count("| 1.5x | decig |") == 2
    assert (tmp_path / "results" / "on_gpu_gaugan-spade_1.5x.jpg").exists()
    assert "<polyline" in (tmp_path / "results" / "on_gpu.svg").read_text()
