"""What the commands of benchmarks share: options, and errors in one line."""

import contextlib
from collections.abc import Iterator

import click

from decig.errors import DecigError


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
