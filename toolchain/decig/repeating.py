"""run.toml: all that it takes to repeat a run, in a file that people can read and edit.

    [options]    every option of the command, as it was resolved; paths are relative to the file
    [train] ...  every setting of the training, as in a file given with --config
    [recorded]   what the run depended on beside these: versions, the machine, digests

`decig compress --locked RUN/run.toml` repeats the run, and compares [recorded] with what is there
now. `--config` takes the same file as a beginning for another run, and does not look at [recorded].
`--resume` finds the options of the run there. Beside it lies data.sha256, the digests of all data
files, in the form of the program sha256sum. Training writes both files
(`decig.training.runs.repeat`).
"""

import contextlib
from collections.abc import Collection
from pathlib import Path
from typing import Any

import msgspec

from decig.errors import BadInputError
from decig.schema import Count, convert, read_toml

FILE, LIST_FILE = "run.toml", "data.sha256"
OPTIONS, RECORDED = "options", "recorded"
"""Tables of run.toml that are no settings of the training."""
_BEGINNINGS = {
    "run.json": b'{\n "schema_version"',
    "targets.json": b'{\n "schema_version"',
    "training.json": b'{\n "source"',
}
"""How records begin that runs leave which were told nothing; others have files of these names."""


class Said(msgspec.Struct, frozen=True, kw_only=True):
    """What a command was told.

    Attributes:
        command: name of the command, such as "compress".
        options: its options by the keys of run.toml, as they were resolved.
        unset: keys of options that have no value.
        arguments: the words behind the command, as they were typed.
        folder: the working directory in which they were typed.
    """

    command: str
    options: dict[str, Any]
    unset: list[str] = []
    arguments: list[str] = []
    folder: str = ""


class Recorded(msgspec.Struct, frozen=True, kw_only=True):
    """What a run depended on beside its options and settings; digests are SHA-256.

    Attributes:
        command: name of the command that began the run.
        arguments: the words behind it, as they were typed.
        folder: the working directory in which they were typed.
        versions: of Python and of every package that may change a result, by name.
        machine: fingerprint of the device as it was here, and how many processes and threads
            trained on what.
        model: digest of the model's graph.
        table: digest of the cost table, profile.json.
        data: digest of data.sha256, the list of all data files.
        widths: channels that the plan keeps, by target and group. Plans are measured, so planning
            again may find another one.
    """

    command: str
    arguments: list[str] = []
    folder: str = ""
    versions: dict[str, str] = {}
    machine: dict[str, Any] = {}
    model: str | None = None
    table: str | None = None
    data: str | None = None
    widths: dict[str, dict[str, Count]] = {}


def read_options(file: Path) -> dict[str, Any]:
    """Read the table [options] of run.toml or of a file of settings; empty where there is none.

    Raises:
        BadInputError: the file cannot be read, or what should be the table is none.
    """
    found = read_toml(file, dict[str, Any], "file of settings").get(OPTIONS, {})
    return convert(found, dict[str, Any], f"{file}: [{OPTIONS}]")


def read_recorded(file: Path) -> Recorded:
    """Read the table [recorded] of run.toml.

    Raises:
        BadInputError: the file cannot be read, or is damaged, or is no record of a run.
    """
    found = read_toml(file, dict[str, Any], "record of a run")
    if RECORDED not in found:
        raise BadInputError(
            f"{file}: no record of a run: it has no table [{RECORDED}]; decig leaves one in every "
            f"run folder, {FILE}"
        )
    return convert(found[RECORDED], Recorded, f"{file}: [{RECORDED}]")


def require_text(*values: object) -> None:
    """Refuse paths and options that the records of a run cannot hold: TOML and JSON are UTF-8.

    Args:
        values: texts and paths, also in lists, dictionaries and records; all else may be anything.

    Raises:
        BadInputError: one is of other bytes.
    """
    for value in values:
        if isinstance(value, msgspec.Struct):
            require_text(*msgspec.structs.astuple(value))
        elif isinstance(value, dict):
            require_text(*value.values())
        elif isinstance(value, list | tuple):
            require_text(*value)
        elif isinstance(value, str | Path):
            try:
                str(value).encode()
            except UnicodeEncodeError as error:
                raise BadInputError(
                    f"{value}: is not UTF-8, so that no record of a run can hold it; rename it"
                ) from error


def is_run(folder: Path, files: Collection[str]) -> bool:
    """Whether a folder is that of a run of `decig compress` or `decig train`.

    Args:
        folder: to look at.
        files: names of the files in it.
    """
    if FILE in files:
        return True
    for name, beginning in _BEGINNINGS.items():
        if name in files:
            with contextlib.suppress(OSError), (folder / name).open("rb") as content:
                if content.read(len(beginning)) == beginning:
                    return True
    return False


def was_said(folder: Path, command: str) -> bool:
    """Whether a run of a command left its record in a folder; errors as for `read_recorded`."""
    file = folder / FILE
    return file.is_file() and read_recorded(file).command == command
