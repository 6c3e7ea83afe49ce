"""The run folder of `decig compress`: what each step leaves there, so that the next can go on.

run.json        what was asked: model, pixels, feeds, device, target, settings
condensed.onnx  stage I's result, where stage I was asked for
plan.json       which channels of the original stay
start.onnx      the sliced and repaired graph that stage II starts from
distilled.onnx  the trained student with its norms, where they were to be folded
student.onnx    the result: sliced, trained, BatchNormalization not yet folded
report.json     the figures
state/          the resumable state of the stage that runs
"""

import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from decig.errors import BadInputError
from decig.files import read_json, write_json
from decig.graph.model import Model, load_model, save_model

SCHEMA_VERSION = 1


@dataclass(frozen=True)
class RunFolder:
    """Paths and records of one run."""

    path: Path

    @classmethod
    def open(cls, path: Path, request: dict[str, Any], *, resume: bool) -> "RunFolder":
        """Begin a run, or find the one that is to go on.

        Args:
            path: the folder, made if missing.
            request: what run.json records.
            resume: whether the folder must hold a run of this very request.

        Raises:
            BadInputError: a run is there and `resume` is false, or none is there, or it was
                asked for something else.
        """
        run = cls(path)
        request = {"schema_version": SCHEMA_VERSION, **request}
        if not resume:
            if run.file("run.json").exists():
                raise BadInputError(f"{path}: holds a run already; use --resume or another folder")
            run.file("state").mkdir(parents=True, exist_ok=True)
            write_json(run.file("run.json"), request)
            return run
        known = read_json(run.file("run.json"), "record of a run to resume")
        for key, value in request.items():
            if known.get(key) != value:
                raise BadInputError(f"{path}: the run there has another {key}; cannot resume it")
        return run

    def file(self, name: str) -> Path:
        """Path of one of the run's files."""
        return self.path / name

    def done(self, name: str) -> bool:
        """Whether a step has left its file."""
        return self.file(name).exists()

    def save_graph(self, name: str, proto: Any) -> None:
        """Write one of the run's graphs."""
        save_model(proto, self.file(name))

    def load_graph(self, name: str) -> Model:
        """Read one of the run's graphs."""
        return load_model(self.file(name))

    def add_figures(self, figures: dict[str, Any]) -> dict[str, Any]:
        """Add figures to report.json and return all of them."""
        file = self.file("report.json")
        known = read_json(file, "report") if file.exists() else {"schema_version": SCHEMA_VERSION}
        known.update(figures)
        write_json(file, known)
        return known

    def finish(self) -> None:
        """Drop the training state: a finished run cannot be resumed."""
        shutil.rmtree(self.file("state"), ignore_errors=True)
