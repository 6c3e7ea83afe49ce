"""The main job: decig against what an engineer does without it, at the same measured latency.

python benchmarks/main_job.py --out runs/main_job     (80 minutes and more, needs '.[train,bench]')

Profiles the teacher, compresses it for every target, exports the results and measures them. Then
two peers get a width that is as fast as decig's result and train as long as decig's whole
compression took, with the same loop, crops, loss and schedule. See README.md for what that means.
Runs that are finished are not repeated; nothing is timed while anything trains.
"""

import datetime
import hashlib
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import click
from jobs import BENCHMARKS, Job, run_all
from judge import Entry, Judge, Row, table
from peers.matching import GENEROSITY, PeerLatency
from peers.students import PEERS
from verdicts import DECIG, verdicts

from decig import __version__
from decig.cli.values import FILE, FOLDER, value_range
from decig.data.pixels import PixelFormat
from decig.device.run.device import Device
from decig.errors import DecigError
from decig.files import write_bytes, write_json
from decig.graph.model import input_info, load_model
from decig.quality.features import require_features
from decig.quality.protocol import Protocol
from decig.schema import read_json

METHODS = (DECIG, *PEERS)
_SHARED = BENCHMARKS.parents[1] / "shared"
_PROGRAM = Path(sys.executable).with_name("decig")


@dataclass(frozen=True)
class Target:
    """A latency to reach: a multiple of the teacher's speed, or milliseconds."""

    value: float
    unit: str

    @property
    def label(self) -> str:
        """Short name, also of its folder."""
        return f"{self.value:g}{self.unit}"

    def options(self) -> list[str]:
        """Options of decig compress."""
        if self.unit == "ms":
            return ["--target-latency", self.label]
        return ["--target-speedup", f"{self.value:g}"]


@dataclass(frozen=True)
class MainJob:
    """What the command line asked for."""

    model: Path
    data: Path
    pixels: PixelFormat
    targets: Sequence[Target]
    methods: Sequence[str]
    minutes: float
    at_once: int
    config: Path | None
    out: Path

    def train(self) -> None:
        """Profile, compress, export, match widths, train the peers; what is done stays."""
        self._finish("profile", [self._profile()], 1)
        if DECIG in self.methods:
            self._finish("compress", [self._compress(target) for target in self.targets])
            self._finish("export", [self._export(target) for target in self.targets], 1)
        peers = [method for method in PEERS if method in self.methods]
        if peers:
            matches = self._match()
            jobs = [self._peer(p, t, matches[t.label]) for t in self.targets for p in peers]
            self._finish("peers", jobs)

    def entries(self, target: Target) -> list[Entry]:
        """Finished results for a target, decig's first."""
        found = []
        for method in self.methods:
            folder = self.out / method / target.label
            file = self._exported(target) if method == DECIG else folder / "student.onnx"
            if not (file.exists() and (folder / "done.json").exists()):
                continue
            process = read_json(folder / "done.json", dict[str, Any], "finished run")
            where = folder / "run" if method == DECIG else folder
            report = read_json(where / "report.json", dict[str, Any], "report of a run")
            trained = process["wall_s"] if method == DECIG else report["training_seconds"]
            notes = {
                "minutes": trained / 60,
                "cpu_minutes": process["cpu_s"] / 60,
                "steps": report["steps"],
                "widths": report.get("widths", report.get("trunk")),
            }
            found.append(Entry(target.label, method, file, notes))
        return found

    def _finish(self, what: str, jobs: Sequence[Job], at_once: int | None = None) -> None:
        print(f"== {what}: {sum(job.done for job in jobs)} of {len(jobs)} done before", flush=True)
        run_all(jobs, at_once or self.at_once)

    def _profile(self) -> Job:
        folder = self.out / "profile"
        command = [_PROGRAM, "profile", self.model, "-o", folder / "table.json"]
        return Job("profile", folder, command, {"model": _digest(self.model)})

    def _compress(self, target: Target) -> Job:
        folder = self.out / DECIG / target.label
        command = [_PROGRAM, "compress", self.model, *self._pixel_options(), *target.options()]
        command += ["--profile", self.out / "profile" / "table.json"]
        command += ["--data", self.data / "train", "--output-dir", folder / "run"]
        command += ["--budget", f"{self.minutes:g}m", *self._config_options()]
        return Job(f"{DECIG} {target.label}", folder, command, self._asked(minutes=self.minutes))

    def _export(self, target: Target) -> Job:
        """Export measures which rewrites are faster, so it needs the machine for itself."""
        folder = self.out / DECIG / target.label
        file = self._exported(target)
        asked = {"student": _digest(folder / "run" / "student.onnx")}
        return Job(
            f"export {target.label}",
            file.parent,
            [_PROGRAM, "export", folder / "run", "-o", file],
            asked,
        )

    def _exported(self, target: Target) -> Path:
        return self.out / "export" / target.label / "student.onnx"

    def _match(self) -> dict[str, int]:
        """Choose the peers' trunk for every target; measured once for each result of decig's."""
        file = self.out / "match.json"
        known = read_json(file, dict[str, Any], "record of matched widths") if file.exists() else {}
        digests = {t.label: _digest(self._exported(t)) for t in self.targets}
        new = [t for t in self.targets if known.get(t.label, {}).get("of") != digests[t.label]]
        if new:
            print("== match: measuring the peers at every width", flush=True)
            peers = PeerLatency(input_info(load_model(self.model).proto)[0].shape)
            peers.screen()
            for target in new:
                match = peers.match(self._exported(target))
                known[target.label] = asdict(match) | {"of": digests[target.label]}
                print(f"{target.label}: trunk {match.trunk}, {match.ratio:.3f} of decig's latency")
            write_json(file, known)
        return {target.label: known[target.label]["trunk"] for target in self.targets}

    def _peer(self, method: str, target: Target, trunk: int) -> Job:
        folder = self.out / method / target.label
        compressed = read_json(
            self.out / DECIG / target.label / "done.json", dict[str, Any], "finished run"
        )
        seconds = compressed["wall_s"]
        command = [sys.executable, "-m", "peers.training", method, "--model", self.model]
        command += ["--data", self.data / "train", *self._pixel_options(), "--trunk", str(trunk)]
        command += ["--seconds", str(seconds), *self._config_options(), "--output-dir", folder]
        asked = self._asked(trunk=trunk, seconds=seconds)
        return Job(f"{method} {target.label}", folder, command, asked)

    def _pixel_options(self) -> list[str]:
        def joined(bounds: tuple[float, float]) -> str:
            return ",".join(f"{bound:g}" for bound in bounds)

        # "=" because a range may begin with a minus sign.
        return [
            f"--input-range={joined(self.pixels.input_range)}",
            f"--output-range={joined(self.pixels.output_range)}",
            f"--channel-order={self.pixels.channel_order}",
        ]

    def _config_options(self) -> list[str | Path]:
        return [] if self.config is None else ["--config", self.config]

    def _asked(self, **figures: Any) -> dict[str, Any]:
        settings = "" if self.config is None else self.config.read_text(encoding="utf-8")
        return {"model": _digest(self.model), "settings": settings, **figures}


