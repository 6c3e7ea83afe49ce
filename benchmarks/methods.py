"""The three methods and a uniform net on facades, label map to photo, at the same latency.

python benchmarks/methods.py --out runs/methods       (5 hours and more, needs '.[train,bench]')

Compresses the teacher by decig, supernet and hypernet for every target and seed, then trains the
recipe's net at a uniform width that is as fast as decig's result, for as long as that took. The
pictures of label maps that nobody trained on are compared with the teacher's and with real photos.
Runs that are finished are not repeated, runs that were stopped go on. Nothing is timed while
anything trains; where the machine was not quiet, `--judge-only` times and judges once more.
"""

from collections.abc import Callable, Sequence
from pathlib import Path

import click
import numpy as np
from command_line import Given, contest_options
from competitors import GENEROSITY, UNIFORM
from contest import DECIG, OWN, Contest
from goals import Teacher
from jobs import BENCHMARKS, SHARED
from judge import Judge, Real, Row
from options import numbers, one_line_errors
from pictures import write_halves
from publishing import command, finished, heading, write_page
from readiness import raise_all, require_packages, require_ready

from decig.cli.values import EXISTING, EXISTING_FILE, EXISTING_FOLDER
from decig.quality.protocol import Protocol
from decig.source.flags import PixelFlags
from decig.source.recipe import load_recipe

METHODS = (*OWN, UNIFORM)
_RECIPE = BENCHMARKS.parent / "models" / "facades-resunet"

COLUMNS: dict[str, tuple[Callable[[Row], float | None], str, float]] = {
    "ms": (lambda row: row.latency.median_ms, ".2f", 1),
    "times faster": (lambda row: row.speedup, ".2f", 1),
    "KID to photos x1000": (lambda row: row.real.get("kid"), ".2f", 1000),
    "KID to teacher x1000": (lambda row: row.similarity.get("kid"), ".2f", 1000),
    "SSIM": (lambda row: row.similarity.get("ssim"), ".3f", 1),
    "PSNR dB": (lambda row: row.similarity.get("psnr_db"), ".2f", 1),
    "minutes": (lambda row: row.notes.get("minutes"), ".1f", 1),
    "steps": (lambda row: row.notes.get("steps"), ".0f", 1),
}
"""Figures of the table: where they stand in a row, how they are written, and times what."""


def summary(rows: Sequence[Row]) -> str:
    """A Markdown table of means over seeds, each with half the range behind it."""
    groups: dict[tuple[str, str], list[Row]] = {}
    for row in rows:
        groups.setdefault((row.target, row.method), []).append(row)
    head = f"| target | method | seeds | {' | '.join(COLUMNS)} |"
    lines = [head, "|" + " --- |" * (head.count("|") - 1)]
    for (target, method), found in groups.items():
        cells = [target or "-", method, str(len(found)) if target else "-"]
        for pick, form, factor in COLUMNS.values():
            cells.append(_cell([pick(row) for row in found], form, factor))
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines)


def _cell(values: Sequence[float | None], form: str, factor: float) -> str:
    known = [factor * value for value in values if value is not None]
    if not known:
        return "-"
    spread = "" if len(known) < 2 else f" ± {np.ptp(known) / 2:{form}}"
    return f"{np.mean(known):{form}}{spread}"


def comparisons(rows: Sequence[Row]) -> list[str]:
    """Say for each target whether decig is at least as good as each other method.

    A lead that is no more than the half ranges of both together is one that seeds explain.
    """
    lines = []
    for target in dict.fromkeys(row.target for row in rows if row.target):
        ours = [row for row in rows if (row.target, row.method) == (target, DECIG)]
        others = dict.fromkeys(row.method for row in rows if row.target == target)
        for other in others if ours else ():
            theirs = [row for row in rows if (row.target, row.method) == (target, other)]
            if other == DECIG:
                continue
            said = [
                _lead("KID to photos x1000", ours, theirs, lower=True),
                _lead("SSIM", ours, theirs, lower=False),
            ]
            ratio = np.mean([row.speedup for row in ours]) / np.mean([r.speedup for r in theirs])
            lines.append(
                f"- {target}, decig against {other}: {'; '.join(filter(None, said))}; decig takes "
                f"{1 / ratio:.2f} times as long."
            )
    return lines


