"""Which parts of the method earn their place: each switched on or off alone, over several seeds.

python benchmarks/ablation.py --out runs/ablation     (6 hours and more, needs '.[train,bench]')

One model, one latency, one budget. Every row is the settings of a row that it is compared with,
and one change; each is a process of `decig compress` on one thread, and what is finished is not
repeated. See README.md for the rows.
"""

import json
import statistics
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import click
from goals import Effort
from jobs import BENCHMARKS, Command, Job, run_all
from publishing import command, heading, write_page

from decig.cli.values import FILE, FOLDER
from decig.deploy.judges.panel import OWN, Panel
from decig.deploy.likeness import compare_pictures
from decig.deploy.side import Side
from decig.device.run.device import Device
from decig.errors import DecigError
from decig.files import write_bytes
from decig.quality.features import FeatureNetwork, require_features
from decig.schema import read_json, read_toml
from decig.source.resolve import resolve

_COLUMNS = (
    ("predicted_ms", 1, 2),
    ("steps", 1, 0),
    ("ssim", 1, 4),
    ("psnr_db", 1, 2),
    ("kid", 1000, 2),
)
"""Figures of the table, what they are multiplied by, and digits behind the point."""
Tables = Mapping[str, Mapping[str, Any]]
"""Tables of a file of settings."""

_ROOT = BENCHMARKS.parent
_MODEL = _ROOT / "models" / "facades-resunet"
_CONDENSED: Tables = {"decig": {"condense": 0.3}}
_IMITATED: Tables = {"distil": {"imitation": 0.01}}


@dataclass(frozen=True)
class Row:
    """A compression with some settings.

    Attributes:
        name: in the table and of its folder.
        settings: what differs from the defaults.
        against: name of the row that it is compared with; "" for one that others are.
        target: whether a latency is asked for; without one the hinges decide.
    """

    name: str
    settings: Tables = field(default_factory=dict)
    against: str = ""
    target: bool = True


def _with(base: Tables, table: str, **keys: Any) -> Tables:
    return {**base, table: {**base.get(table, {}), **keys}}


_PLAIN, _LINEAR, _HINGE, _GAME = "as it is", "condensed, f linear", "hinge", "imitation"
ROWS = (
    Row(_PLAIN),
    Row("no repair", {"distil": {"repair": False}}, _PLAIN),
    Row("features 0.1", {"distil": {"features": 0.1}}, _PLAIN),
    Row("feature_relations 1", {"distil": {"feature_relations": 1.0}}, _PLAIN),
    Row("haar 1", {"distil": {"haar": 1.0}}, _PLAIN),
    Row("relations 1", {"distil": {"relations": 1.0}}, _PLAIN),
    Row(_GAME, _IMITATED, _PLAIN),
    Row(
        "discriminator_features 0.1", _with(_IMITATED, "distil", discriminator_features=0.1), _GAME
    ),
    Row("discriminator_style 1", _with(_IMITATED, "distil", discriminator_style=1.0), _GAME),
    Row("discriminator of width 64", _with(_IMITATED, "distil", discriminator_width=64), _GAME),
    Row(_LINEAR, _CONDENSED, _PLAIN),
    Row("f uniform", _with(_CONDENSED, "decig", weighting="uniform"), _LINEAR),
    Row("f exponential", _with(_CONDENSED, "decig", weighting="exponential"), _LINEAR),
    Row("I = 1", _with(_CONDENSED, "decig", device_weighted=False), _LINEAR),
    Row("condensed teacher", _with(_CONDENSED, "decig", painter="condensed"), _LINEAR),
    Row(_HINGE, _CONDENSED, target=False),
    Row("global threshold", _with(_CONDENSED, "decig", bend="threshold"), _HINGE, target=False),
)
FIGURES = ("ssim", "psnr_db", "kid")
"""What is judged: the student's pictures beside the teacher's, on held-out inputs."""


