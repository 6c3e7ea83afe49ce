"""Rows of peers.py that `Contest` does not make: cut files, and files in eight bits.

Everything is made once the contest has its own results, in an order in which nothing is timed while
anything trains. Runs that are finished are not repeated, and what could not be made says why.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from sys import executable as PYTHON
from typing import Any

import numpy as np
from competitors import CUT, CUT_TUNED, NNCF, ORT_INT8, too_slow
from contest import DECIG, Contest
from goals import Target
from jobs import BENCHMARKS, Command, Job, attempt, digest
from judge import Entry

from decig.data.crops import fit
from decig.data.images import ImageFolder
from decig.errors import DecigError
from decig.files import write_json
from decig.graph.model import input_info
from decig.schema import read_json

DECIG_INT8 = "decig-int8"
"""What `decig export --precision int8` makes of the results of the method decig."""
RIVALS = (CUT, CUT_TUNED, ORT_INT8, NNCF, DECIG_INT8)
UNTARGETED = (ORT_INT8, NNCF)
"""What is made of the teacher, whatever latency is asked for."""
CALIBRATION = 128
"""Number of training images that the quantisers of the teacher get, spread over the folder."""


@dataclass(frozen=True)
class Rivals:
    """What is compared beside the contest's own rows.

    Attributes:
        contest: says for what teacher and which targets; makes decig's results.
        methods: those of `RIVALS` that are wanted and possible.
        openvino: interpreter of the environment that has OpenVINO and NNCF; None without.
    """

    contest: Contest
    methods: Sequence[str]
    openvino: Path | None = None

    def make(self) -> list[str]:
        """Make what is not there yet.

        Returns:
            What went wrong with single runs, one line each; the others went on without them.
        """
        failures: list[str] = []
        at_once = self.contest.at_once
        quantised = [self.job(method) for method in self.methods if method in UNTARGETED]
        if any(not job.done for job in quantised):
            _write_inputs(self.contest, self._inputs)
            failures += attempt("quantise the teacher", quantised, at_once)
            self._inputs.unlink(missing_ok=True)
        # Both measure, so they need the machine for themselves.
        failures += attempt("export in eight bits", self._jobs(DECIG_INT8), 1)
        if CUT in self.methods or CUT_TUNED in self.methods:
            try:
                self._match()
            except DecigError as error:
                failures.append(f"match: {error}")
            cuts = [self._cut(each) for each in self.contest.targets if self._possible(CUT, each)]
            failures += attempt("cut", cuts, at_once)
        failures += attempt("train what was cut", self._jobs(CUT_TUNED), at_once)
        return failures

    def runs(self) -> Iterator[tuple[str, Target | None]]:
        """Method and target of every row; those of the whole teacher have no target."""
        for method in self.methods:
            if method in UNTARGETED:
                yield method, None
        for target in self.contest.targets:
            for method in self.methods:
                if method not in UNTARGETED:
                    yield method, target

    def entries(self) -> list[Entry]:
        """Finished results."""
        found = []
        for method, target in self.runs():
            if target is not None and not self._possible(method, target):
                continue
            job = self.job(method, target)
            file = self.file(method, target)
            if job.done and file.exists():
                found.append(Entry("" if target is None else target.label, method, file, {}))
        return [replace(entry, notes=self._notes(entry)) for entry in found]

    def folder(self, method: str, target: Target | None) -> Path:
        """Of a run."""
        folder = self.contest.out / method
        return folder if target is None else folder / target.label

    def file(self, method: str, target: Target | None) -> Path:
        """What a run makes."""
        kind = "xml" if method == NNCF else "onnx"
        return self.folder(method, target) / f"student.{kind}"

    def job(self, method: str, target: Target | None = None) -> Job:
        """The run that makes a row; that of a target needs decig's result for it."""
        if target is None:
            return self._quantise() if method == ORT_INT8 else self._quantise_by_nncf()
        make = {DECIG_INT8: self._export, CUT: self._cut, CUT_TUNED: self._tune}
        return make[method](target)

    def too_slow(self, method: str, target: Target) -> str | None:
        """Why a row for a target is slower than asked for; None where it is not, or not known."""
        match = self._matches().get(target.label)
        if match is None or method not in (CUT, CUT_TUNED):
            return None
        return too_slow(CUT, match["ratio"])

    def _jobs(self, method: str) -> list[Job]:
        """The runs of a method for which there is what they start from."""
        if method not in self.methods:
            return []
        targets = [each for each in self.contest.targets if self._possible(method, each)]
        return [self.job(method, target) for target in targets]

    def _possible(self, method: str, target: Target) -> bool:
        """Whether there is what the run of a method starts from."""
        if not self.contest.led(target, None):
            return False
        if method == CUT_TUNED:
            return self.file(CUT, target).exists()
        return method == DECIG_INT8 or target.label in self._matches()

    @property
    def _inputs(self) -> Path:
        return self.contest.out / "calibration.npy"

    def _quantise(self) -> Job:
        folder = self.folder(ORT_INT8, None)
        command: Command = [PYTHON, "-m", "competitors.quantising", self._teacher, self._inputs]
        command += ["--output-dir", folder]
        return Job(ORT_INT8, folder, command, self._calibrated)

    def _quantise_by_nncf(self) -> Job:
        folder = self.folder(NNCF, None)
        script = BENCHMARKS / "openvino_side" / "quantise.py"
        command: Command = [self.openvino or PYTHON, script, self._teacher, self._inputs]
        return Job(NNCF, folder, [*command, self.file(NNCF, None)], self._calibrated)

    @cached_property
    def _teacher(self) -> Path:
        return self.contest.teacher.source().model.path

    @property
    def _calibrated(self) -> dict[str, Any]:
        images = str(self.contest.teacher.images)
        return {"model": self.contest.model_digest, "images": images, "count": CALIBRATION}

    def _export(self, target: Target) -> Job:
        """As decig's own export, and in eight bits."""
        plain = self.contest.export(DECIG, target, None)
        file = self.file(DECIG_INT8, target)
        command: Command = [*plain.command[:-1], file, "--precision", "int8"]
        command += ["--calibration", self.contest.teacher.images]
        return Job(f"{DECIG_INT8} {target.label}", file.parent, command, plain.asked)

    def _cut(self, target: Target) -> Job:
        share, folder = self._matches()[target.label]["sparsity"], self.folder(CUT, target)
        command: Command = [PYTHON, "-m", "competitors.cutting", self._teacher]
        command += ["--sparsity", str(share), "--output-dir", folder]
        asked = {"model": self.contest.model_digest, "sparsity": share}
        return Job(f"{CUT} {target.label}", folder, command, asked)

    def _tune(self, target: Target) -> Job:
        contest, folder = self.contest, self.folder(CUT_TUNED, target)
        command: Command = [PYTHON, "-m", "competitors.training", CUT_TUNED]
        command += ["--model", contest.teacher.model, "--data", contest.teacher.images]
        command += [*contest.teacher.options(), "--graph", self.file(CUT, target)]
        long = contest.as_long(target)
        command += [*long, *contest.config_options(None), "--output-dir", folder]
        asked = contest.asked(None, long=long, **self._matches()[target.label])
        name = f"{CUT_TUNED} {target.label}"
        return Job(name, folder, command, asked, command, folder / "state.pt")

    @property
    def _match_file(self) -> Path:
        return self.contest.out / "cut.json"

    def _matches(self) -> dict[str, dict[str, Any]]:
        """Share of the channels that is cut, by target; see `competitors.cutting.match_all`."""
        file = self._match_file
        return read_json(file, dict[str, Any], "record of cuts") if file.exists() else {}

    def _match(self) -> None:
        """Choose the shares; measured once for each result of decig's."""
        from competitors.cutting import match_all

        led = [target for target in self.contest.targets if self.contest.led(target, None)]
        results = {t.label: self.contest.exported(DECIG, t, None) for t in led}
        known = self._matches()
        of = {label: digest(file) for label, file in results.items()}
        new = {label: results[label] for label in of if known.get(label, {}).get("of") != of[label]}
        if not new:
            return
        print("== match: measuring what onnxsim cuts at every share", flush=True)
        for label, (sparsity, ratio) in match_all(self._teacher, new).items():
            known[label] = {"sparsity": sparsity, "ratio": ratio, "of": of[label]}
            print(f"{label}: {sparsity:g} of the channels, {ratio:.3f} of decig's latency")
        write_json(self._match_file, known)

    def _notes(self, entry: Entry) -> dict[str, Any]:
        """Minutes and steps of training, and what else the run wrote down."""
        file = entry.file.parent / "report.json"
        if not file.exists():
            return {}
        report = read_json(file, dict[str, Any], "report of a run")
        notes = {"minutes": report["training_seconds"] / 60, "steps": report["steps"]}
        return notes | {key: report[key] for key in ("sparsity",) if key in report}


def _write_inputs(contest: Contest, file: Path) -> None:
    """Write what the quantisers are calibrated on: training images as the teacher takes them."""
    source = contest.teacher.source()
    pixels, shape = source.require_pixels(), input_info(source.model.proto)[0].shape
    pictures = [picture for _, picture in ImageFolder(contest.teacher.images, pixels.labels)]
    places = np.linspace(0, len(pictures) - 1, min(CALIBRATION, len(pictures))).round().astype(int)
    size = pixels.size_of(shape)
    fitted = [fit(pictures[place], *size, resample=pixels.resample) for place in places]
    file.parent.mkdir(parents=True, exist_ok=True)
    np.save(file, pixels.to_tensor(np.stack(fitted), pixels.channels_of(shape)))
