"""SHA-256 of the data files of a run, and their list in the form of the program sha256sum."""

import hashlib
import re
from collections.abc import Iterator, Mapping
from pathlib import Path

from decig.data.halves import Part
from decig.data.images import SUFFIXES, files_below, is_fault
from decig.errors import BadInputError
from decig.progress import Progress, silent
from decig.training.data.examples import Folders

_ARRAYS = (".npy", ".npz")
"""Files beside images that feed further inputs."""
_ESCAPES = {"\\": r"\\", "\n": r"\n", "\r": r"\r"}
"""What a line cannot hold, and how sha256sum writes it; the backslash first."""
_UNESCAPES = {written: character for character, written in _ESCAPES.items()}
_ESCAPED = re.compile(r"\\[\\nr]")


def data_places(folders: Folders) -> dict[str, Path]:
    """Where data files lie, by the name of the option that says it, as in data, or data:B."""
    given = {
        "data": folders.images,
        "targets": folders.targets,
        "unpaired": folders.unpaired,
    }
    parts = {name: Part.of(path) for name, path in given.items() if path is not None}
    found = {
        name if part.side is None else f"{name}:{part.side}": part.folder
        for name, part in parts.items()
    }
    if folders.discriminator is not None:
        found["discriminator"] = folders.discriminator
    return found


def names_of(places: Mapping[str, Path]) -> dict[str, Path]:
    """Every data file by its name: that of its option, and its place in there."""
    found = {}
    for name, place in places.items():
        for file in _files(place):
            inside = "" if file == place else f"/{file.relative_to(place).as_posix()}"
            found[name + inside] = file
    return found


def digests_of(places: Mapping[str, Path], progress: Progress = silent) -> dict[str, str]:
    """SHA-256 of every data file by its name.

    Args:
        places: folder or file of each option, by its name.
        progress: told how many of the files are read.

    Raises:
        BadInputError: the disk fails.
    """
    listed, found = names_of(places), dict[str, str]()
    for name, file in listed.items():
        progress("note the data files", len(found) / len(listed), {})
        found[name] = _digest_of_file(file)
    return found


def _digest_of_file(file: Path) -> str:
    """SHA-256 of a file; of one that is gone, which training skips too, that of nothing."""
    try:
        with file.open("rb") as content:
            return hashlib.file_digest(content, "sha256").hexdigest()
    except OSError as error:
        if is_fault(error):
            raise BadInputError(f"{file}: cannot be read: {error.strerror}") from error
        return digest_of(b"")


def _files(place: Path) -> Iterator[Path]:
    """The data files of a folder, in the order of their paths; a file stands for itself."""
    if not place.is_dir():
        yield place
        return
    for file in sorted(files_below(place)):
        if file.suffix.lower() in (*SUFFIXES, *_ARRAYS) and file.is_file():
            yield file


def list_of(files: Mapping[str, str]) -> bytes:
    """The lines of a list: digest and name of each file; names may be of any bytes."""
    text = "".join(f"{_line(name, digest)}\n" for name, digest in files.items())
    return text.encode(errors="surrogateescape")


def _line(name: str, digest: str) -> str:
    """One line; as sha256sum has it, a backslash before it tells that its name has such."""
    for character, written in _ESCAPES.items():
        name = name.replace(character, written)
    return f"\\{digest}  {name}" if "\\" in name else f"{digest}  {name}"


def read_list(content: bytes) -> dict[str, str]:
    """The digests of a list by the names of their files; what `list_of` wrote."""
    found = {}
    for line in content.decode(errors="surrogateescape").split("\n"):
        digest, _, name = line.partition("  ")
        if digest.startswith("\\"):
            digest = digest[1:]
            name = _ESCAPED.sub(lambda match: _UNESCAPES[match[0]], name)
        if name:
            found[name] = digest
    return found


def digest_of(content: bytes) -> str:
    """SHA-256 in hexadecimal digits."""
    return hashlib.sha256(content).hexdigest()
