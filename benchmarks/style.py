"""Styles and cartoons without source: bare ONNX files and photos, nothing else.

python benchmarks/style.py --out runs/style            (1 hour and more, needs '.[train,quality]')

Compresses every model for every target and draws sheets to look at. Without --model these are two
style transfer nets of other people. Any generator can be given: an ONNX file with the options that
say its pixels, or a recipe.toml that names one, such as of a cartoon net that takes and gives NHWC.
Runs that are finished are not repeated, runs that were stopped go on, and nothing is timed while
anything trains.
"""

import datetime
from collections.abc import Sequence
from pathlib import Path

import click
from contest import DECIG, OWN, Contest, Effort, Target, Teacher, raise_all, require_ready
from jobs import BENCHMARKS, SHARED
from judge import Judge, Row, table
from options import numbers, one_line_errors, pixel_flags

from decig import __version__
from decig.cli.values import EXISTING, EXISTING_FILE, EXISTING_FOLDER, FOLDER, value_range
from decig.data.images import ImageFolder
from decig.device.run.device import Device
from decig.errors import DecigError
from decig.files import write_bytes, write_json
from decig.quality.protocol import Protocol
from decig.source.source import PixelFlags

MODELS = tuple(SHARED / "suite" / f"{name}.onnx" for name in ("wave", "fns_candy_nc16"))


def name_of(model: Path) -> str:
    """Name of a model in tables and of its files: of its file, or of the folder of its recipe."""
    return model.resolve().parent.name if model.name == "recipe.toml" else model.stem


def publish(
    contests: Sequence[Contest], photos: Path, command: str, results: Path, seconds: float
) -> None:
    """Judge what is finished; write style.md, style.json, and a sheet per model and target."""
    results.mkdir(parents=True, exist_ok=True)
    parts: list[str] = []
    figures: dict[str, list[dict[str, object]]] = {}
    count = len(ImageFolder(photos))
    for contest in contests:
        name, rows = name_of(contest.teacher.model), _judged(contest, photos, results, seconds)
        figures[name] = [row.to_dict() for row in rows]
        parts += [f"## {name}", "", table(rows) if rows else "No finished run.", ""]
    if not any(figures.values()):
        raise DecigError("no finished run to judge")
    device = Device.of().fingerprint()
    page = [
        f"# Styles from bare ONNX files, {contests[0].effort} each",
        "",
        f"`{command}`, decig {__version__}, {datetime.date.today().isoformat()}.",
        "",
        f"{device.cpu}, {device.cores} cores, one thread per model, ONNX Runtime "
        f"{device.onnxruntime}. KID is to the teacher's pictures: {Protocol.of_pairs(count)}.",
        "",
        *parts,
    ]
    write_json(results / "style.json", figures)
    write_bytes(results / "style.md", "\n".join(page).encode())
    print("\n".join(page))


def _judged(contest: Contest, photos: Path, results: Path, seconds: float) -> list[Row]:
    by_target = {target.label: contest.entries(target) for target in contest.targets}
    entries = [entry for found in by_target.values() for entry in found]
    if not entries:
        return []
    source = contest.teacher.source()
    judge = Judge(source.model.path, photos, source.require_pixels())
    rows = judge.rows(entries, seconds)
    judge.write_sheet(entries, results / f"style_{name_of(contest.teacher.model)}.jpg")
    return rows


@click.command()
@click.option(
    "--model", "models", type=EXISTING, multiple=True, default=MODELS, help="ONNX, or a recipe."
)
@click.option("--data", type=EXISTING_FOLDER, default=SHARED / "data" / "photos", help="train, val")
@click.option("--input-range", type=value_range, help="Of ONNX files; 0,255 if unsaid.")
@click.option("--output-range", type=value_range, help="Of ONNX files; 0,255 if unsaid.")
@click.option("--layout", type=click.Choice(["nchw", "nhwc"]), help="Of ONNX files.")
@click.option("--channel-order", help="Of ONNX files; rgb if unsaid.")
@click.option("--targets", callback=numbers, default="4,8", help="Times faster.")
@click.option("--method", "methods", type=click.Choice(OWN), multiple=True, default=(DECIG,))
@click.option("--minutes", type=float, default=15.0, help="Budget of each compression.")
@click.option("--steps", type=click.IntRange(1), help="Steps of training instead of minutes.")
@click.option("--jobs", type=click.IntRange(1), default=2, help="Trainings at once.")
@click.option("--config", type=EXISTING_FILE, help="Settings of compress.")
@click.option("--profile", type=EXISTING_FILE, help="Cost table of the one model.")
@click.option("--judge-only", is_flag=True, help="Train nothing; judge what is finished.")
@click.option("--timing-seconds", type=float, default=60.0, help="For the final timing.")
@click.option("--out", type=FOLDER, required=True, help="Runs; kept, so that they can go on.")
@click.option("--results", type=FOLDER, default=BENCHMARKS / "results", help="Table and sheets.")
def main(
    models: tuple[Path, ...],
    data: Path,
    input_range: tuple[float, float] | None,
    output_range: tuple[float, float] | None,
    layout: str | None,
    channel_order: str | None,
    targets: list[float],
    methods: tuple[str, ...],
    minutes: float,
    steps: int | None,
    jobs: int,
    config: Path | None,
    profile: Path | None,
    judge_only: bool,
    timing_seconds: float,
    out: Path,
    results: Path,
) -> None:
    """Compress models of which there is nothing but the file, and show their pictures."""
    if profile is not None and len(models) > 1:
        raise click.UsageError("--profile is the cost table of one model: give one --model.")
    said = PixelFlags(input_range, output_range, layout, channel_order)

    def contest(model: Path) -> Contest:
        flags = pixel_flags(model, said) if model.suffix == ".onnx" else PixelFlags()
        return Contest(
            teacher=Teacher(model.resolve(), flags, (data / "train").resolve()),
            targets=[Target(times, "x") for times in targets],
            methods=methods,
            effort=Effort(minutes, steps),
            at_once=jobs,
            out=out.resolve() / name_of(model),
            config=config and config.resolve(),
            table=profile and profile.resolve(),
        )

    with one_line_errors():
        contests = [contest(model) for model in models]
        next(iter(ImageFolder(data / "val")))
        for each in contests:
            require_ready(each)
        failures = []
        for each in contests if not judge_only else ():
            failures += each.train()
        long = f"--minutes {minutes:g}" if steps is None else f"--steps {steps}"
        command = f"python benchmarks/style.py {long} --out runs/style"
        publish(contests, data / "val", command, results.resolve(), timing_seconds)
        raise_all(failures)


if __name__ == "__main__":
    main()
