"""What on_gpu.py trains, and how it divides its minutes."""

import math
import sys
import time
import tomllib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from goals import Target
from jobs import BENCHMARKS, Command, Job, digest, run_all
from jobs import DECIG as PROGRAM
from judge import Entry
from pictures import write_halves
from settings import written

from decig.device.run.device import Device
from decig.errors import DecigError
from decig.schema import read_json
from decig.source.recipe import load_recipe

MODELS = BENCHMARKS.parent / "models"
NAMES = ("pix2pix-unet256", "gaugan-spade")
TINY: dict[str, dict[str, Any]] = {
    NAMES[0]: {"side": 32, "arguments": {"width": 4, "levels": 5}},
    NAMES[1]: {"side": 64, "arguments": {"width": 4, "hidden": 16}},
}
"""Sizes for --miniature."""
SHARES = {"originals": 0.34, "profiles": 0.20, "compressions": 0.33}
"""Of the minutes; what is left is for measuring and judging."""
BATCH = 4
"""Crops per step: on a large GPU a step takes hardly longer than one of a single crop."""
_LOAD, _EPOCHS = 286 / 256, 200
"""Side of the loaded pictures to that of the crops, and a schedule's length, as the authors have
them; the seconds that are given end it earlier, and the learning rate falls with them."""
CUDA = ("--ep", "cuda", "--ep-option", "enable_cuda_graph=1")
_START_S = 20.0
"""Seconds that an original needs beside its training: to start, and to be exported."""
_OVERHEAD_S = 45.0
"""Seconds that a compression is expected to need beside its training, before any was seen."""
_LEAST_S = 3.0
"""Seconds of training under which a compression is left out."""


class Clock:
    """How much of the minutes is left."""

    def __init__(self, minutes: float) -> None:
        """Start it."""
        self._began, self._whole_s = time.monotonic(), 60.0 * minutes

    def until(self, *parts: str) -> float:
        """Seconds that are left until these parts should have ended, by their shares."""
        share = sum(SHARES[part] for part in parts)
        return share * self._whole_s - (time.monotonic() - self._began)


@dataclass(frozen=True)
class Original:
    """A generator that is trained, and then compressed.

    Attributes:
        name: of its recipe.
        recipe: folder of the recipe that is trained.
        out: folder of all that is made of it.
    """

    name: str
    recipe: Path
    out: Path

    @property
    def model(self) -> Path:
        """The trained generator."""
        return self.out / "original" / "generator.onnx"

    @property
    def table(self) -> Path:
        """Its cost table."""
        return self.out / "profile" / "table.json"

    def run(self, method: str, target: Target) -> Path:
        """Folder of a compression."""
        return self.out / method / target.label


