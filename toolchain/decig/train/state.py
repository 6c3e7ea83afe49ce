"""The file that a run goes on from after it was stopped."""

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch

from decig.errors import DecigError, first_line
from decig.files import atomic_path


def write_state(file: Path, state: dict[str, Any]) -> None:
    """Write a state; whoever reads the file sees the old one or the new.

    Raises:
        DecigError: it cannot be written.
    """
    with atomic_path(file) as temporary:
        torch.save(state, temporary)


@contextlib.contextmanager
def reading_state(file: Path) -> Iterator[None]:
    """Name the file in a DecigError where it is damaged: torch and protobuf raise anything."""
    try:
        yield
    except Exception as error:
        raise DecigError(f"{file}: not the state of this run: {first_line(error)}") from error
