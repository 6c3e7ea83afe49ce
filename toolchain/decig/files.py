"""Writing files so that a reader sees the old content or the new, never half of it; JSON.

Symbolic links are followed, so that a link stays a link. Devices and pipes (/dev/null, a FIFO,
/dev/stdout) cannot be replaced by a file: what is to be written goes through them once it is whole.
"""

import contextlib
import errno
import json
import math
import os
import shutil
import stat
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from decig.errors import BadInputError, DecigError

_STREAMS = ("/dev/fd/", "/dev/stdin", "/dev/stdout", "/dev/stderr", "/proc/")
"""Paths that name what a process has open already, even where that is an ordinary file."""
_WRONG_PATH = (
    errno.EACCES,
    errno.EEXIST,
    errno.EISDIR,
    errno.ELOOP,
    errno.ENAMETOOLONG,
    errno.ENOENT,
    errno.ENOTDIR,
    errno.EPERM,
    errno.EROFS,
)
"""Errors that another path would have avoided: bad input. Others are failures (a full disk)."""
_RANDOM = "?" * 8
"""What `tempfile` puts behind the name of a temporary file."""
_LONGEST = 100
"""Characters of a file's name that its temporary file shares, as names have a greatest length."""


@dataclass(frozen=True)
class Destination:
    """Where writing to a path ends.

    Attributes:
        path: the file behind all symbolic links; of a stream, the path as it was given.
        stream: whether that is a device or a pipe, which is written through, not replaced.
    """

    path: Path
    stream: bool


def destination(target: Path) -> Destination:
    """Find out where writing to `target` ends.

    Raises:
        BadInputError: links form a circle, a part of the path is no folder, or permission is
            missing.
    """
    with writing(target):
        return _destination(Path(target))


def _destination(target: Path) -> Destination:
    try:
        mode = target.stat().st_mode
    except FileNotFoundError:
        mode = stat.S_IFREG
    open_already = str(target.absolute()).startswith(_STREAMS)
    if open_already or not (stat.S_ISREG(mode) or stat.S_ISDIR(mode)):
        return Destination(target, stream=True)
    return Destination(target.resolve(), stream=False)


def require_writable(target: Path) -> None:
    """Check that a file can be written there, without writing anything.

    Raises:
        BadInputError: it is a folder, its folder is missing, or permission is.
    """
    with writing(target):
        place = _destination(Path(target))
        if place.path.is_dir():
            raise IsADirectoryError(errno.EISDIR, "it is a folder")
        if place.stream:
            _require_access(place.path)
            return
        if not place.path.parent.exists():
            raise FileNotFoundError(errno.ENOENT, "its folder is not there")
        _require_access(place.path.parent)
        if place.path.exists():
            _require_access(place.path)


def require_folder(folder: Path) -> None:
    """Check that a folder can be written into, or made; nothing is made yet.

    Raises:
        BadInputError: a file is in the way, or permission is missing.
    """
    with writing(folder):
        there = Path(folder).resolve()
        while not os.path.lexists(there):
            there = there.parent
        if not there.is_dir():
            raise NotADirectoryError(errno.ENOTDIR, f"{there} is no folder")
        _require_access(there)


def make_folder(folder: Path) -> None:
    """Make a folder and those above it, where they are not there already.

    Raises:
        BadInputError, DecigError: that is not possible, as for `atomic_path`.
    """
    with writing(folder):
        Path(folder).mkdir(parents=True, exist_ok=True)


@contextlib.contextmanager
def atomic_path(target: Path) -> Iterator[Path]:
    """Yield the path of a temporary file; once it is written, its content becomes `target`'s.

    The temporary file lies beside the file that `target` names, behind its links, and is renamed
    onto it; a device or a pipe gets its bytes. On any error, a full disk and Ctrl-C included, the
    temporary file is removed and `target` stays as it was.

    Raises:
        BadInputError: the folder of `target` is missing or not writable.
        DecigError: writing failed (disk full, quota, I/O error).
    """
    with writing(target):
        place = _destination(Path(target))
        if place.stream:
            with _through(place.path) as temporary:
                yield temporary
            return
        with _beside(place.path) as temporary:
            yield temporary


