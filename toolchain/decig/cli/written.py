"""Options in files: how run.toml and files of settings write what the command line says."""

import filecmp
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import click

from decig.errors import BadInputError

_FOLDERS = ("output_dir",)
"""Parameters that take a path, though their type does not say so."""


def key_of(param: click.Parameter) -> str:
    """What a parameter is called in a file: target_latency for --target-latency."""
    if isinstance(param, click.Argument):
        return str(param.name)
    return max(param.opts, key=len).lstrip("-").replace("-", "_")


def from_file(
    table: Mapping[str, Any], params: Sequence[click.Parameter], file: Path
) -> dict[str, Any]:
    """Turn a table of options into what the command line would give.

    Args:
        table: of a TOML file.
        params: that may stand there.
        file: which it is; paths are relative to its folder.

    Returns:
        Texts, flags and lists of texts, by the names of the parameters in Python.

    Raises:
        BadInputError: an option is not known, or its value is of the wrong kind.
    """
    known = {key_of(param): param for param in params}
    found: dict[str, Any] = {}
    for key, value in table.items():
        if key not in known:
            raise BadInputError(
                f"{file}: [options]: there is no option {key}; known: {', '.join(known)}"
            )
        param = known[key]
        try:
            read = _read(param, value)
        except TypeError as error:
            raise BadInputError(f"{file}: [options]: {key}: {error}, not {value!r}") from error
        if is_path(param):
            read = _beside(file.absolute().parent, str(read), argument=is_argument(param))
        found[str(param.name)] = read
    return found


def _read(param: click.Parameter, value: Any) -> str | bool | list[str]:
    """One value; TypeError says what it should be."""
    if isinstance(param, click.Option) and param.is_flag:
        if not isinstance(value, bool):
            raise TypeError("expected true or false")
        return value
    parts = [_text(part) for part in (value if isinstance(value, list) else [value])]
    if getattr(param, "multiple", False):
        return parts
    return ",".join(parts)


def _text(value: Any) -> str:
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        raise TypeError("expected a text or a number")
    return str(value)


def to_file(param: click.Parameter, value: str | bool | Sequence[str]) -> Any:
    """What a file says of a value of the command line: whole numbers are no texts there."""
    if isinstance(value, str | bool):
        is_count = isinstance(param.type, click.types.IntParamType)
        return int(value) if is_count else value
    return [str(part) for part in value]


def is_argument(param: click.Parameter) -> bool:
    """Whether it is no option."""
    return isinstance(param, click.Argument)


def is_path(param: click.Parameter) -> bool:
    """Whether a parameter takes the path of a file or a folder."""
    return isinstance(param.type, click.Path) or is_argument(param) or param.name in _FOLDERS


def absolute(text: str) -> str:
    """Make a path absolute, also one with a name behind a colon; what is no path stays as it is."""
    return _beside(Path.cwd(), text, argument=True)


def is_same_model(one: str, other: str) -> bool:
    """Whether two absolute texts name the same MODEL, or files of the same content."""
    one, other = (text.removesuffix("/recipe.toml") for text in (one, other))
    paths = Path(one), Path(other)
    if all(path.is_file() for path in paths):
        return filecmp.cmp(*paths, shallow=False)
    return os.path.realpath(one) == os.path.realpath(other)


def _beside(folder: Path, text: str, *, argument: bool) -> str:
    """A path that is relative to a folder; an argument may be no path, but a name in Python."""
    whole, (path, colon, name) = folder / text, text.rpartition(":")
    if whole.exists() or not argument:
        return str(whole)
    return f"{folder / path}:{name}" if colon and (folder / path).exists() else text
