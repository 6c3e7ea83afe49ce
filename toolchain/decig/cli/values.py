"""The kinds of value that options take, and how each is read from what was typed."""

import math
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from decig.data.halves import Part
from decig.device.plan.wanted import UNITS
from decig.errors import DecigError
from decig.files import require_folder, require_writable
from decig.repeating import FILE as FILE_OF_RUN


class AnyPath(click.Path):
    """A path of which nothing is checked, but that there is one."""

    def __init__(self) -> None:
        """Prepare."""
        super().__init__(path_type=Path)

    def convert(
        self, value: Any, param: click.Parameter | None, context: click.Context | None
    ) -> Path:
        """Read it; click.BadParameter if it is empty."""
        _require_path(value)
        found = super().convert(value, param, context)
        assert isinstance(found, Path)
        return found


FILE = FOLDER = AnyPath()
EXISTING_FILE = click.Path(exists=True, dir_okay=False, path_type=Path)
EXISTING_FOLDER = click.Path(exists=True, file_okay=False, path_type=Path)
EXISTING = click.Path(exists=True, path_type=Path)


class ImagesPath(click.Path):
    """An existing folder of images, or DIR:A or DIR:B for one half of every image in it."""

    def __init__(self) -> None:
        """Prepare."""
        super().__init__(exists=True, file_okay=False, path_type=Path)

    def convert(
        self, value: Any, param: click.Parameter | None, context: click.Context | None
    ) -> Path:
        """Read it; click.BadParameter if there is no such folder."""
        part = Part.of(Path(value))
        # What is typed goes to click as it is: an empty text is no folder.
        super().convert(value if part.side is None else part.folder, param, context)
        return Path(value)


IMAGES = ImagesPath()

_MILLISECONDS = {"us": 1e-3, "ms": 1.0, "s": 1e3}
_SECONDS = {"s": 1.0, "m": 60.0, "h": 3600.0}


class Number(click.FloatRange):
    """A finite number within bounds: nan, which no comparison refuses, is none."""

    def convert(
        self, value: Any, param: click.Parameter | None, context: click.Context | None
    ) -> float:
        """Read it; click.BadParameter if it is no number, infinite or out of bounds."""
        try:
            number: float = click.FLOAT.convert(value, param, context)
        except click.BadParameter:
            number = math.nan
        if not math.isfinite(number):
            self.fail(f"{value!r} is not a number", param, context)
        require_between(self, number, value, param, context)
        return number


class Whole(click.IntRange):
    """A whole number within bounds."""

    def convert(
        self, value: Any, param: click.Parameter | None, context: click.Context | None
    ) -> int:
        """Read it; click.BadParameter if it is no whole number or out of bounds."""
        try:
            number: int = click.INT.convert(value, param, context)
        except click.BadParameter:
            self.fail(f"{value!r} is not a whole number", param, context)
        require_between(self, number, value, param, context)
        return number


def require_between(
    kind: Number | Whole,
    number: float,
    value: Any,
    param: click.Parameter | None,
    context: click.Context | None,
) -> None:
    """Refuse a number that is out of bounds, in words instead of the signs that click has.

    Args:
        kind: has the bounds.
        number: that was read.
        value: what was typed.
        param: for which it was.
        context: of the command.
    """
    low, high = kind.min, kind.max
    too_low = low is not None and (number <= low if kind.min_open else number < low)
    too_high = high is not None and (number >= high if kind.max_open else number > high)
    if not too_low and not too_high:
        return
    parts = []
    if low is not None:
        parts.append(f"above {low:g}" if kind.min_open else f"of {low:g} or more")
    if high is not None:
        parts.append(f"below {high:g}" if kind.max_open else f"{high:g} or less")
    kind.fail(f"{value} is out of bounds: give a number {' and '.join(parts)}", param, context)


POSITIVE = Number(min=0, min_open=True)


def latency(text: str) -> float:
    """Read a latency such as 20ms, in milliseconds; click.BadParameter without a unit."""
    return _quantity(text, _MILLISECONDS, "20ms")


def latencies(text: str) -> tuple[float, ...]:
    """Read latencies such as 20ms,10ms, in milliseconds; errors as for one."""
    return tuple(latency(part) for part in text.split(","))


def speedups(text: str) -> tuple[float, ...]:
    """Read numbers above 1 such as 2,4,8; click.BadParameter for anything else."""
    one = Number(1, min_open=True)
    return tuple(one.convert(part.strip(), None, None) for part in text.split(","))


