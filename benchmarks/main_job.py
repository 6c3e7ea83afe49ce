"""The main job: decig against what an engineer does without it, at the same measured latency.

python benchmarks/main_job.py --out runs/main_job     (80 minutes and more, needs '.[train,bench]')

Profiles the teacher, compresses it for every target by every method of decig, exports the results
and measures them. Then two peers get a width that is as fast as the result of the method decig and
train as long as its whole compression took, with the same loop, crops, loss and schedule. See
README.md for what that means. Runs that are finished are not repeated, runs that were stopped go
on, and nothing is timed while anything trains.
"""

import datetime
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click
from competitors import GENEROSITY, PEERS
from contest import OWN, Contest, Effort, Target, Teacher, raise_all, require_ready
from jobs import BENCHMARKS, SHARED
from judge import Judge, Row, table
from options import numbers, one_line_errors
from verdicts import verdicts

from decig import __version__
from decig.cli.values import EXISTING_FILE, EXISTING_FOLDER, FOLDER, value_range
from decig.data.images import ImageFolder
from decig.device.run.device import Device
from decig.errors import DecigError
from decig.files import write_bytes, write_json
from decig.quality.protocol import Protocol
from decig.source.source import PixelFlags

METHODS = (*OWN, *PEERS)


def publish(job: Contest, photos: Path, results: Path, max_seconds: float) -> None:
    """Judge what is finished; write a page, its figures and a sheet for each target."""
    by_target = {target.label: job.entries(target) for target in job.targets}
    entries = [entry for found in by_target.values() for entry in found]
    if not entries:
        raise DecigError(f"{job.out}: no finished run to judge")
    source = job.teacher.source()
    judge = Judge(source.model.path, photos, source.require_pixels())
    rows = judge.rows(entries, max_seconds)
    results.mkdir(parents=True, exist_ok=True)
    device = Device.of().fingerprint()
    facts = {
        "decig": __version__,
        "date": datetime.date.today().isoformat(),
        "teacher": job.teacher.model.stem,
        "minutes": job.effort.minutes,
        "images": len(judge.photos),
        "kid": str(Protocol.of_pairs(len(judge.photos))),
        "device": {key: getattr(device, key) for key in ("cpu", "cores", "onnxruntime", "threads")},
        "settings": "" if job.config is None else job.config.read_text(encoding="utf-8"),
    }
    text = _page(job, facts, rows)
    name = file_name(job.teacher.model)
    write_json(results / f"{name}.json", facts | {"rows": [row.to_dict() for row in rows]})
    write_bytes(results / f"{name}.md", text.encode())
    for label, found in by_target.items():
        if found:
            judge.write_sheet(found, results / f"{name}_{label}.jpg")
    print(text)


def file_name(model: Path) -> str:
    """How the files of results begin: "main_job", and behind it any other teacher than udnie."""
    return "main_job" if model.stem == "udnie" else f"main_job_{model.stem}"


def _page(job: Contest, facts: dict[str, Any], rows: Sequence[Row]) -> str:
    device, name = facts["device"], file_name(job.teacher.model)
    targets = ",".join(target.label for target in job.targets)
    model = "" if name == "main_job" else f" --model {job.teacher.model.name}"
    return "\n".join(
        [
            f"# The main job: {facts['teacher']}, {targets}, {job.effort} each",
            "",
            f"`python benchmarks/main_job.py{model} --minutes {job.effort.minutes:g} "
            f"--out runs/{name}`, decig {facts['decig']}, {facts['date']}.",
            "",
            f"{device['cpu']}, {device['cores']} cores, one thread a model, ONNX Runtime "
            f"{device['onnxruntime']}. {facts['images']} photos that nobody trained on. A peer may "
            f"take {GENEROSITY} times as long as decig's result.",
            "",
            f"KID is to the teacher's pictures: {facts['kid']}.",
            "",
            table(rows),
            "",
            *verdicts(rows, peers=PEERS, generosity=GENEROSITY),
            "",
        ]
    )


@click.command()
@click.option("--model", type=EXISTING_FILE, default=SHARED / "suite" / "udnie.onnx")
@click.option("--data", type=EXISTING_FOLDER, default=SHARED / "data" / "photos", help="train, val")
@click.option("--input-range", type=value_range, default="0,255")
@click.option("--output-range", type=value_range, default="0,255")
@click.option("--channel-order", default="rgb")
@click.option("--targets", callback=numbers, default="2,4,8,16", help="Times faster.")
@click.option("--target-ms", callback=numbers, help="Milliseconds instead.")
@click.option("--minutes", type=float, default=12.0, help="Budget of each compression.")
@click.option("--steps", type=click.IntRange(1), help="Steps of training instead of minutes.")
@click.option("--jobs", type=click.IntRange(1), default=2, help="Trainings at once.")
@click.option("--config", type=EXISTING_FILE, help="Settings of compress, for all methods.")
@click.option("--profile", type=EXISTING_FILE, help="Cost table; the teacher is profiled without.")
@click.option("--only", type=click.Choice(METHODS), multiple=True, help="Just these methods.")
@click.option("--judge-only", is_flag=True, help="Train nothing; judge what is finished.")
@click.option("--timing-seconds", type=float, default=120.0, help="For the final timing.")
@click.option("--out", type=FOLDER, required=True, help="Runs; kept, so that they can go on.")
@click.option("--results", type=FOLDER, default=BENCHMARKS / "results", help="Table and sheets.")
def main(
    model: Path,
    data: Path,
    input_range: tuple[float, float],
    output_range: tuple[float, float],
    channel_order: str,
    targets: list[float],
    target_ms: list[float],
    minutes: float,
    steps: int | None,
    jobs: int,
    config: Path | None,
    profile: Path | None,
    only: tuple[str, ...],
    judge_only: bool,
    timing_seconds: float,
    out: Path,
    results: Path,
) -> None:
    """Compare decig with the peers and publish the table, whatever it says."""
    wanted = [Target(ms, "ms") for ms in target_ms] or [Target(x, "x") for x in targets]
    flags = PixelFlags(input_range, output_range, channel_order=channel_order)
    job = Contest(
        teacher=Teacher(model.resolve(), flags, (data / "train").resolve()),
        targets=wanted,
        methods=only or METHODS,
        effort=Effort(minutes, steps),
        at_once=jobs,
        out=out.resolve(),
        config=config and config.resolve(),
        table=profile and profile.resolve(),
    )
    with one_line_errors():
        require_ready(job)
        next(iter(ImageFolder(data / "val")))
        failures = [] if judge_only else job.train()
        publish(job, data / "val", results.resolve(), timing_seconds)
        raise_all(failures)


if __name__ == "__main__":
    main()
