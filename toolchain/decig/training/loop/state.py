"""The file from which a run that was stopped goes on."""

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch

from decig.errors import BadInputError, first_line
from decig.files import atomic_path


def write_state(file: Path, state: dict[str, Any]) -> None:
    """Write a state; whoever reads the file sees the old one or the new.

    Raises:
        DecigError: it cannot be written (full disk, read-only folder); the message gives the
            reason, and the file holds the state that it held before.
    """
    with atomic_path(file) as temporary, temporary.open("wb") as opened:
        try:
            torch.save(state, opened)
        except RuntimeError as error:
            # PyTorch's writer answers a full disk with an error of its own, raised while Python's
            # is handled.
            raise _cause(error) from error


def _cause(error: BaseException) -> BaseException:
    """The OSError during which an error was raised; the error itself if there was none."""
    found: BaseException | None = error
    while found is not None:
        if isinstance(found, OSError):
            return found
        found = found.__context__
    return error


def read_state(file: Path) -> dict[str, Any]:
    """Read a state; BadInputError if there is none, or the file is damaged."""
    if not file.is_file():
        raise BadInputError(f"{file}: no run to resume there")
    with reading_state(file):
        state: dict[str, Any] = torch.load(file, map_location="cpu", weights_only=True)
        return state


@contextlib.contextmanager
def reading_state(file: Path) -> Iterator[None]:
    """Turn whatever fails inside into a BadInputError that names the file.

    PyTorch and protobuf raise errors of many types on what is damaged or belongs to another run.
    """
    try:
        yield
    except Exception as error:
        raise BadInputError(f"{file}: not the state of this run: {first_line(error)}") from error
