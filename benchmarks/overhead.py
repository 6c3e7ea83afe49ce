"""How long `decig compress` takes until its first training step, and with what.

python benchmarks/overhead.py --out runs/overhead     (30 minutes, most of it profiles; '.[train]')

With a cost table given, on two cores: a style transfer net as ONNX, and pix2pix's U-Net-256 with 54
million parameters as PyTorch code with random weights that let through what runs through the net.
`parts/phases.py` splits the time. Profiles that are done are not repeated; runs are, with --again.
"""

import datetime
import os
import shutil
import sys
import time
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click
import numpy as np
from goals import Effort, Target, Teacher
from jobs import BENCHMARKS, SHARED, Command, Job, finish
from jobs import DECIG as PROGRAM
from options import numbers, one_line_errors, pixel_flags
from parts.phases import NAMES, STARTED
from settings import written

from decig import __version__
from decig.cli.values import EXISTING, EXISTING_FILE, EXISTING_FOLDER, FOLDER
from decig.data.images import ImageFolder
from decig.device.run.cores import available_cores
from decig.device.run.device import Device
from decig.errors import DecigError
from decig.extras import require
from decig.files import write_bytes, write_json
from decig.schema import read_json
from decig.source.flags import PixelFlags
from decig.source.recipe import load_recipe
from decig.source.resolve import resolve

_MODELS = BENCHMARKS.parent / "models"
MODELS = (SHARED / "suite" / "udnie.onnx", _MODELS / "pix2pix-unet256")
DATA = (SHARED / "data" / "photos" / "train", _MODELS / "facades-resunet" / "labels" / "train")
LIMITS_S = "30,60"


@dataclass(frozen=True)
class Case:
    """A model that is compressed.

    Attributes:
        teacher: the model and its images.
        limit_s: seconds until the first step that are allowed.
        table: its cost table; it is profiled if None.
        target: what is asked for.
        method: of decig compress.
        config: its settings.
        out: folder of the case.
    """

    teacher: Teacher
    limit_s: float
    table: Path | None
    target: Target
    method: str
    config: Path | None
    out: Path

    @property
    def name(self) -> str:
        """In tables, and of its folder."""
        return self.out.name

    def profile(self) -> list[Job]:
        """The run of decig profile, where it is needed."""
        if self.table is not None:
            return []
        folder = self.out / "profile"
        options: Command = [*PROGRAM, "profile", self.teacher.model, "-o", folder / "table.json"]
        return [Job(f"profile {self.name}", folder, options, {"model": str(self.teacher.model)})]

    def run(self, number: int) -> Job:
        """One run of decig compress until its first step."""
        folder = self.out / f"run-{number}"
        table = self.table or self.out / "profile" / "table.json"
        command: Command = [
            sys.executable,
            "-m",
            "parts.phases",
            folder / "phases.json",
            "compress",
        ]
        command += [self.teacher.model, *self.teacher.options(), *self.target.options()]
        command += ["--data", self.teacher.images, "--profile", table, "--method", self.method]
        command += [*Effort(10).options(), "--output-dir", folder / "run", "--force"]
        command += [] if self.config is None else ["--config", self.config]
        started = {STARTED: str(time.time())}
        asked = {"method": self.method, "target": self.target.label}
        return Job(f"{self.name} {number}", folder, command, asked, threads=started)

    def phases(self, number: int) -> dict[str, float]:
        """Seconds of every phase of a run that is done."""
        file = self.out / f"run-{number}" / "phases.json"
        return read_json(file, dict[str, float], "phases of a run")


def table(found: Mapping[str, tuple[float, Sequence[Mapping[str, float]]]]) -> str:
    """A Markdown table: for each case, its limit and the phases of its runs.

    Cells are medians over the runs, with half the range behind the sums.
    """
    names = list(found)
    lines = ["| | " + " | ".join(f"{name}, s" for name in names) + " |"]
    lines.append("|" + " --- |" * (len(names) + 1))
    for phase in NAMES:
        cells = [f"{np.median([run[phase] for run in runs]):.1f}" for _, runs in found.values()]
        lines.append(f"| {phase} | {' | '.join(cells)} |")
    sums = [[sum(run.values()) for run in runs] for _, runs in found.values()]
    cells = [f"**{np.median(each):.1f}** ± {np.ptp(each) / 2:.1f}" for each in sums]
    lines.append(f"| until the first step | {' | '.join(cells)} |")
    limits = [limit for limit, _ in found.values()]
    kept = ["yes" if np.median(s) <= most else "NO" for s, most in zip(sums, limits, strict=True)]
    cells = [f"{most:g}: {word}" for most, word in zip(limits, kept, strict=True)]
    lines.append(f"| limit, kept | {' | '.join(cells)} |")
    return "\n".join(lines)


