"""Writing files so that a reader sees the old content or the new, never half of it; JSON."""

import contextlib
import json
import math
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from decig.errors import BadInputError, DecigError


@contextlib.contextmanager
def atomic_path(target: Path) -> Iterator[Path]:
    """Yield a temporary path beside `target`; rename it onto `target` on success.

    On any error, a full disk and Ctrl-C included, the temporary file is removed and `target`
    stays as it was.

    Raises:
        BadInputError: the folder of `target` is missing or not writable.
        DecigError: writing failed (disk full, quota, I/O error).
    """
    target = Path(target)
    try:
        handle, name = tempfile.mkstemp(dir=target.parent, prefix=f".{target.name}.")
    except OSError as error:
        raise BadInputError(f"{target}: cannot write there: {error.strerror}") from error
    os.close(handle)
    temporary = Path(name)
    # mkstemp gives 0600; the user's umask decides for an ordinary output file.
    mask = os.umask(0)
    os.umask(mask)
    temporary.chmod(0o666 & ~mask)
    try:
        yield temporary
        with temporary.open("rb") as written:
            os.fsync(written.fileno())
        temporary.replace(target)
    except OSError as error:
        raise DecigError(f"{target}: not written: {error.strerror or error}") from error
    finally:
        temporary.unlink(missing_ok=True)


def write_bytes(target: Path, content: bytes) -> None:
    """Write `content` to `target` atomically; errors as in `atomic_path`."""
    with atomic_path(target) as temporary:
        temporary.write_bytes(content)


def write_json(target: Path, value: Any) -> None:
    """Write `value` as indented JSON to `target` atomically; errors as in `atomic_path`."""
    write_bytes(target, (json_text(value, indent=1) + "\n").encode())


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


def read_json(source: Path, what: str) -> dict[str, Any]:
    """Read a JSON object; `what` names the kind of file in messages ("cost table", "plan").

    Raises:
        BadInputError: the file is missing, unreadable, no JSON, or no JSON object.
    """
    try:
        value = json.loads(Path(source).read_bytes())
    except OSError as error:
        raise BadInputError(f"{source}: cannot read this {what}: {error.strerror}") from error
    except ValueError as error:
        raise BadInputError(f"{source}: this {what} is not valid JSON: {error}") from error
    if not isinstance(value, dict):
        raise BadInputError(f"{source}: this {what} is not a JSON object")
    return value
