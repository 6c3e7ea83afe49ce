"""Styles and cartoons without source: bare ONNX files and photos, nothing else.

python benchmarks/style.py --out runs/style            (1 hour and more, needs '.[train,quality]')

Compresses every model for every target and draws sheets to look at. Without --model these are two
style transfer nets of other people. Any generator can be given: an ONNX file with the options that
say its pixels, or a recipe.toml that names one, such as of a cartoon net that takes and gives NHWC.
Runs that are finished are not repeated, runs that were stopped go on, and nothing is timed while
anything trains.
"""

from collections.abc import Sequence
from pathlib import Path

import click
from command_line import Given, contest_options, pixel_options, teacher_of
from contest import DECIG, OWN, Contest
from jobs import SHARED
from judge import Judge, Row, table
from options import one_line_errors
from publishing import command, heading, write_page
from readiness import raise_all, require_ready

from decig.cli.values import EXISTING, EXISTING_FOLDER
from decig.data.images import ImageFolder
from decig.errors import DecigError
from decig.quality.protocol import Protocol
from decig.source.flags import PixelFlags

MODELS = tuple(SHARED / "suite" / f"{name}.onnx" for name in ("wave", "fns_candy_nc16"))


def publish(contests: Sequence[Contest], photos: Path, results: Path, seconds: float) -> None:
    """Judge what is finished; write style.md, style.json, and a sheet per model and target."""
    results.mkdir(parents=True, exist_ok=True)
    parts: list[str] = []
    figures: dict[str, list[dict[str, object]]] = {}
    for contest in contests:
        name, rows = contest.teacher.name, _judged(contest, photos, results, seconds)
        figures[name] = [row.to_dict() for row in rows]
        parts += [f"## {name}", "", table(rows) if rows else "No finished run.", ""]
    if not any(figures.values()):
        raise DecigError("no finished run to judge")
    effort = contests[0].effort
    page = heading(
        f"Styles from bare ONNX files, {effort} each",
        command("style", effort),
        f"KID is to the teacher's pictures: {Protocol.of_pairs(len(ImageFolder(photos)))}.",
    )
    write_page(results, "style", [*page, *parts], figures)


def _judged(contest: Contest, photos: Path, results: Path, seconds: float) -> list[Row]:
    entries = [entry for target in contest.targets for entry in contest.entries(target)]
    if not entries:
        return []
    source = contest.teacher.source()
    judge = Judge(source.model.path, photos, source.require_pixels())
    rows = judge.rows(entries, seconds)
    judge.write_sheet(entries, results / f"style_{contest.teacher.name}.jpg")
    return rows


@click.command()
@click.option(
    "--model", "models", type=EXISTING, multiple=True, default=MODELS, help="ONNX, or a recipe."
)
@click.option("--data", type=EXISTING_FOLDER, default=SHARED / "data" / "photos", help="train, val")
@pixel_options
@click.option("--method", "methods", type=click.Choice(OWN), multiple=True, default=(DECIG,))
@contest_options("4,8", minutes=15.0, timing_seconds=60.0)
def main(
    models: tuple[Path, ...],
    data: Path,
    methods: tuple[str, ...],
    said: PixelFlags,
    given: Given,
) -> None:
    """Compress models of which there is nothing but the file, and show their pictures."""
    given.require_one_table(models)

    def contest(model: Path) -> Contest:
        teacher = teacher_of(model, said, data / "train")
        return given.contest(teacher, methods, out=given.out / teacher.name)

    with one_line_errors():
        contests = [contest(model) for model in models]
        next(iter(ImageFolder(data / "val")))
        for each in contests:
            require_ready(each)
        failures = []
        for each in contests if not given.judge_only else ():
            failures += each.train()
        publish(contests, data / "val", given.results, given.timing_seconds)
        raise_all(failures)


if __name__ == "__main__":
    main()