def with_weights(model: Path, folder: Path) -> Path:
    """Write a recipe with random weights for a model of PyTorch code that has none.

    Weights as they are before training paint nothing: there would be nothing to train. These keep
    the size of what runs through the net (He et al., "Delving Deep into Rectifiers", ICCV 2015).

    Args:
        model: of the command line; one that is no recipe, or has weights, is returned as it is.
        folder: for the recipe and the weights.
    """
    if model.suffix == ".onnx":
        return model
    recipe = load_recipe(model)
    if recipe.source is None or recipe.source.weights:
        return model
    import torch

    from decig.training.pytorch.generator import build_generator

    torch.manual_seed(0)
    net = build_generator(recipe.source, recipe.folder)
    for weight in (each for each in net.parameters() if each.dim() > 1):
        torch.nn.init.kaiming_normal_(weight)
    folder.mkdir(parents=True, exist_ok=True)
    torch.save(net.state_dict(), folder / "weights.pth")
    found = tomllib.loads((recipe.folder / "recipe.toml").read_text(encoding="utf-8"))
    found["source"]["python"] = str(recipe.folder / recipe.source.python)
    found["source"]["weights"] = "weights.pth"
    return written(folder / "recipe.toml", None, found)


def limit_cores(cores: int) -> int:
    """Keep this process and those that it starts on so many cores; returns how many it has."""
    if hasattr(os, "sched_setaffinity") and available_cores() > cores:
        os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:cores])
    return available_cores()


def publish(cases: Sequence[Case], repeats: int, cores: int, results: Path) -> None:
    """Write overhead.md and overhead.json."""
    found = {
        case.name: (case.limit_s, [case.phases(number) for number in range(repeats)])
        for case in cases
    }
    device = Device.of().fingerprint()
    page = [
        f"# decig compress until its first training step, method {cases[0].method}",
        "",
        f"`python benchmarks/overhead.py --repeats {repeats} --out runs/overhead`, decig "
        f"{__version__}, {datetime.date.today().isoformat()}.",
        "",
        f"{device.cpu}, {cores} cores; medians, runs of each: {repeats}, with a cost table given.",
        "",
        table(found),
        "",
    ]
    results.mkdir(parents=True, exist_ok=True)
    figures: dict[str, Any] = {name: list(runs) for name, (_, runs) in found.items()}
    write_json(results / "overhead.json", figures)
    write_bytes(results / "overhead.md", "\n".join(page).encode())
    print("\n".join(page))


@click.command()
@click.option("--model", "models", type=EXISTING, multiple=True, default=MODELS)
@click.option("--data", type=EXISTING_FOLDER, multiple=True, default=DATA, help="One per model.")
@click.option("--limits", callback=numbers, default=LIMITS_S, help="Seconds, one per model.")
@click.option("--profile", "tables", type=EXISTING_FILE, multiple=True, help="One per model.")
@click.option("--speedup", type=float, default=4.0, help="Times faster, that is asked for.")
@click.option("--method", default="decig", help="Of decig compress.")
@click.option("--config", type=EXISTING_FILE, help="Settings of compress.")
@click.option("--cores", type=click.IntRange(1), default=2)
@click.option("--repeats", type=click.IntRange(1), default=3)
@click.option("--again", is_flag=True, help="Repeat runs that are done.")
@click.option("--out", type=FOLDER, required=True, help="Runs; profiles there are used again.")
@click.option("--results", type=FOLDER, default=BENCHMARKS / "results")
def main(
    models: tuple[Path, ...],
    data: tuple[Path, ...],
    limits: list[float],
    tables: tuple[Path, ...],
    speedup: float,
    method: str,
    config: Path | None,
    cores: int,
    repeats: int,
    again: bool,
    out: Path,
    results: Path,
) -> None:
    """Measure the time until the first training step, and split it."""
    if not len(models) == len(data) == len(limits) or len(tables) not in (0, len(models)):
        raise click.UsageError("Give --data, --limits and --profile for each --model, or none.")
    with one_line_errors():
        require("training", "train", ("torch", "accelerate", "filelock", "onnxscript"))
        cases = []
        for place, (given, images, limit) in enumerate(zip(models, data, limits, strict=True)):
            folder = out.resolve() / given.stem
            model = with_weights(given.resolve(), folder / "recipe")
            flags = pixel_flags(model, PixelFlags()) if model.suffix == ".onnx" else PixelFlags()
            teacher = Teacher(model, flags, images.resolve())
            costs = tables[place].resolve() if tables else None
            settings = config and config.resolve()
            target = Target(speedup, "x")
            cases.append(Case(teacher, limit, costs, target, method, settings, folder))
        for case in cases:
            next(iter(ImageFolder(case.teacher.images)))
            resolve(str(case.teacher.model), case.teacher.flags).require_pixels()
        if len({case.name for case in cases}) < len(cases):
            raise DecigError("two models have the same name, by which their runs are kept")
        for case in cases:
            finish("profile", case.profile(), 1)
        used = limit_cores(cores)
        for case in cases:
            for number in range(repeats):
                if again:
                    shutil.rmtree(case.out / f"run-{number}", ignore_errors=True)
                finish(case.name, [case.run(number)], 1)
        publish(cases, repeats, used, results.resolve())


if __name__ == "__main__":
    main()
