"""The run folder of `decig compress`: what each step leaves there, so that the next can go on.

run.json        what was asked for: model, pixels, feeds, images, device, latency, settings
condensed.onnx  the result of stage I, where it was asked for
run.toml        options, settings, versions and digests: how to go on, and to repeat the run
data.sha256     digests of all data files
profile.json    the cost table
plan.json       which channels of the original stay
start.onnx      the cut and repaired graph that stage II starts from
distilled.onnx  the trained student with its norms, where these were to be folded
student.onnx    the result: cut, trained, BatchNormalization not yet folded
report.json     the figures
state/          the states from which a stopped run goes on
tensorboard/    event files, where they were asked for
.lock           locked by the process that is at work there
report.html     what `decig report` makes of all that

Beside these lie the files of `decig.records`, for the report alone. A call with several targets
leaves such a folder for each of them (`decig.training.compression.several`).
"""

import contextlib
import errno
import shutil
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import filelock
import onnx

from decig.errors import BadInputError
from decig.files import make_folder, remove_leftovers, require_folder, write_json, writing
from decig.graph.model import Model, load_model, save_model
from decig.schema import read_json

SCHEMA_VERSION = 1
RUN_FILE, REPORT_FILE = "run.json", "report.json"
TARGETS_FILE = "targets.json"
"""What was asked for, in the folder of a call with several targets."""
EVENTS_FOLDER = "tensorboard"
"""Folder of a run that holds event files for TensorBoard."""
LOCK_FILE = ".lock"
"""File that the process at work in a run folder locks. It stays: who deletes a file that others
may be waiting for lets two of them in."""

_NO_LOCKS = (errno.ENOSYS, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOLCK)
"""How file systems without locks answer, such as some of networks."""
_OF_COMMAND = {
    "compress": (RUN_FILE, TARGETS_FILE),
    "train": ("training.json", "state.pt"),  # as `decig.training.originals` names them
}
"""Files by which a folder is known to hold a run of a command."""

Begun = Callable[[Path], None]
"""Leaves in the folder of a run that begins what is needed to go on with it."""


@contextlib.contextmanager
def hold(folder: Path) -> Iterator[Callable[[], None]]:
    """Keep every other process out of a run folder; of several that train together, one calls it.

    The operating system takes the lock back when the process ends, however it ends.

    Args:
        folder: of the run, which need not be there yet.

    Yields:
        Takes the lock, once the folder is there, and removes the states that a killed process left
        half written. It raises BadInputError if another process has it, the folder cannot be
        written, or its file system has no locks, and does nothing the second time.
    """
    lock = filelock.FileLock(folder / LOCK_FILE, timeout=0, fallback_to_soft=False)

    def take() -> None:
        if lock.is_locked:
            return
        with writing(folder):
            try:
                lock.acquire()
            except filelock.Timeout as error:
                raise BadInputError(
                    f"{folder}: another process is at work in this run; wait for it, or stop it"
                ) from error
            except (NotImplementedError, OSError) as error:
                if isinstance(error, OSError) and error.errno not in _NO_LOCKS:
                    raise
                raise BadInputError(
                    f"{folder}: its file system has no locks, so that two processes could work in "
                    "one run; use a folder on a local disk, or mount it with locks"
                ) from error
            for place in (folder, folder / "state", folder / "shared" / "state"):
                remove_leftovers(place, "*.pt")  # nobody else writes states here now

    try:
        yield take
    finally:
        lock.release()


def require_no_other(folder: Path, command: str) -> None:
    """Refuse a folder that holds a run of another command than this one: it would be overwritten.

    Raises:
        BadInputError: it holds one.
    """
    for other, files in _OF_COMMAND.items():
        if other != command and any((folder / name).exists() for name in files):
            raise BadInputError(
                f"{folder}: holds a run of decig {other}; use another folder for decig {command}"
            )