def macs(text: str) -> tuple[float, ...]:
    """Read numbers of multiply-accumulates such as 2G,500M, or shares below 1 such as 0.5,0.25."""
    return tuple(number_of_macs(part.strip()) for part in text.split(","))


def number_of_macs(text: str) -> float:
    """Read a number of multiply-accumulates such as 2G, or a share below 1 such as 0.25."""
    match = re.fullmatch(rf"(\d+(?:\.\d*)?|\.\d+)\s*([{''.join(UNITS)}]?)", text)
    if match is None or not 0 < float(match[1]) * max(UNITS.values()) < math.inf:
        raise click.BadParameter(
            f"{text!r} is no number of multiply-accumulates; write it like 2G, or 0.25 for a share"
        )
    number = float(match[1]) * UNITS.get(match[2], 1.0)
    if match[2] == "" and number == 1:
        raise click.BadParameter("1 is the whole model; a share is below it")
    if match[2] and number < 1:
        raise click.BadParameter(f"{text!r} is less than one multiply-accumulate")
    return number


def time_budget(text: str) -> float:
    """Read a time such as 20m, in seconds; click.BadParameter without a unit."""
    return _quantity(text, _SECONDS, "20m")


def _quantity(text: str, units: dict[str, float], example: str) -> float:
    match = re.fullmatch(r"(\d+(?:\.\d*)?|\.\d+)\s*([a-zA-Z]*)", text.strip())
    if match is None or not 0 < float(match[1]) * max(units.values()) < math.inf:
        raise click.BadParameter(
            f"{text!r} is no time that can be counted; write it like {example}"
        )
    if match[2] not in units:
        known = ", ".join(units)
        raise click.BadParameter(f"{text!r} needs a unit ({known}); write it like {example}")
    return float(match[1]) * units[match[2]]


def value_range(text: str) -> tuple[float, float]:
    """Read two numbers, low before high, such as 0,255."""
    try:
        low, high = (float(part) for part in text.split(","))
    except ValueError as error:
        raise click.BadParameter(f"{text!r} is not two numbers, as in 0,255 or -1,1") from error
    if not (math.isfinite(low) and math.isfinite(high)):
        raise click.BadParameter(f"{text!r} is not two numbers, as in 0,255 or -1,1")
    if not low < high:
        raise click.BadParameter(f"{text!r}: the lower number comes first")
    return low, high


def input_shape(text: str) -> tuple[str, list[int]]:
    """Read NAME:1,3,256,256; the name may hold colons, and is empty where sizes stand alone."""
    name, colon, shape = text.rpartition(":")
    if (colon and not name) or not re.fullmatch(r"[1-9]\d*(,[1-9]\d*)*", shape):
        raise click.BadParameter(f"{text!r}; write it like NAME:1,3,256,256")
    return name, [int(size) for size in shape.split(",")]


def setting(text: str) -> tuple[str, str]:
    """Read KEY=VALUE."""
    key, separator, value = text.partition("=")
    if not key or not separator:
        raise click.BadParameter(f"{text!r}; write it like KEY=VALUE")
    return key, value


def output_file(text: str) -> Path:
    """Read the path of a file to write; click.BadParameter where it could not be written.

    It is asked before the work that should end there, not after.
    """
    return _checked(text, require_writable)


def run_folder(text: str) -> Path:
    """Read the path of a folder to write into, there already or not; click.BadParameter else."""
    return _checked(text, require_folder)


def settings_file(text: str) -> Path:
    """Read the path of a TOML file of settings, or of a run folder, whose run.toml is meant.

    click.BadParameter where there is none.
    """
    path = _require_path(text)
    if path.is_dir():
        if not (path / FILE_OF_RUN).is_file():
            above = path.absolute().parent / FILE_OF_RUN
            told = f", as it is part of {above.parent}: name {above}" if above.is_file() else ""
            raise click.BadParameter(f"{text} holds no {FILE_OF_RUN}{told}")
        return path / FILE_OF_RUN
    found: Path = EXISTING_FILE.convert(text, None, None)
    return found


def _require_path(text: str | Path) -> Path:
    """The path that was typed. An empty one would stand for the working directory.

    click.BadParameter where it is empty, as where a variable of a shell script is not set.
    """
    if not str(text):
        raise click.BadParameter("it is empty; is a variable of the shell not set?")
    return Path(text)


def _checked(text: str, require: Callable[[Path], None]) -> Path:
    path = _require_path(text)
    try:
        require(path)
    except DecigError as error:
        raise click.BadParameter(str(error)) from error
    return path
