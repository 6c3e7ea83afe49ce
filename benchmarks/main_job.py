"""The main job: decig against what an engineer does without it, at the same measured latency.

python benchmarks/main_job.py --out runs/main_job     (80 minutes and more, needs '.[train,bench]')

Profiles the teacher, compresses it for every target by every method of decig, exports the results
and measures them. Then two peers get a width that is as fast as the result of the method decig and
train as long as its whole compression took, with the same loop, crops, loss and schedule. See
README.md for what that means. Runs that are finished are not repeated, runs that were stopped go
on, and nothing is timed while anything trains.
"""

import datetime
from pathlib import Path

import click
from command_line import Given, contest_options
from competitors import GENEROSITY, PEERS
from contest import OWN, Contest
from goals import Target, Teacher
from jobs import SHARED
from judge import Judge, table
from options import numbers, one_line_errors
from publishing import command, finished, heading, write_page
from readiness import raise_all, require_ready
from verdicts import verdicts

from decig import __version__
from decig.cli.values import EXISTING_FILE, EXISTING_FOLDER, value_range
from decig.data.images import ImageFolder
from decig.device.run.device import Device
from decig.quality.protocol import Protocol
from decig.source.flags import PixelFlags

METHODS = (*OWN, *PEERS)


def publish(job: Contest, photos: Path, results: Path, max_seconds: float) -> None:
    """Judge what is finished; write a page, its figures and a sheet for each target."""
    by_target = finished(job)
    source = job.teacher.source()
    judge = Judge(source.model.path, photos, source.require_pixels())
    rows = judge.rows([entry for found in by_target.values() for entry in found], max_seconds)
    name, count = file_name(job.teacher.model), len(judge.photos)
    device = Device.of().fingerprint()
    facts = {
        "decig": __version__,
        "date": datetime.date.today().isoformat(),
        "teacher": job.teacher.model.stem,
        "minutes": job.effort.minutes,
        "images": count,
        "kid": str(Protocol.of_pairs(count)),
        "device": {key: getattr(device, key) for key in ("cpu", "cores", "onnxruntime", "threads")},
        "settings": "" if job.config is None else job.config.read_text(encoding="utf-8"),
    }
    targets = ",".join(target.label for target in job.targets)
    page = [
        *heading(
            f"The main job: {facts['teacher']}, {targets}, {job.effort} each",
            command("main_job", job.effort, out=name),
            f"{count} photos that nobody trained on. A peer may take {GENEROSITY} times as long as "
            "decig's result.",
        ),
        f"KID is to the teacher's pictures: {facts['kid']}.",
        "",
        table(rows),
        "",
        *verdicts(rows, peers=PEERS, generosity=GENEROSITY),
    ]
    write_page(results, name, page, facts | {"rows": [row.to_dict() for row in rows]})
    for label, found in by_target.items():
        if found:
            judge.write_sheet(found, results / f"{name}_{label}.jpg")


def file_name(model: Path) -> str:
    """How the files of results begin: "main_job", and behind it any other teacher than udnie."""
    return "main_job" if model.stem == "udnie" else f"main_job_{model.stem}"


@click.command()
@click.option("--model", type=EXISTING_FILE, default=SHARED / "suite" / "udnie.onnx")
@click.option("--data", type=EXISTING_FOLDER, default=SHARED / "data" / "photos", help="train, val")
@click.option("--input-range", type=value_range, default="0,255")
@click.option("--output-range", type=value_range, default="0,255")
@click.option("--channel-order", default="rgb")
@click.option("--target-ms", callback=numbers, help="Milliseconds instead of --targets.")
@click.option("--only", type=click.Choice(METHODS), multiple=True, help="Just these methods.")
@contest_options("2,4,8,16", minutes=12.0, timing_seconds=120.0)
def main(
    model: Path,
    data: Path,
    input_range: tuple[float, float],
    output_range: tuple[float, float],
    channel_order: str,
    target_ms: list[float],
    only: tuple[str, ...],
    given: Given,
) -> None:
    """Compare decig with the peers and publish the table, whatever it says."""
    flags = PixelFlags(input_range, output_range, channel_order=channel_order)
    teacher = Teacher(model.resolve(), flags, (data / "train").resolve())
    instead = {"targets": [Target(ms, "ms") for ms in target_ms]} if target_ms else {}
    job = given.contest(teacher, only or METHODS, **instead)
    with one_line_errors():
        require_ready(job)
        next(iter(ImageFolder(data / "val")))
        failures = [] if given.judge_only else job.train()
        publish(job, data / "val", given.results, given.timing_seconds)
        raise_all(failures)


if __name__ == "__main__":
    main()