@dataclass(frozen=True)
class RunFolder:
    """Paths and records of one run.

    Attributes:
        path: the folder.
        logs_events: whether steps of training are logged for TensorBoard.
    """

    path: Path
    logs_events: bool = False

    @classmethod
    def check(
        cls, path: Path, record: dict[str, Any], *, resume: bool, record_file: str = RUN_FILE
    ) -> None:
        """See whether `open` would succeed; nothing is written. Arguments and errors as there."""
        file = cls(path).file(record_file)
        require_folder(path)
        require_no_other(path, "compress")
        others = (cls(path).file(name) for name in (RUN_FILE, TARGETS_FILE))
        if resume:
            if not file.exists():
                raise BadInputError(
                    f"{path}: the run there has another number of targets; cannot resume it"
                    if any(other.exists() for other in others)
                    else f"{path}: holds no run that could go on, as nothing is kept before a run "
                    "begins to train: leave --resume out"
                )
            known = read_json(file, dict[str, Any], "record of a run to resume")
            for key, value in _versioned(record).items():
                if _identity(known.get(key)) != _identity(value):
                    differs = f"{key}{_difference(known.get(key), value)}"
                    raise BadInputError(
                        f"{path}: the run there has another {differs}: leave it out to go on with "
                        "that run, or begin another one in another folder"
                    )
        elif any(other.exists() for other in others):
            raise BadInputError(f"{path}: holds a run already; use --resume or another folder")

    @classmethod
    def open(
        cls,
        path: Path,
        record: dict[str, Any],
        *,
        resume: bool,
        begun: Begun | None = None,
        record_file: str = RUN_FILE,
    ) -> "RunFolder":
        """Begin a run, or find the one that is to go on.

        Args:
            path: the folder, made if missing.
            record: what was asked for, as plain JSON values.
            resume: whether the folder must hold a run for which the very same was asked.
            begun: called before the record of a new run is written.
            record_file: file of the record.

        Raises:
            BadInputError: a run is there and `resume` is false, or none is there, or it was
                asked for something else, or the folder cannot be written.
            DecigError: a file cannot be written, as on a full disk.
        """
        cls.check(path, record, resume=resume, record_file=record_file)
        run = cls(path)
        make_folder(run.file("state"))
        if not resume:
            if begun is not None:
                begun(path)
            write_json(run.file(record_file), _versioned(record))
        return run

    @property
    def begun(self) -> bool:
        """Whether a run began there."""
        return self.done(RUN_FILE)

    @property
    def finished(self) -> bool:
        """Whether the run there came to its end, so that nothing is left to go on with."""
        return self.done(RUN_FILE, REPORT_FILE) and not self.file("state").exists()

    def file(self, name: str) -> Path:
        """Path of one of the run's files."""
        return self.path / name

    def events(self, stage: str) -> Path | None:
        """Folder of the event files of a stage of training; None where none are asked for."""
        return self.path / EVENTS_FOLDER / stage if self.logs_events else None

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
        known = self.figures() or _versioned({})
        known.update(figures)
        write_json(self.file(REPORT_FILE), known)
        return known

    def figures(self) -> dict[str, Any]:
        """Return what is in report.json so far; nothing where it is not there yet."""
        file = self.file(REPORT_FILE)
        return read_json(file, dict[str, Any], "report") if file.exists() else {}

    def add_warnings(self, warnings: Iterable[str]) -> dict[str, Any]:
        """Add lines to the warnings of report.json, each once, and return all that is in it."""
        lines = list(dict.fromkeys([*self.figures().get("warnings", []), *warnings]))
        return self.add_figures({"warnings": lines} if lines else {})

    def finish(self) -> None:
        """Remove the saved states: nothing is left of a finished run to go on with."""
        shutil.rmtree(self.file("state"), ignore_errors=True)


def _versioned(record: dict[str, Any]) -> dict[str, Any]:
    return {"schema_version": SCHEMA_VERSION, **record}


def _difference(was: Any, asked: Any) -> str:
    """Say what a run has and what was asked, where that is short: (1200 seconds, not 60)."""
    texts = [_short(value) for value in (was, asked)]
    return f" ({texts[0]}, not {texts[1]})" if all(texts) else ""


def _short(value: Any) -> str:
    """A number, a text or a flag in words; of a table, the only entry; empty for anything else."""
    if isinstance(value, dict):
        told = [(name, part) for name, part in value.items() if part is not None]
        return f"{_short(told[0][1])} {told[0][0]}" if len(told) == 1 else ""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return f"{value:g}"
    return str(value) if isinstance(value, int | str) else ""


def _identity(value: Any) -> Any:
    """What must be the same when a run goes on: the files that it names may have been moved."""
    if isinstance(value, dict) and "sha256" in value:
        return value["sha256"]
    return value
