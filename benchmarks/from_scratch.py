"""The paper's claim: condensing while training, against training first and compressing then.

python benchmarks/from_scratch.py --out runs/from_scratch  (a day, needs '.[train,quality]')

Label maps of facades become photos, by the ResUNet of models/facades-resunet. For each seed:

- the plain original trains for all steps: the reference for pictures;
- `decig train --profile --target-speedup` trains as many steps, condenses and cuts on the way;
- an original trains for a share of the steps, and `decig compress` gets the rest of the time that
  the run before took, with the same pairs (`--targets`).

All are judged on held-out label maps: SSIM and KID to the plain original, KID to the real photos.
Both ways take their widths from the cost table alone, so that they may run on another machine than
the one that the table is of, such as one with a GPU. Parts that are finished are not repeated,
parts that were stopped go on.
"""

import datetime
import json
import shutil
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click
import numpy as np
import torch
from jobs import BENCHMARKS, DECIG, SHARED, Command, Job, digest, finish, run_all, said
from PIL import Image
from settings import written

from decig import __version__
from decig.cli.values import EXISTING_FILE, EXISTING_FOLDER, FOLDER
from decig.data.layouts import Split, find_layout
from decig.data.pairs import Pairs
from decig.device.cost.table import CostTable
from decig.errors import DecigError
from decig.files import write_bytes, write_json
from decig.graph.channels import analyse
from decig.graph.model import load_model
from decig.schema import read_json
from decig.source.recipe import load_recipe

MODEL = BENCHMARKS.parent / "models" / "facades-resunet"
FACADES = SHARED / "data" / "facades"
_LEAST_S = 60.0
"""Seconds of compression where training took all the time."""
ORIGINAL, SCRATCH, THEN = "original", "from scratch", "then compressed"


@dataclass(frozen=True)
class Asked:
    """What the command line asked for; see its options."""

    out: Path
    data: Path
    steps: int
    side: int
    widths: Sequence[int]
    discriminator: int
    speedup: float
    share: float
    profile: Path | None
    compress_steps: int | None
    batch: int
    jobs: int

    def recipe(self, folder: Path, seed: int, steps: int) -> Path:
        """Write a recipe for a number of steps into a folder, and return that."""
        palette = load_recipe(MODEL).pixels.labels
        assert palette is not None
        text = f"""[model]
input_shape = [1, 3, {self.side}, {self.side}]
[pixels]
input_range = [-1, 1]
output_range = [-1, 1]
[pixels.labels]
encoding = "colours"
palette = {[list(colour) for colour in palette.palette]}
[source]
python = "generator.py:ResUNet"
arguments = {{ widths = {list(self.widths)}, bottleneck_blocks = 1 }}
[train]
task = "paired"
seed = {seed}
discriminator_width = {self.discriminator}
ema = 0.999
[train.data]
direction = "BtoA"
[[train.stages]]
crop = {self.side}
load = {round(self.side * 286 / 256)}
batch = {self.batch}
steps = {steps}
"""
        folder.mkdir(parents=True, exist_ok=True)
        shutil.copy(MODEL / "generator.py", folder)
        write_bytes(folder / "recipe.toml", text.encode())
        load_recipe(folder)
        return folder


def training(folder: Path, recipe: Path, data: Path, *options: str | Path) -> Job:
    """The run of decig train that fills a folder; its generator is `generator(folder)`."""
    run = folder / "run"
    command: Command = [*DECIG, "train", recipe, "--data", data, "--output-dir", run, *options]
    resume: Command = [*DECIG, "train", "--resume", "--output-dir", run]
    text = (recipe / "recipe.toml").read_text(encoding="utf-8")
    asked = {"recipe": text, "data": str(data), "options": [str(option) for option in options]}
    name = f"train {folder.parent.name} {folder.name}"
    return Job(name, folder, command, asked, resume, run / "state.pt")


def generator(folder: Path) -> Path:
    """What a training in a folder has made."""
    return folder / "run" / "generator.onnx"


def seconds_of(run: Path) -> float:
    """Seconds of training that a run took, those before it was stopped included."""
    states = [file for file in (run / "state.pt", run / "student.pt") if file.exists()]
    return sum(float(torch.load(file, weights_only=True)["elapsed_s"]) for file in states)


def compression(asked: Asked, folder: Path, original: Path, table: Path, seconds: float) -> Job:
    """The run that makes student.onnx of an original, planned by the table alone.

    So is the cut of the net that is condensed while it is trained.
    """
    pairs = asked.out / "pairs" / "train"
    budget = ["--steps", str(asked.compress_steps)]
    if asked.compress_steps is None:
        budget = ["--seconds", f"{max(_LEAST_S, seconds):.0f}"]
    command: Command = [sys.executable, "-m", "parts.gpu", "compress", "--model", original]
    command += ["--table", table, "--method", "decig", "--speedup", f"{asked.speedup:g}"]
    command += ["--data", pairs / "label", "--targets", pairs / "photo", *budget]
    settings = {"distil": {"batch": asked.batch, "crop": asked.side}}
    command += ["--config", written(folder.parent / "settings.toml", None, settings)]
    command += ["--output-dir", folder]
    what = {"model": digest(original), "speedup": asked.speedup, "budget": budget}
    return Job(f"compress {folder.parent.name}", folder, command, what)