@dataclass(frozen=True)
class Ablation:
    """What the command line asked for.

    Attributes:
        model: what decig takes as MODEL.
        data: folder with inputs in train/ and val/.
        speedup: how many times faster than the model.
        effort: of each compression.
        seeds: of each row.
        rows: that run.
        settings: for all of them.
        out: folder of the runs.
    """

    model: Path
    data: Path
    speedup: float
    effort: Effort
    seeds: Sequence[int]
    rows: Sequence[Row]
    settings: Tables
    out: Path

    def jobs(self) -> list[Job]:
        """The compressions, seed by seed, so that a table can be made of one of them early."""
        return [self._job(row, seed) for seed in self.seeds for row in self.rows]

    def profile(self) -> Job:
        """The cost table that all of them share."""
        folder = self.out / "profile"
        command: Command = ["profile", self.model, "-o", folder / "table.json"]
        return Job("profile", folder, _decig(command), {"model": str(self.model)})

    def folder(self, row: Row, seed: int) -> Path:
        """Where a compression runs."""
        return self.out / row.name.replace(" ", "-").replace("=", "is") / str(seed)

    def _job(self, row: Row, seed: int) -> Job:
        folder, tables = self.folder(row, seed), merged(self.settings, row.settings)
        tables = merged(tables, {"train": {"seed": seed}})
        file = self.out / "settings" / f"{folder.parent.name}-{seed}.toml"
        file.parent.mkdir(parents=True, exist_ok=True)
        write_bytes(file, toml(tables).encode())
        speed = ["--target-speedup", f"{self.speedup:g}"] if row.target else []
        length = self.effort.options()
        command: Command = ["compress", self.model, "--data", self.data / "train", *speed, *length]
        command += ["--profile", self.out / "profile" / "table.json", "--config", file, "--force"]
        command += ["--output-dir", folder / "run"]
        asked = {"settings": tables, "speed": speed, "length": length}
        return Job(f"{row.name}, seed {seed}", folder, _decig(command), asked)


def _decig(command: Sequence[str | Path]) -> list[str | Path]:
    return [sys.executable, "-m", "decig", *command]


def merged(base: Tables, over: Tables) -> dict[str, dict[str, Any]]:
    """Put the keys of some tables over those of others."""
    return {name: {**base.get(name, {}), **over.get(name, {})} for name in {**base, **over}}


def toml(tables: Tables) -> str:
    """Write tables of numbers, texts and truth values as TOML."""
    lines: list[str] = []
    for name, keys in tables.items():
        lines += [f"[{name}]", *(f"{key} = {json.dumps(value)}" for key, value in keys.items()), ""]
    return "\n".join(lines)


def judge(ablation: Ablation) -> list[dict[str, Any]]:
    """Compare the students of all finished runs with the model, on held-out inputs."""
    reference, panel = _side(ablation.model, ablation), Panel({OWN: FeatureNetwork()})
    found = []
    for row in ablation.rows:
        for seed in ablation.seeds:
            run = ablation.folder(row, seed) / "run"
            if not (run.parent / "done.json").is_file():
                continue
            report = read_json(run / "report.json", dict[str, Any], "report of a run")
            candidate = _side(run, ablation)
            figures = compare_pictures(reference, candidate, panel=panel).to_dict()
            found.append(
                {"row": row.name, "seed": seed, "predicted_ms": report["predicted_latency_ms"]}
                | {"steps": report["steps"], **{name: figures[name] for name in FIGURES}}
            )
    return found


def _side(model: Path, ablation: Ablation) -> Side:
    source = resolve(str(model))
    return Side(source, source.pictures(ablation.data / "val"), Device.for_work())


def spread(values: Sequence[float]) -> float:
    """Standard deviation over seeds; 0 for one of them."""
    return statistics.stdev(values) if len(values) > 1 else 0.0


def verdict(name: str, ours: Sequence[float], theirs: Sequence[float]) -> str:
    """Say whether a row differs from the one that it is compared with by more than the spread."""
    if min(len(ours), len(theirs)) < 2:
        return "one seed says nothing of the spread"
    difference = statistics.mean(ours) - statistics.mean(theirs)
    if abs(difference) <= 2 * max(spread(ours), spread(theirs)):
        return "nothing beyond the spread"
    better = (difference < 0) if name == "kid" else (difference > 0)
    return "better" if better else "worse"


