"""Writing down what a run depends on, and comparing that with what is there when it is repeated.

`decig.repeating` says what the files of a run folder hold.
"""

import hashlib
import logging
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec
import tomlkit
import torch

from decig.data.images import SUFFIXES
from decig.device.cost.table import CostTable
from decig.device.plan.target import TABLE_FILE
from decig.device.run.device import Device
from decig.errors import BadInputError
from decig.files import json_text, write_bytes
from decig.repeating import (
    FILE,
    LIST_FILE,
    OPTIONS,
    RECORDED,
    Recorded,
    Said,
    read_recorded,
)
from decig.training.examples import Folders
from decig.training.job import Job
from decig.training.processes import Processes
from decig.training.recording import versions
from decig.training.teacher import Teacher

_log = logging.getLogger(__name__)

_ARRAYS = (".npy", ".npz")
"""Files beside images that feed further inputs."""
_DIGITS = 12
"""Digits of a digest that a message shows."""
_HEADS = {
    "compress": f"""\
What this run was asked for, and what it depended on.
Repeat it, and see what differs: decig compress --locked {FILE}
Begin another run with it, edited or with options added: decig compress --config {FILE}""",
    "train": "What this run was asked for, for decig train --resume; the recipe holds settings.",
}


@dataclass(frozen=True)
class Facts:
    """What a run depends on beside its options and settings.

    Attributes:
        recorded: what run.toml says of it.
        files: SHA-256 of every data file, by its name, such as "data/a.png".
        places: folder or file that each option names, by the name of the option.
    """

    recorded: Recorded
    files: Mapping[str, str]
    places: Mapping[str, Path]

    @classmethod
    def of(
        cls, teacher: Teacher, folders: Folders, table: CostTable | None, processes: Processes
    ) -> "Facts":
        """Find them out; all data files are read once.

        Args:
            teacher: the model.
            folders: its images.
            table: its cost table; None in a run for no device.
            processes: that train together.
        """
        places = _places(folders)
        files = _digests(places)
        recorded = Recorded(
            command="compress",
            versions=versions(),
            machine=_machine(table, processes),
            model=teacher.model.sha256,
            table=None if table is None else _digest(table.content),
            data=_digest(_list(files)),
        )
        return cls(recorded, files, places)

    def require_same(self, file: Path, *, accept: bool) -> Recorded:
        """Compare with what a run recorded, and tell every difference.

        Args:
            file: run.toml of the run.
            accept: whether to go on where something differs.

        Returns:
            What the run recorded.

        Raises:
            BadInputError: something differs; or the file cannot be read.
        """
        then = read_recorded(file)
        found = list(self._differences(file, then))
        for line in found:
            _log.warning("%s: %s", file, line)
        if found and not accept:
            many = "one thing differs" if len(found) == 1 else f"{len(found)} things differ"
            raise BadInputError(
                f"{file}: this run cannot be repeated as it was: {many}, named above; --force "
                "repeats it all the same"
            )
        return then

    def _differences(self, file: Path, then: Recorded) -> Iterator[str]:
        now = self.recorded
        for title, old, new in (
            ("version of ", then.versions, now.versions),
            ("machine: ", then.machine, now.machine),
        ):
            for name in sorted(old.keys() | new.keys()):
                if (before := old.get(name)) != (after := new.get(name)):
                    yield f"{title}{name} was {_text(before)}, and is {_text(after)} here"
        for title, was, now_is in (
            ("model", then.model, now.model),
            ("cost table", then.table, now.table),
        ):
            if was != now_is:
                yield f"{title}: SHA-256 was {_short(was)}, and is {_short(now_is)} here"
        if then.data != now.data:
            yield from self._changed_files(file, then)

    def _changed_files(self, file: Path, then: Recorded) -> Iterator[str]:
        """Name the data files that differ, or say that some do where their list is gone."""
        listed = file.parent / LIST_FILE
        content = listed.read_bytes() if listed.is_file() else b""
        if _digest(content) != then.data:
            yield f"data files differ; {listed}, which would name them, is not that of the run"
            return
        lines = (line.partition("  ") for line in content.decode().split("\n") if line)
        known = {name: digest for digest, _, name in lines}
        for name in sorted(known.keys() | self.files.keys()):
            path = self._path(name)
            if name not in self.files:
                yield f"data: {path} is missing"
            elif name not in known:
                yield f"data: {path} is new"
            elif known[name] != self.files[name]:
                yield f"data: {path} has another content"

    def _path(self, name: str) -> str:
        """The path of a data file where its option says; its name where that is not given."""
        option, _, inside = name.partition("/")
        place = self.places.get(option)
        return name if place is None else str(place / inside)


