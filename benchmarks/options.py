"""What the commands of benchmarks share: options, and errors in one line."""

import contextlib
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import click

from decig.errors import DecigError
from decig.source.flags import PixelFlags
from decig.source.resolve import resolve

_USUAL = ({"input_range": (0.0, 255.0), "output_range": (0.0, 255.0)}, {"channel_order": "rgb"})
"""Of the style transfer nets in ../shared/suite. Layouts show in the shapes of a model."""


def numbers(_: click.Context, __: click.Parameter, text: str | None) -> list[float]:
    """Read numbers with commas between them."""
    try:
        return [float(part) for part in text.split(",")] if text else []
    except ValueError as error:
        raise click.BadParameter(f"{text!r} must be numbers with commas between them") from error


@contextlib.contextmanager
def one_line_errors() -> Iterator[None]:
    """Let an error that the user can act on end the command in one line."""
    try:
        yield
    except DecigError as error:
        raise click.ClickException(str(error)) from error


def pixel_flags(model: Path, said: PixelFlags) -> PixelFlags:
    """What the command line says of a model's pixels; bytes in RGB where nothing else says it.

    Raises:
        BadInputError: the model cannot be read.
    """
    source = resolve(str(model), said)
    for usual in _USUAL:
        if source.pixels is None:
            lacking: dict[str, Any] = {
                name: value for name, value in usual.items() if name not in source.known
            }
            said = replace(said, **lacking)
            source = resolve(str(model), said)
    return said