def _force(asked: Asked) -> tuple[str, ...]:
    """A table that was given may be of another machine."""
    return () if asked.profile is None else ("--force",)


def write_pairs(asked: Asked) -> None:
    """Write label maps and photos into folders of their own, as compress and check take them."""
    layout, labels = find_layout(asked.data), load_recipe(MODEL).pixels.labels
    for name, split in {"train": layout.train, "val": layout.held_out or layout.train}.items():
        folders = {side: asked.out / "pairs" / name / side for side in ("label", "photo")}
        if folders["photo"].exists():
            continue
        for folder in folders.values():
            folder.mkdir(parents=True)
        pairs = Pairs(Split(split.a, split.b), "BtoA", labels)
        for number in range(len(pairs)):
            pair = pairs[number]
            for side, pixels in (("label", pair.input), ("photo", pair.target)):
                Image.fromarray(pixels).save(folders[side] / f"{pair.name}.png")


def table_of(asked: Asked, recipe: Path) -> Path:
    """The cost table of the recipe's net, which needs no weights."""
    if asked.profile is not None:
        return asked.profile
    file = asked.out / "profile" / "table.json"
    what = {"side": asked.side, "widths": list(asked.widths)}
    run_all([Job("profile", file.parent, [*DECIG, "profile", recipe, "-o", file], what)], 1)
    return file


@dataclass(frozen=True)
class Seed:
    """The three models of a seed.

    Attributes:
        number: the seed.
        folder: of its runs.
    """

    number: int
    folder: Path

    def trainings(self, asked: Asked, table: Path) -> list[Job]:
        """Plain, condensed on the way, and plain for a share of the steps."""
        recipe = asked.recipe(self.folder / "recipe", self.number, asked.steps)
        fewer = max(2, round(asked.steps * asked.share))
        shorter = asked.recipe(self.folder / "shorter", self.number, fewer)
        options: Command = [
            "--profile",
            table,
            "--target-speedup",
            f"{asked.speedup:g}",
            *_force(asked),
        ]
        return [
            training(self.folder / "original", recipe, asked.data),
            training(self.folder / "scratch", recipe, asked.data, *options),
            training(self.folder / "first", shorter, asked.data),
        ]

    def compression(self, asked: Asked, table: Path) -> Job:
        """Compress the shorter training's net in the time that is left of the condensed one's."""
        first, scratch = (self.folder / name / "run" for name in ("first", "scratch"))
        # The graph of another training has another digest: compress wants a table of its own.
        own = self.folder / "first-table.json"
        write_json(own, _table_for(table, generator(first.parent)))
        left = seconds_of(scratch) - seconds_of(first)
        return compression(asked, self.folder / "compressed", generator(first.parent), own, left)

    def models(self) -> dict[str, tuple[Path, float]]:
        """File and minutes of training of each model."""
        plain, scratch, first = (self.folder / name for name in ("original", "scratch", "first"))
        compressed = self.folder / "compressed"
        report = read_json(compressed / "report.json", dict[str, Any], "report of a run")
        seconds = seconds_of(first / "run") + report["training_seconds"]
        return {
            ORIGINAL: (generator(plain), seconds_of(plain / "run") / 60),
            SCRATCH: (generator(scratch), seconds_of(scratch / "run") / 60),
            THEN: (compressed / "run" / "student.onnx", seconds / 60),
        }


def make(asked: Asked, seeds: Sequence[Seed]) -> None:
    """Make the models of all seeds; trainings first, as they say how long compressions may take.

    Raises:
        DecigError: a run failed; names the log.
    """
    table = table_of(asked, asked.recipe(asked.out / "recipe", 0, asked.steps))
    finish("train", [job for seed in seeds for job in seed.trainings(asked, table)], asked.jobs)
    finish("compress", [seed.compression(asked, table) for seed in seeds], asked.jobs)


def _table_for(table: Path, model: Path) -> dict[str, Any]:
    """The same cost table for other weights of the same structure, which change no latency."""
    found = load_model(model)
    CostTable.load(table).require_same_structure(found, analyse(found.proto))
    content = read_json(table, dict[str, Any], "cost table")
    return content | {"model": content["model"] | {"sha256": found.sha256}}