def _lead(name: str, ours: Sequence[Row], theirs: Sequence[Row], *, lower: bool) -> str:
    pick, form, factor = COLUMNS[name]
    sides = [[value for row in side if (value := pick(row)) is not None] for side in (ours, theirs)]
    if [len(side) for side in sides] != [len(ours), len(theirs)]:
        return ""
    (own, own_range), (other, other_range) = (
        (factor * float(np.mean(side)), factor * float(np.ptp(side)) / 2) for side in sides
    )
    lead = other - own if lower else own - other
    word = "better" if lead > 0 else "WORSE"
    if abs(lead) <= own_range + other_range:
        word = "equal within the range of seeds"
    return f"{name} {own:{form}} against {other:{form}}: {word}"


def publish(contest: Contest, judge: Judge, results: Path, seconds: float) -> None:
    """Judge what is finished; write methods.md, methods.json and a sheet for each target."""
    by_target = finished(contest)
    rows = judge.rows([entry for found in by_target.values() for entry in found], seconds)
    count = len(judge.photos)
    page = [
        *heading(
            f"Methods on label maps to photos: {contest.teacher.model.stem}, {contest.effort} each",
            command("methods", contest.effort),
            f"{count} label maps that nobody trained on. Behind the mean over seeds stands half "
            f"the range. {UNIFORM} may take {GENEROSITY} times as long as decig's result, and "
            "trains as long as decig's whole compression took.",
        ),
        f"KID: {Protocol.of_pairs(count)}.",
        "",
        summary(rows),
        "",
        *comparisons(rows),
    ]
    write_page(results, "methods", page, {"rows": [row.to_dict() for row in rows]})
    for label, found in by_target.items():
        if shown := [entry for entry in found if entry.seed == contest.seeds[0]]:
            judge.write_sheet(shown, results / f"methods_{label}.jpg")


@click.command()
@click.argument("recipe", type=EXISTING, default=_RECIPE)
@click.option("--model", type=EXISTING_FILE, help="Its trained weights, ONNX, if not the recipe's.")
@click.option("--data", type=EXISTING_FOLDER, default=SHARED / "data" / "facades", help="Pairs.")
@click.option("--test", default="test", help="Folder of --data on which pictures are judged.")
@click.option("--seeds", callback=numbers, default="0,1")
@click.option("--only", type=click.Choice(METHODS), multiple=True, help="Just these methods.")
@contest_options("4,8", minutes=15.0, timing_seconds=120.0)
def main(
    recipe: Path,
    model: Path | None,
    data: Path,
    test: str,
    seeds: list[float],
    only: tuple[str, ...],
    given: Given,
) -> None:
    """Compare the methods on the teacher of RECIPE and publish the table, whatever it says."""
    if not (given.targets and seeds):
        raise click.UsageError("Give at least one of --targets, and of --seeds.")
    recipe = recipe.resolve()
    with one_line_errors():
        require_packages(only or METHODS)
        labels = load_recipe(recipe).pixels.labels
        split = {
            name: write_halves(data.resolve() / name, labels, given.out / "data" / name)
            for name in ("train", test)
        }
        contest = given.contest(
            Teacher((model or recipe).resolve(), PixelFlags(), split["train"][0]),
            only or METHODS,
            seeds=[int(seed) for seed in seeds],
            recipe=recipe,
        )
        require_ready(contest)
        failures = [] if given.judge_only else contest.train()
        source = contest.teacher.source()
        inputs, photos = split[test]
        judge = Judge(source.model.path, inputs, source.require_pixels(), Real(photos, paired=True))
        publish(contest, judge, given.results, given.timing_seconds)
        raise_all(failures)


if __name__ == "__main__":
    main()
