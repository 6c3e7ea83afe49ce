"""What a run depends on beside its options, compared with what another run recorded of it."""

import logging
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from decig.device.cost.table import CostTable
from decig.device.run.device import Device
from decig.errors import BadInputError
from decig.files import json_text
from decig.progress import Progress
from decig.repeating import FILE, LIST_FILE, Recorded, read_recorded
from decig.training.compression.teacher import Teacher
from decig.training.data.examples import Folders
from decig.training.loop.processes import Processes
from decig.training.runs.data_digests import (
    data_places,
    digest_of,
    digests_of,
    list_of,
    names_of,
    read_list,
)
from decig.training.runs.recording import versions

_log = logging.getLogger(__name__)

_DIGITS = 12
"""Digits of a digest that a message shows."""


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
        cls,
        teacher: Teacher,
        folders: Folders,
        table: CostTable | None,
        processes: Processes,
        progress: Progress,
    ) -> "Facts":
        """Find them out; all data files are read once.

        Args:
            teacher: the model.
            folders: its images.
            table: its cost table; None in a run for no device.
            processes: that train together.
            progress: told how much of the data is read.
        """
        places = data_places(folders)
        files = digests_of(places, progress)
        recorded = Recorded(
            command="compress",
            versions=versions(),
            machine=_machine(table, processes),
            model=teacher.model.sha256,
            table=None if table is None else digest_of(table.content),
            data=digest_of(list_of(files)),
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
        if digest_of(content) != then.data:
            yield f"data files differ; {listed}, which would name them, is not that of the run"
            return
        known = read_list(content)
        changes = _added_or_gone(known, self.files, self.places)
        changes |= {
            name: f"{_path(name, self.places)} has another content"
            for name in known.keys() & self.files.keys()
            if known[name] != self.files[name]
        }
        yield from (f"data: {changes[name]}" for name in sorted(changes))


def require_same_files(folder: Path, folders: Folders) -> None:
    """Compare which data files there are with those that a run began with; none is opened.

    Which images are held out is drawn from the list of all, so that with one more or less a run
    that goes on would judge students by images that they were trained on.

    Args:
        folder: of the run. Where it has a record and no list of data files, a warning says so.
        folders: where the images are.

    Raises:
        BadInputError: a file is new, or missing.
    """
    places = data_places(folders)
    if not places:
        return
    listed = folder / LIST_FILE
    if not listed.is_file():
        if not (folder / FILE).is_file():  # as of a run that Python code began
            return
        _log.warning("%s: not there: images that were added or taken away go unnoticed", listed)
        return
    changes = _added_or_gone(read_list(listed.read_bytes()), names_of(places), places)
    if changes:
        first, *others = (changes[name] for name in sorted(changes))
        more = f", and {len(others)} more differ" if others else ""
        raise BadInputError(
            f"{folder}: the run there has other data files: {first}{more}: put them back as they "
            "were, or begin another run in another folder"
        )


def _added_or_gone(
    known: Collection[str], files: Collection[str], places: Mapping[str, Path]
) -> dict[str, str]:
    """Say of each data file, by its name, that is in one of two lists alone, which one that is."""
    gone = {name: f"{_path(name, places)} is missing" for name in set(known) - set(files)}
    return gone | {name: f"{_path(name, places)} is new" for name in set(files) - set(known)}


def _path(name: str, places: Mapping[str, Path]) -> str:
    """The path of a data file where its option says; its name where that is not given."""
    option, _, inside = name.partition("/")
    place = places.get(option)
    return name if place is None else str(place / inside)


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


def _short(digest: str | None) -> str:
    return "none" if digest is None else f"{digest[:_DIGITS]}..."


def _text(value: Any) -> str:
    return "nothing" if value is None else json_text(value)