def publish(job: MainJob, results: Path, max_seconds: float) -> None:
    """Judge what is finished; write main_job.md, main_job.json and a sheet for each target."""
    judge = Judge(job.model, job.data / "val", job.pixels)
    by_target = {target.label: job.entries(target) for target in job.targets}
    entries = [entry for found in by_target.values() for entry in found]
    if not entries:
        raise DecigError(f"{job.out}: no finished run to judge")
    rows = judge.rows(entries, max_seconds)
    results.mkdir(parents=True, exist_ok=True)
    device = Device.of().fingerprint()
    facts = {
        "decig": __version__,
        "date": datetime.date.today().isoformat(),
        "teacher": job.model.stem,
        "minutes": job.minutes,
        "images": len(judge.photos),
        "kid": str(Protocol.of_pairs(len(judge.photos))),
        "device": {key: getattr(device, key) for key in ("cpu", "cores", "onnxruntime", "threads")},
        "settings": "" if job.config is None else job.config.read_text(encoding="utf-8"),
    }
    text = _page(job, facts, rows)
    write_json(results / "main_job.json", facts | {"rows": [row.to_dict() for row in rows]})
    write_bytes(results / "main_job.md", text.encode())
    for label, found in by_target.items():
        if found:
            judge.write_sheet(found, results / f"main_job_{label}.jpg")
    print(text)


def _page(job: MainJob, facts: dict[str, Any], rows: Sequence[Row]) -> str:
    device = facts["device"]
    targets = ",".join(target.label for target in job.targets)
    return "\n".join(
        [
            f"# The main job: {facts['teacher']}, {targets}, {job.minutes:g} minutes each",
            "",
            f"`python benchmarks/main_job.py --minutes {job.minutes:g} --out runs/main_job`, "
            f"decig {facts['decig']}, {facts['date']}.",
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


def _digest(file: Path) -> str:
    return hashlib.sha256(file.read_bytes()).hexdigest()


def _numbers(_: click.Context, __: click.Parameter, text: str | None) -> list[float]:
    return [float(part) for part in text.split(",")] if text else []


@click.command()
@click.option("--model", type=FILE, default=_SHARED / "suite" / "udnie.onnx")
@click.option("--data", type=FOLDER, default=_SHARED / "data" / "photos", help="train/ and val/.")
@click.option("--input-range", type=value_range, default="0,255")
@click.option("--output-range", type=value_range, default="0,255")
@click.option("--channel-order", default="rgb")
@click.option("--targets", callback=_numbers, default="2,4,8,16", help="Times faster.")
@click.option("--target-ms", callback=_numbers, help="Milliseconds instead.")
@click.option("--minutes", type=float, default=12.0, help="Budget of each compression.")
@click.option("--jobs", type=click.IntRange(1), default=2, help="Trainings at once.")
@click.option("--config", type=FILE, help="Settings of compress, for all methods.")
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
    jobs: int,
    config: Path | None,
    only: tuple[str, ...],
    judge_only: bool,
    timing_seconds: float,
    out: Path,
    results: Path,
) -> None:
    """Compare decig with the peers and publish the table, whatever it says."""
    wanted = [Target(ms, "ms") for ms in target_ms] or [Target(x, "x") for x in targets]
    job = MainJob(
        model=model.resolve(),
        data=data.resolve(),
        pixels=PixelFormat(input_range, output_range, channel_order=channel_order),
        targets=wanted,
        methods=only or METHODS,
        minutes=minutes,
        at_once=jobs,
        config=config and config.resolve(),
        out=out.resolve(),
    )
    try:
        require_features("judging pictures")  # now, not after hours of training
        if not judge_only:
            job.train()
        publish(job, results.resolve(), timing_seconds)
    except DecigError as error:
        raise click.ClickException(str(error)) from error


if __name__ == "__main__":
    main()
