"""What the pages of all contests have in common: how they begin, and how they are written."""

import datetime
import os
import shlex
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click
from click.core import ParameterSource
from contest import Contest
from goals import Effort
from judge import Entry

from decig import __version__
from decig.device.run.device import Device
from decig.errors import DecigError
from decig.files import write_bytes, write_json

_SAID_ANYWAY = ("minutes", "steps", "out")
_NO_PART = ("results", "judge_only")
"""Options that change nothing of what is made."""


def command(script: str, effort: Effort, *more: str, out: str | None = None) -> str:
    """The command that repeats a contest, with all that was typed in the one that runs.

    Args:
        script: name of the benchmark.
        effort: of each compression.
        more: options that are said, typed or not.
        out: name of its folder in runs/; that of the benchmark if None.
    """
    named = {option.split()[0] for option in more}
    said = [option for option in typed() if option.split()[0] not in named]
    place = f"--out runs/{out or script}"
    return " ".join([f"python benchmarks/{script}.py", *said, *more, effort.said(), place])


def typed() -> list[str]:
    """Arguments and options that were typed in the command that runs, but for time and folders.

    Paths are those from the folder in which it runs.
    """
    context, found = click.get_current_context(silent=True), []
    for parameter in context.command.params if context else ():
        assert context is not None and parameter.name is not None
        if parameter.name in (*_SAID_ANYWAY, *_NO_PART):
            continue
        if context.get_parameter_source(parameter.name) is not ParameterSource.COMMANDLINE:
            continue
        value = context.params[parameter.name]
        if not isinstance(parameter, click.Option):
            found.append(_text(value))
        elif parameter.is_flag:
            found.append((parameter.opts if value else parameter.secondary_opts)[0])
        else:
            values = value if parameter.multiple else [value]
            found += [f"{parameter.opts[0]} {_text(each)}" for each in values]
    return found


def _text(value: Any) -> str:
    """A value as it is typed."""
    if isinstance(value, Path):
        return shlex.quote(os.path.relpath(value))
    if isinstance(value, list | tuple):
        return ",".join(map(_text, value))
    return f"{value:g}" if isinstance(value, float) else shlex.quote(str(value))


def heading(title: str, command: str, *remarks: str) -> list[str]:
    """The first lines of a page: its title, the command, and where it ran.

    Args:
        title: of the page.
        command: that writes the page.
        remarks: sentences behind the name of the machine.
    """
    device = Device.of().fingerprint()
    where = (
        f"{device.cpu}, {device.cores} cores, one thread per model, ONNX Runtime "
        f"{device.onnxruntime}."
    )
    made = f"`{command}`, decig {__version__}, {datetime.date.today().isoformat()}."
    return [f"# {title}", "", made, "", " ".join([where, *remarks]), ""]


def finished(contest: Contest) -> dict[str, list[Entry]]:
    """Finished results of a contest by the labels of its targets.

    Raises:
        DecigError: there is none.
    """
    found = {target.label: contest.entries(target) for target in contest.targets}
    if not any(found.values()):
        raise DecigError(f"{contest.out}: no finished run to judge")
    return found


def write_page(results: Path, name: str, page: Sequence[str], figures: Any) -> None:
    """Write a page and its figures, and print the page.

    Args:
        results: folder that they go to; it is made.
        name: of the files NAME.md and NAME.json.
        page: lines.
        figures: JSON values.
    """
    results.mkdir(parents=True, exist_ok=True)
    text = "\n".join([*page, ""])
    write_json(results / f"{name}.json", figures)
    write_bytes(results / f"{name}.md", text.encode())
    print(text)