def write_record(folder: Path, job: Job, said: Said) -> None:
    """Leave run.toml and data.sha256 in the folder of a `decig compress` run that begins.

    Args:
        folder: of the run, or of all targets.
        job: of the run, or of the first target.
        said: what the command was told.

    Raises:
        BadInputError, DecigError: a file cannot be written.
    """
    goals = [planner.goal for planner in job.shared.planners]
    table = goals[0].target.table
    facts = Facts.of(job.teacher, job.examples.folders, table, job.processes)
    widths = {
        planner.goal.name: {name: len(kept) for name, kept in planner.plan.keep.items()}
        for planner in job.shared.planners
        if planner.target_ms is not None
    }
    write_bytes(folder / LIST_FILE, _list(facts.files))
    options = _pixels(job.teacher) | said.options
    recorded = msgspec.structs.replace(facts.recorded, widths=widths)
    method, settings = job.config.method, job.config.record()["settings"]
    said = msgspec.structs.replace(said, options=options | {"method": method})
    write_said(folder, said, settings, recorded, table=table is not None)


def write_said(
    folder: Path,
    said: Said,
    settings: Mapping[str, Mapping[str, Any]] | None = None,
    recorded: Recorded | None = None,
    *,
    table: bool,
) -> None:
    """Write run.toml.

    Args:
        folder: of the run.
        said: what the command was told.
        settings: of the training, by table; None where they stand in a recipe.
        recorded: what the run depends on; None where that is not compared when it is repeated.
        table: whether the run has a cost table, which lies in the folder.
    """
    recorded = msgspec.structs.replace(
        recorded or Recorded(command=said.command, versions=versions()),
        command=said.command,
        arguments=said.arguments,
        folder=said.folder,
    )
    made = tomlkit.document()
    for line in _HEADS[said.command].splitlines():
        made.add(tomlkit.comment(line))
    given = _without_none(said.options) | ({"profile": TABLE_FILE} if table else {})
    options = tomlkit.table()
    options.update(given)
    if unset := [key for key in said.unset if key not in given]:
        options.add(tomlkit.comment(f"without a value: {', '.join(unset)}"))
    made[OPTIONS] = options
    for name, keys in (settings or {}).items():
        made[name] = _without_none(keys)
    known = msgspec.to_builtins(recorded)
    made[RECORDED] = _without_none({name: value for name, value in known.items() if value != {}})
    write_bytes(folder / FILE, tomlkit.dumps(made).encode())


def _pixels(teacher: Teacher) -> dict[str, Any]:
    """The pixel format as options, whatever file it comes from; label maps stay with theirs."""
    pixels = teacher.pixels
    if pixels.labels is not None:
        return {}
    names = ("input_range", "output_range", "layout", "channel_order", "image", "picture")
    found = {name: getattr(pixels, name) for name in names}
    return {n: list(v) if isinstance(v, tuple) else v for n, v in found.items() if v is not None}


def _machine(table: CostTable | None, processes: Processes) -> dict[str, Any]:
    """The machine as the provider of a cost table sees it, and what trains on it."""
    device = Device.for_work() if table is None else Device.described_by(table.device)
    found = dict(device.fingerprint().identity())
    options = found.pop("provider_options")
    return {name: value for name, value in found.items() if value is not None} | {
        "provider_options": ", ".join(f"{name}={value}" for name, value in options.items()),
        "processes": processes.count,
        "trains_on": processes.device.type,
        "training_threads": torch.get_num_threads(),
    }


def _places(folders: Folders) -> dict[str, Path]:
    """Where data files lie, by the name of the option that says it."""
    given = {
        "data": folders.images,
        "targets": folders.targets,
        "unpaired": folders.unpaired,
        "discriminator": folders.discriminator,
    }
    return {name: place for name, place in given.items() if place is not None}


def _digests(places: Mapping[str, Path]) -> dict[str, str]:
    """SHA-256 of every data file by its name: that of its option, and its place in there."""
    found = {}
    for name, place in places.items():
        for file in _files(place):
            inside = "" if file == place else f"/{file.relative_to(place).as_posix()}"
            found[name + inside] = _digest_of(file)
    return found


def _digest_of(file: Path) -> str:
    """SHA-256 of a file; of one that cannot be read, which training skips too, that of nothing."""
    try:
        with file.open("rb") as content:
            return hashlib.file_digest(content, "sha256").hexdigest()
    except OSError:
        return _digest(b"")


def _files(place: Path) -> Iterator[Path]:
    """The data files of a folder, in the order of their paths; a file stands for itself."""
    if not place.is_dir():
        yield place
        return
    for file in sorted(place.rglob("*")):
        known = file.suffix.lower() in (*SUFFIXES, *_ARRAYS) and not file.name.startswith(".")
        if known and file.is_file():
            yield file


def _list(files: Mapping[str, str]) -> bytes:
    return "".join(f"{digest}  {name}\n" for name, digest in files.items()).encode()


def _digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def _short(digest: str | None) -> str:
    return "none" if digest is None else f"{digest[:_DIGITS]}..."


def _text(value: Any) -> str:
    return "nothing" if value is None else json_text(value)


def _without_none(value: Any) -> Any:
    """TOML has no null: what has no value is left out."""
    if isinstance(value, Mapping):
        return {name: _without_none(part) for name, part in value.items() if part is not None}
    return value