def page(ablation: Ablation, found: Sequence[Mapping[str, Any]]) -> str:
    """Lay the rows out, with mean and spread over the seeds."""
    head = (
        "| row | against | seeds | ms predicted | steps | SSIM | PSNR dB | KID x1000 "
        "| by SSIM | by KID |"
    )
    lines = [head, "|" + " --- |" * (head.count("|") - 1)]
    by_name = {row.name: [f for f in found if f["row"] == row.name] for row in ablation.rows}
    for row in ablation.rows:
        own, other = by_name[row.name], by_name.get(row.against, [])
        if not own:
            continue
        cells = [row.name, row.against or "-", str(len(own))]
        for name, scale, digits in _COLUMNS:
            values = [scale * each[name] for each in own]
            cells.append(f"{statistics.mean(values):.{digits}f} ({spread(values):.{digits}f})")
        for name in ("ssim", "kid"):
            pair = [[each[name] for each in side] for side in (own, other)]
            cells.append(verdict(name, *pair) if other else "-")
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines)


def publish(ablation: Ablation, results: Path) -> None:
    """Judge what is finished; write ablation.md and ablation.json."""
    found = judge(ablation)
    if not found:
        raise DecigError(f"{ablation.out}: no finished run to judge")
    top = heading(
        f"Ablation: {ablation.model.stem}, {ablation.speedup:g} times faster, "
        f"{ablation.effort} each",
        command("ablation", ablation.effort),
        "Figures are to the teacher's pictures of held-out inputs; in brackets stands the standard "
        "deviation over the seeds. A difference counts where the means are further apart than "
        "twice the larger one.",
    )
    write_page(results, "ablation", [*top, page(ablation, found)], found)


@click.command()
@click.option("--model", type=FILE, default=_MODEL, help="What decig takes as MODEL.")
@click.option("--data", type=FOLDER, default=_MODEL / "labels", help="Inputs in train/ and val/.")
@click.option("--speedup", type=float, default=4.0, help="Times faster than MODEL.")
@click.option("--minutes", type=float, default=8.0, help="Budget of each compression.")
@click.option("--steps", type=click.IntRange(1), help="Steps of each compression instead.")
@click.option("--seeds", type=click.IntRange(1), default=2, help="Compressions of each row.")
@click.option("--only", multiple=True, type=click.Choice([row.name for row in ROWS]))
@click.option("--config", type=FILE, help="Settings for all rows.")
@click.option("--jobs", type=click.IntRange(1), default=1, help="Compressions at once.")
@click.option("--judge-only", is_flag=True, help="Train nothing; judge what is finished.")
@click.option("--out", type=FOLDER, required=True, help="Runs; kept, so that they can go on.")
@click.option("--results", type=FOLDER, default=BENCHMARKS / "results", help="Folder of the table.")
def main(
    model: Path,
    data: Path,
    speedup: float,
    minutes: float,
    steps: int | None,
    seeds: int,
    only: tuple[str, ...],
    config: Path | None,
    jobs: int,
    judge_only: bool,
    out: Path,
    results: Path,
) -> None:
    """Switch each part of the method off or on alone, and publish what it changes."""
    try:
        require_features("judging pictures")  # now, not after hours of training
        ablation = Ablation(
            model=model.resolve(),
            data=data.resolve(),
            speedup=speedup,
            effort=Effort(minutes, steps),
            seeds=range(seeds),
            rows=[row for row in ROWS if not only or row.name in only],
            settings=read_toml(config, dict[str, Any], "file of settings") if config else {},
            out=out.resolve(),
        )
        if not judge_only:
            run_all([ablation.profile()], 1)
            run_all(ablation.jobs(), jobs)
        publish(ablation, results.resolve())
    except DecigError as error:
        raise click.ClickException(str(error)) from error


if __name__ == "__main__":
    main()
