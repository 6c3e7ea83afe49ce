"""The run folder of `decig compress`: what each step leaves there, so that the next can go on.

run.json        what was asked for: model, pixels, feeds, images, device, latency, settings
condensed.onnx  the result of stage I, where it was asked for
plan.json       which channels of the original stay
start.onnx      the cut and repaired graph that stage II starts from
distilled.onnx  the trained student with its norms, where these were to be folded
student.onnx    the result: cut, trained, BatchNormalization not yet folded
report.json     the figures
state/          the states from which a stopped run goes on
"""

import os
import shutil
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import onnx

from decig.errors import BadInputError
from decig.files import write_json
from decig.graph.model import Model, load_model, save_model
from decig.schema import read_json

SCHEMA_VERSION = 1


@dataclass(frozen=True)
class RunFolder:
    """Paths and records of one run."""

    path: Path

    @classmethod
    def check(cls, path: Path, record: dict[str, Any], *, resume: bool) -> None:
        """See whether `open` would succeed; nothing is written. Arguments and errors as there."""
        file = cls(path).file("run.json")
        if resume:
            if not file.exists():
                raise BadInputError(f"{path}: holds no run that could go on: leave --resume out")
            known = read_json(file, dict[str, Any], "record of a run to resume")
            for key, value in _versioned(record).items():
                if known.get(key) != value:
                    raise BadInputError(
                        f"{path}: the run there has another {key}; cannot resume it"
                    )
        elif file.exists():
            raise BadInputError(f"{path}: holds a run already; use --resume or another folder")
        place = next(place for place in (path, *path.absolute().parents) if place.exists())
        if not place.is_dir():
            raise BadInputError(f"{path}: cannot write there: {place} is no folder")
        if not os.access(place, os.W_OK | os.X_OK):
            raise BadInputError(f"{path}: cannot write there: {place} is read-only")

    @classmethod
    def open(cls, path: Path, record: dict[str, Any], *, resume: bool) -> "RunFolder":
        """Begin a run, or find the one that is to go on.

        Args:
            path: the folder, made if missing.
            record: what run.json says of what was asked for, as plain JSON values.
            resume: whether the folder must hold a run for which the very same was asked.

        Raises:
            BadInputError: a run is there and `resume` is false, or none is there, or it was
                asked for something else, or the folder cannot be written.
        """
        cls.check(path, record, resume=resume)
        run = cls(path)
        try:
            run.file("state").mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise BadInputError(f"{path}: cannot write there: {error.strerror}") from error
        if not resume:
            write_json(run.file("run.json"), _versioned(record))
        return run

    def file(self, name: str) -> Path:
        """Path of one of the run's files."""
        return self.path / name

    def done(self, *names: str) -> bool:
        """Whether steps have left all these files."""
        return all(self.file(name).exists() for name in names)

    def save_graph(self, name: str, proto: onnx.ModelProto) -> None:
        """Write one of the run's graphs."""
        save_model(proto, self.file(name))

    def load_graph(self, name: str) -> Model:
        """Read one of the run's graphs."""
        return load_model(self.file(name))

    def add_figures(self, figures: dict[str, Any]) -> dict[str, Any]:
        """Add figures to report.json and return all of them."""
        file = self.file("report.json")
        known = read_json(file, dict[str, Any], "report") if file.exists() else _versioned({})
        known.update(figures)
        write_json(file, known)
        return known

    def add_warnings(self, warnings: Iterable[str]) -> dict[str, Any]:
        """Add lines to the warnings of report.json, each once, and return all that is in it."""
        file = self.file("report.json")
        known = read_json(file, dict[str, Any], "report") if file.exists() else {}
        lines = list(dict.fromkeys([*known.get("warnings", []), *warnings]))
        return self.add_figures({"warnings": lines} if lines else {})

    def finish(self) -> None:
        """Remove the saved states: nothing is left of a finished run to go on with."""
        shutil.rmtree(self.file("state"), ignore_errors=True)


def _versioned(record: dict[str, Any]) -> dict[str, Any]:
    return {"schema_version": SCHEMA_VERSION, **record}