@contextlib.contextmanager
def _beside(file: Path) -> Iterator[Path]:
    """Yield a temporary file beside a file, and rename it onto that in the end."""
    handle, name = tempfile.mkstemp(dir=file.parent, prefix=f".{file.name[:_LONGEST]}.")
    os.close(handle)
    temporary = Path(name)
    try:
        temporary.chmod(_mode(file))
        yield temporary
        with temporary.open("rb") as written:
            os.fsync(written.fileno())
        temporary.replace(file)
    finally:
        temporary.unlink(missing_ok=True)


def remove_leftovers(folder: Path, names: str) -> None:
    """Remove temporary files that a process left which was killed while it wrote.

    Only for whoever knows that no process is writing files of these names there.

    Args:
        folder: which need not be there.
        names: of the files that were to be written, a pattern such as "*.pt".
    """
    for left in Path(folder).glob(f".{names}.{_RANDOM}"):
        left.unlink(missing_ok=True)


@contextlib.contextmanager
def _through(stream: Path) -> Iterator[Path]:
    """Yield a temporary file, and copy it into a device or a pipe in the end."""
    with tempfile.TemporaryDirectory(prefix="decig-") as folder:
        temporary = Path(folder) / "output"
        yield temporary
        with temporary.open("rb") as source, os.fdopen(_opened(stream), "wb") as sink:
            shutil.copyfileobj(source, sink)


def _opened(stream: Path) -> int:
    """A descriptor to write into a stream with.

    What the process has open already goes on where it is: a file that was opened anew would lose
    what stands in it (`--junit /dev/stdout >> log`).
    """
    named = {"/dev/stdout": 1, "/dev/stderr": 2}.get(str(stream))
    if named is None and stream.parent in (Path("/dev/fd"), Path("/proc/self/fd")):
        named = int(stream.name) if stream.name.isdecimal() else None
    if named is None:
        return os.open(stream, os.O_WRONLY)
    if sys.stdout is not None:  # as after >&-
        sys.stdout.flush()
    return os.dup(named)


@contextlib.contextmanager
def writing(target: Path) -> Iterator[None]:
    """Turn an OSError inside into one line that names the target: "TARGET: not written: REASON".

    Raises:
        BadInputError: another path would have avoided it.
        DecigError: it would not, as on a full disk.
    """
    try:
        yield
    except OSError as error:
        kind = BadInputError if error.errno in _WRONG_PATH else DecigError
        raise kind(f"{target}: not written: {error.strerror or error}") from error


def _require_access(place: Path) -> None:
    """Raise OSError where permission to write is missing, or the disk is read-only."""
    if os.access(place, os.W_OK):
        return
    read_only = bool(os.statvfs(place).f_flag & os.ST_RDONLY)
    code = errno.EROFS if read_only else errno.EACCES
    raise OSError(code, os.strerror(code))


def _mode(file: Path) -> int:
    """Permissions of a file to come: those of the one that is there, else the user's default."""
    with contextlib.suppress(FileNotFoundError):
        return stat.S_IMODE(file.stat().st_mode)
    mask = os.umask(0)
    os.umask(mask)
    return 0o666 & ~mask


def write_bytes(target: Path, content: bytes) -> None:
    """Write `content` to `target` atomically; errors as in `atomic_path`."""
    with atomic_path(target) as temporary:
        temporary.write_bytes(content)


def add_text(target: Path, text: str) -> None:
    """Add text to the end of a file, which is made where it is missing.

    Raises:
        BadInputError, DecigError: that is not possible, as for `atomic_path`.
    """
    content = text.encode(errors="replace")  # names of files may be of any bytes
    with writing(target):
        place = _destination(Path(target))
        file = os.fdopen(_opened(place.path), "wb") if place.stream else place.path.open("ab")
        with file:
            file.write(content)


def write_json(target: Path, value: Any) -> None:
    """Write `value` as indented JSON to `target` atomically; errors as in `atomic_path`."""
    write_bytes(target, json_bytes(value))


def json_bytes(value: Any) -> bytes:
    """`value` as the indented JSON of a file."""
    return (json_text(value, indent=1) + "\n").encode()


def json_text(
    value: Any, *, indent: int | None = None, separators: tuple[str, str] | None = None
) -> str:
    """JSON that any program can read: figures that are undefined or infinite are null.

    Python's own writer has NaN and Infinity there, which JSON does not know. The arguments are
    those of `json.dumps`.
    """
    return json.dumps(_defined(value), indent=indent, separators=separators, allow_nan=False)


def _defined(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _defined(part) for key, part in value.items()}
    if isinstance(value, list | tuple):
        return [_defined(part) for part in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