def judged(asked: Asked, file: Path, reference: Path) -> dict[str, Any]:
    """What `decig check` says of an exported model beside the plain original and real photos.

    The original itself is judged as it is: it is what others are times faster than.

    Raises:
        DecigError: it failed; says why.
    """
    pairs = asked.out / "pairs" / "val"
    print(f"judging {file}", flush=True)
    if file != reference:
        exported = file.with_name("exported.onnx")
        said(*DECIG, "export", file, "-o", exported, "--threads", "1")
        file = exported
    given = ("--data", pairs / "label", "--targets", pairs / "photo", "--json")
    found: dict[str, Any] = json.loads(
        said(*DECIG, "check", file, "--reference", reference, *given)
    )
    return found


def page(asked: Asked, rows: Sequence[dict[str, Any]]) -> str:
    """The table of all seeds."""
    lines = [
        f"# Condensed while trained, or compressed afterwards, {asked.speedup:g} times faster",
        "",
        f"`python benchmarks/from_scratch.py --steps {asked.steps} --batch {asked.batch} "
        f"--side {asked.side} --jobs {asked.jobs} --speedup {asked.speedup:g} "
        f"--share {asked.share:g}`, decig {__version__}, {datetime.date.today().isoformat()}.",
        "",
        "| seed | model | minutes | ms | times faster | SSIM to original | KID to original x1000 "
        "| KID to real x1000 |",
        "|" + " --- |" * 8,
    ]
    for row in rows:
        kid, real = row["kid"], row["real_kid"]
        cells = [
            str(row["seed"]),
            row["model"],
            f"{row['minutes']:.1f}",
            f"{row['ms']:.2f}",
            f"{row['speedup']:.2f}",
            "-" if row["model"] == ORIGINAL else f"{row['ssim']:.3f}",
            "-" if row["model"] == ORIGINAL or kid is None else f"{1000 * kid:.1f}",
            "-" if real is None else f"{1000 * real:.1f}",
        ]
        lines.append(f"| {' | '.join(cells)} |")
    for name in (SCRATCH, THEN):
        values = [row["ssim"] for row in rows if row["model"] == name]
        spread = np.ptp(values)
        lines += ["", f"{name}: SSIM {np.mean(values):.3f} on average, spread {spread:.3f}."]
    return "\n".join([*lines, ""])


@click.command()
@click.option("--out", type=FOLDER, required=True, help="Folder of the runs; kept between calls.")
@click.option("--data", type=EXISTING_FOLDER, default=FACADES, help="Pairs, photo left, map right.")
@click.option("--seeds", default="1,2", help="Numbers, with commas between them.")
@click.option("--steps", type=click.IntRange(2), default=20000, help="Of a plain training.")
@click.option("--batch", type=click.IntRange(1), default=1, help="Crops per step, in all runs.")
@click.option("--jobs", type=click.IntRange(1), default=1, help="Runs at once.")
@click.option("--side", type=click.IntRange(32), default=128, help="Pixels of crops and pictures.")
@click.option("--widths", default="32,48,96,160,192", help="Of the original, by level.")
@click.option("--discriminator", type=click.IntRange(1), default=48, help="Channels, first layer.")
@click.option("--speedup", type=float, default=6.0, help="Times faster than the original.")
@click.option(
    "--share", type=float, default=0.6, help="Of the steps, before compress gets the other time."
)
@click.option("--profile", type=EXISTING_FILE, help="Cost table; the net is profiled without.")
@click.option("--compress-steps", type=click.IntRange(1), help="Steps of compress, not its time.")
@click.option("--results", type=FOLDER, default=BENCHMARKS / "results", help="For the table.")
def main(seeds: str, widths: str, results: Path, **options: Any) -> None:
    """Compare condensing while training with compressing afterwards, in the same time."""
    try:
        asked = Asked(**options, widths=[int(width) for width in widths.split(",")])
        write_pairs(asked)
        rows = []
        each = [Seed(int(n), asked.out / f"seed-{n}") for n in seeds.split(",")]
        make(asked, each)
        for seed in each:
            models = seed.models()
            for name, (file, minutes) in models.items():
                found = judged(asked, file, models[ORIGINAL][0])
                rows.append(
                    {
                        "seed": seed.number,
                        "model": name,
                        "minutes": minutes,
                        "ms": found["latency_ms"]["candidate"],
                        "speedup": found["speedup"],
                        "ssim": found["ssim"],
                        "kid": found["kid"],
                        "real_kid": (found["real"].get("kid") or {}).get("candidate"),
                    }
                )
    except DecigError as error:
        raise click.ClickException(str(error)) from error
    results.mkdir(parents=True, exist_ok=True)
    text = page(asked, rows)
    write_json(results / "from_scratch.json", {"rows": rows})
    write_bytes(results / "from_scratch.md", text.encode())
    print(text)


if __name__ == "__main__":
    main()
