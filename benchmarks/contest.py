"""One footing for methods and peers: the same teacher, latencies, time, crops and settings.

The teacher is profiled once. Every method compresses it for every target, with every seed, and the
results are exported. Then peers get a width that is as fast as decig's result and train as long as
decig's whole compression took. Runs that are finished are not repeated, runs that were stopped go
on, and nothing is timed while anything trains.
"""

import sys
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from competitors import too_slow
from goals import Effort, Target, Teacher
from jobs import DECIG as PROGRAM
from jobs import Command, Job, attempt, digest, finish
from judge import Entry
from settings import written

from decig.device.cost.table import CostTable
from decig.device.run.device import Device
from decig.files import write_json
from decig.graph.model import input_info
from decig.schema import read_json

OWN = ("decig", "supernet", "hypernet")
"""Methods of `decig compress`."""
DECIG = OWN[0]


@dataclass(frozen=True)
class Contest:
    """What is compared.

    Attributes:
        teacher: what is compressed.
        targets: the latencies.
        methods: those of decig, and peers.
        effort: of each compression.
        at_once: trainings beside each other.
        out: folder of all runs.
        config: settings of compress, for all methods.
        seeds: of training; None is the one of the settings.
        recipe: its PyTorch class makes the peers; `competitors.family.STYLE` does if None.
        table: cost table; the teacher is profiled if None.
        options: further options of decig compress.
    """

    teacher: Teacher
    targets: Sequence[Target]
    methods: Sequence[str]
    effort: Effort
    at_once: int
    out: Path
    config: Path | None = None
    seeds: Sequence[int | None] = (None,)
    recipe: Path | None = None
    table: Path | None = None
    options: Sequence[str | Path] = ()

    def train(self) -> list[str]:
        """Profile, compress, export, match widths, train the peers; what is done stays.

        Returns:
            What went wrong with single runs, one line each; the others went on without them.

        Raises:
            DecigError: the teacher could not be profiled, or no peer matched.
        """
        self.profile()
        own = list(self.runs(self.own))
        compressions = [self.compression(*run) for run in own]
        failures = attempt("compress", compressions, self.at_once)
        done = [run for run in own if self.compression(*run).done]
        failures += attempt("export", [self.export(*run) for run in done], 1)
        if self.peers:
            matches = self._match()
            runs = self.runs(self.peers)
            led = [run for run in runs if self.led(*run[1:])]
            jobs = [self._peer(*run, matches[run[1].label]) for run in led]
            failures += attempt("peers", jobs, self.at_once)
        return failures

    def led(self, target: Target, seed: int | None) -> bool:
        """Whether decig has the results whose latency and time a peer gets."""
        ours = self.folder(DECIG, target, seed) / "done.json"
        return ours.exists() and self.exported(DECIG, target, self.seeds[0]).exists()

    @property
    def own(self) -> list[str]:
        """The methods that are decig's."""
        return [method for method in self.methods if method in OWN]

    @property
    def peers(self) -> list[str]:
        """The others."""
        return [method for method in self.methods if method not in OWN]

    def profile(self) -> None:
        """Take the cost table, unless one is given."""
        if self.table is None:
            folder = self.out / "profile"
            command: Command = [*PROGRAM, "profile", self.teacher.model, "-o", self.profile_file]
            finish("profile", [Job("profile", folder, command, {"model": self.model_digest})], 1)

    def entries(self, target: Target) -> list[Entry]:
        """Finished results for a target, decig's first."""
        found = []
        for method, _, seed in self.runs(self.methods, [target]):
            folder = self.folder(method, target, seed)
            own = method in OWN
            file = self.exported(method, target, seed) if own else folder / "student.onnx"
            if not (file.exists() and (folder / "done.json").exists()):
                continue
            process = read_json(folder / "done.json", dict[str, Any], "finished run")
            where = folder / "run" if own else folder
            report = read_json(where / "report.json", dict[str, Any], "report of a run")
            trained = process["wall_s"] if own else report["training_seconds"]
            notes = {
                "minutes": trained / 60,
                "cpu_minutes": process["cpu_s"] / 60,
                "steps": report["steps"],
                "widths": report.get("widths", report.get("trunk")),
            }
            found.append(Entry(target.label, method, file, notes, seed))
        return found

    def folder(self, method: str, target: Target, seed: int | None) -> Path:
        """Of a run."""
        return self.out / self._place(method, target, seed)

    def exported(self, method: str, target: Target, seed: int | None) -> Path:
        """File that is exported from a run of decig's."""
        return self.out / "export" / self._place(method, target, seed) / "student.onnx"

    def compression(self, method: str, target: Target, seed: int | None) -> Job:
        """The run of decig compress."""
        folder = self.folder(method, target, seed)
        run = folder / "run"
        command: Command = [*PROGRAM, "compress", self.teacher.model, *self.teacher.options()]
        command += [*target.options(), "--profile", self.profile_file, *self._force]
        command += ["--data", self.teacher.images, "--output-dir", run, "--method", method]
        command += [*self.effort.options(), *self.config_options(seed), *self.options]
        asked = self.asked(seed, effort=self.effort.options(), options=list(map(str, self.options)))
        resume: Command = [*PROGRAM, "compress", "--resume", "--output-dir", run]
        name = f"{method} {target.label}{_of(seed)}"
        return Job(name, folder, command, asked, resume, run / "run.json")

    @property
    def profile_file(self) -> Path:
        """The cost table."""
        return self.table or self.out / "profile" / "table.json"

    def runs(
        self, methods: Sequence[str], targets: Sequence[Target] | None = None
    ) -> Iterator[tuple[str, Target, int | None]]:
        """Method, target and seed of every run, target by target."""
        for target in targets or self.targets:
            for method in methods:
                for seed in self.seeds:
                    yield method, target, seed

    def _place(self, method: str, target: Target, seed: int | None) -> Path:
        place = Path(method, target.label)
        return place if seed is None else place / f"seed-{seed}"

    @cached_property
    def _force(self) -> list[str]:
        """Accept a cost table of another device, which only one that was given can be of."""
        if self.table is None:
            return []
        reason = Device.elsewhere(CostTable.load(self.table).device)
        if reason is None:
            return []
        print(f"warning: {self.table} is of another device ({reason}): plans are predictions")
        return ["--force"]

    def export(self, method: str, target: Target, seed: int | None) -> Job:
        """The run of decig export: it measures rewrites, so it needs the machine for itself."""
        run = self.folder(method, target, seed) / "run"
        file = self.exported(method, target, seed)
        return Job(
            f"export {method} {target.label}{_of(seed)}",
            file.parent,
            [*PROGRAM, "export", run, "-o", file],
            {"student": digest(run / "student.onnx")},
        )

    def too_slow(self, method: str, target: Target) -> str | None:
        """Why a row for a target is slower than asked for; None where it is not, or not known."""
        match = self._matches().get(target.label)
        return too_slow(method, match["ratio"]) if match and method in self.peers else None

    @property
    def _match_file(self) -> Path:
        return self.out / "match.json"

    def _matches(self) -> dict[str, dict[str, Any]]:
        """Widths of the peers by target; see `competitors.matching.Match`."""
        file = self._match_file
        return read_json(file, dict[str, Any], "record of matched widths") if file.exists() else {}

    def _match(self) -> dict[str, int]:
        """Choose the peers' widths for every target; measured once for each result of decig's.

        The result with the first seed counts.
        """
        from competitors.family import family_of
        from competitors.matching import PeerLatency

        known = self._matches()
        exported = {t.label: self.exported(DECIG, t, self.seeds[0]) for t in self.targets}
        results = {label: file for label, file in exported.items() if file.exists()}
        digests = {label: digest(result) for label, result in results.items()}
        new = [label for label in results if known.get(label, {}).get("of") != digests[label]]
        if new:
            print("== match: measuring the peers at every width", flush=True)
            shape = input_info(self.teacher.source().model.proto)[0].shape
            peers = PeerLatency(shape, family_of(self.recipe))
            peers.screen()
            for label in new:
                match = peers.match(results[label])
                known[label] = asdict(match) | {"of": digests[label]}
                print(f"{label}: trunk {match.trunk}, {match.ratio:.3f} of decig's latency")
            write_json(self._match_file, known)
        return {label: known[label]["trunk"] for label in results}

    def _peer(self, method: str, target: Target, seed: int | None, trunk: int) -> Job:
        folder = self.folder(method, target, seed)
        long = self.as_long(target, seed)
        command: Command = [sys.executable, "-m", "competitors.training", method]
        command += ["--model", self.teacher.model, "--data", self.teacher.images]
        command += [*self.teacher.options(), "--trunk", str(trunk)]
        command += [*long, *self.config_options(seed), "--output-dir", folder]
        if self.recipe is not None:
            command += ["--recipe", self.recipe]
        asked = self.asked(seed, trunk=trunk, long=long)
        name = f"{method} {target.label}{_of(seed)}"
        return Job(name, folder, command, asked, command, folder / "state.pt")

    def as_long(self, target: Target, seed: int | None = None) -> list[str]:
        """Options that let a peer train as long as decig's whole compression took.

        Where steps are counted, as many steps.
        """
        if self.effort.steps is not None:
            return ["--steps", str(self.effort.steps)]
        file = self.folder(DECIG, target, seed) / "done.json"
        return ["--seconds", str(read_json(file, dict[str, Any], "finished run")["wall_s"])]

    def config_options(self, seed: int | None) -> list[str | Path]:
        """Options that give the settings to decig compress, or to the training of a peer."""
        if seed is None:
            return [] if self.config is None else ["--config", self.config]
        file = self.out / "settings" / f"seed-{seed}.toml"
        return ["--config", written(file, self.config, {"train": {"seed": seed}})]

    def asked(self, seed: int | None, **figures: Any) -> dict[str, Any]:
        """What defines a run of the contest, beside these figures."""
        settings = "" if self.config is None else self.config.read_text(encoding="utf-8")
        return {"model": self.model_digest, "settings": settings, "seed": seed, **figures}

    @cached_property
    def model_digest(self) -> str:
        """SHA-256 of the teacher's ONNX file."""
        return digest(self.teacher.source().model.path)


def _of(seed: int | None) -> str:
    return "" if seed is None else f" seed {seed}"