@dataclass(frozen=True)
class Plan:
    """What the command line asked for.

    Attributes:
        originals: what is trained.
        data: the data set of pairs.
        targets: latencies.
        methods: of compression.
        miniature: whether all is tiny and on the processor.
        at_once: compressions beside each other.
        pictures: how many are judged.
        clock: tells what is left of the time.
        out: folder of all runs.
        results: folder of what is published.
    """

    originals: Sequence[Original]
    data: Path
    targets: Sequence[Target]
    methods: Sequence[str]
    miniature: bool
    at_once: int
    pictures: int
    clock: Clock
    out: Path
    results: Path

    @property
    def device(self) -> Device:
        """Where latencies are measured."""
        return Device.of() if self.miniature else Device.of("cuda", {"enable_cuda_graph": "1"})

    def halves(self, original: Original, split: str, most: int | None = None) -> tuple[Path, Path]:
        """Folders of label maps and of photos."""
        labels = load_recipe(original.recipe).pixels.labels
        folder = self.out / "data" / original.name / split
        return write_halves(self.data / split, labels, folder, most=most)

    def train(self) -> list[str]:
        """Train all originals beside each other; returns what went wrong."""
        limit_s = self.clock.until("originals")
        jobs = []
        for original in self.originals:
            folder = original.out / "original"
            command: Command = [
                sys.executable,
                "-m",
                "parts.gpu",
                "original",
                "--recipe",
                original.recipe,
            ]
            command += ["--data", self.data, *self._long(max(1.0, limit_s - _START_S), 20)]
            command += ["--output-dir", folder]
            asked = {"recipe": digest(original.recipe / "recipe.toml")}
            jobs.append(
                Job(
                    f"train {original.name}",
                    folder,
                    command,
                    asked,
                    command,
                    folder / "state.pt",
                    threads={},
                    limit_s=limit_s + _START_S,
                )
            )
        return _attempt(jobs, len(jobs))

    def profile(self) -> list[str]:
        """Take the cost tables, one after the other; returns what went wrong."""
        failures = []
        left = [each for each in self.originals if each.model.exists()]
        for place, original in enumerate(left):
            limit_s = self.clock.until("originals", "profiles") / (len(left) - place)
            folder = original.table.parent
            command: Command = [
                *PROGRAM,
                "profile",
                original.model,
                "-o",
                original.table,
                "--quick",
            ]
            command += [] if self.miniature else CUDA
            job = Job(
                f"profile {original.name}",
                folder,
                command,
                {"model": digest(original.model)},
                limit_s=limit_s,
            )
            failures += _attempt([job], 1)
        return failures

    def compress(self, ended: Callable[[list[str]], object]) -> list[str]:
        """Compress, a few at once; each wave gets its part of the time that is left.

        Args:
            ended: told after every wave what went wrong so far.

        Returns:
            What went wrong in all of them.
        """
        failures: list[str] = []
        left = [job for job in self.compressions() if not job.done]
        overhead_s = _OVERHEAD_S
        while left:
            wave, rest = left[: self.at_once], left[self.at_once :]
            waves = 1 + math.ceil(len(rest) / self.at_once)
            limit_s = self.clock.until(*SHARES) / waves
            seconds = limit_s - overhead_s
            if seconds < _LEAST_S and not self.miniature:
                failures += [f"{job.name}: no time was left for it" for job in left]
                break
            run = [self._timed(job, seconds, limit_s + _START_S) for job in wave]
            failures += _attempt(run, self.at_once)
            seen = [_overhead(job) for job in run if job.done]
            overhead_s = max(seen, default=overhead_s)
            left = rest
            ended(failures)
        return failures

    def _timed(self, job: Job, seconds: float, limit_s: float) -> Job:
        command = [*job.command, *self._long(seconds)]
        return Job(job.name, job.folder, command, job.asked, threads=job.threads, limit_s=limit_s)

    def compressions(self) -> Iterator[Job]:
        """All that are to be made, target by target."""
        threads = {"OMP_NUM_THREADS": str(max(1, 16 // self.at_once))}
        for target in self.targets:
            for method in self.methods:
                for original in self.originals:
                    if not original.table.exists():
                        continue
                    inputs, photos = self.halves(original, "train")
                    folder = original.run(method, target)
                    command: Command = [sys.executable, "-m", "parts.gpu", "compress", "--model"]
                    command += [original.model, "--table", original.table, "--method", method]
                    command += ["--speedup", f"{target.value:g}", "--data", inputs]
                    command += ["--targets", photos, "--config", self._settings()]
                    command += ["--output-dir", folder]
                    asked = {"table": digest(original.table), "speedup": target.value}
                    name = f"{original.name} {method} {target.label}"
                    yield Job(name, folder, command, asked, threads=threads)

    def _settings(self) -> Path:
        tables: dict[str, dict[str, Any]] = {
            "train": {"precision": "bf16"},
            "distil": {"batch": BATCH},
        }
        if self.miniature:
            tables = {
                "train": {"precision": "fp32"},
                "distil": {"crop": 0, "held_out": 2, "repair_crops": 4, "discriminator_width": 4},
                "supernet": {"menu": 2, "plans": 5, "population": 5},
            }
        return written(self.out / "settings.toml", None, tables)

    def _long(self, seconds: float, steps: int = 3) -> list[str]:
        """Options that end a training: steps in a miniature, else seconds."""
        return ["--steps", str(steps)] if self.miniature else ["--seconds", f"{seconds:.0f}"]

    def entries(self, original: Original) -> list[Entry]:
        """Results of an original that are there."""
        found = []
        for target in self.targets:
            for method in self.methods:
                folder = original.run(method, target)
                if (folder / "done.json").exists():
                    report = read_json(folder / "report.json", dict[str, Any], "report of a run")
                    notes = {
                        "minutes": report["training_seconds"] / 60,
                        "steps": report["steps"],
                        "predicted_ms": report["predicted_latency_ms"],
                    }
                    found.append(Entry(target.label, method, folder / "student.onnx", notes))
        return found


def write_recipe(name: str, folder: Path, miniature: bool) -> Path:
    """Write the recipe of models/ that is trained: in bf16 and larger batches, or tiny."""
    file = MODELS / name / "recipe.toml"
    found = tomllib.loads(file.read_text(encoding="utf-8"))
    found["source"]["python"] = str(file.parent / found["source"]["python"])
    found["train"]["precision"] = "bf16"
    if miniature:
        tiny = TINY[name]
        found["source"]["arguments"] |= tiny["arguments"]
        found["model"]["input_shape"][2:] = [tiny["side"]] * 2
        # In a few steps a net must come to use its range, or compress takes it for broken.
        found["train"] |= {"precision": "fp32", "discriminator_width": 4, "learning_rate": 2e-2}
    side, batch = found["model"]["input_shape"][2], 1 if miniature else BATCH
    stage = {"crop": side, "load": round(_LOAD * side), "batch": batch, "epochs": _EPOCHS}
    found["train"]["stages"] = [stage]
    written(folder / "recipe.toml", None, found)
    return folder


def _attempt(jobs: Sequence[Job], at_once: int) -> list[str]:
    try:
        run_all(jobs, at_once)
    except DecigError as error:
        return [str(error)]
    return []


def _overhead(job: Job) -> float:
    """Seconds of a finished compression beside its training."""
    report = read_json(job.folder / "report.json", dict[str, Any], "report of a run")
    trained = sum(
        found["training_seconds"]
        for found in (report, report.get("supernet", {}), report.get("hypernet", {}))
        if "training_seconds" in found
    )
    return float(job.figures()["wall_s"] - trained)
