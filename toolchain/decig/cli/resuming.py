"""Going on with a run: what was typed when it began need not be typed again.

A command that writes a run folder leaves there, in `command.json`, what was typed. With --resume it
takes from that file whatever is not given anew.
"""

import contextlib
import shlex
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import click
import msgspec

from decig.cli.process import Command
from decig.cli.values import run_folder
from decig.errors import BadInputError, StoppedError
from decig.files import write_json
from decig.schema import read_json

COMMAND_FILE = "command.json"
"""File of a run folder that says what was typed when the run began."""

_TYPED, _ARGUMENTS = "decig.typed", "decig.arguments"
_NOT_KEPT = ("output_dir", "resume", "dry_run", "as_json", "debug")
"""Parameters that belong to one call, not to the run."""


class _Typed(msgspec.Struct, frozen=True):
    """What command.json holds.

    Attributes:
        command: name of the command, such as "compress".
        given: what was typed, by parameter, as texts.
        arguments: the same word by word, for people who want to repeat it.
        folder: the working directory in which it was typed.
    """

    command: str
    given: dict[str, str | bool | list[str]]
    arguments: list[str] = []
    folder: str = ""


class ResumableCommand(Command):
    """A command that writes a run folder and can go on with the run in there.

    Attributes:
        exclusive: groups of parameters of which one may be given; who gives one anew takes back
            the others of its group that the run began with.
        kept: parameters that name files of which the run folder keeps a copy, by its name there.
        not_recorded: further parameters that command.json does not hold.
    """

    def __init__(
        self,
        *args: Any,
        exclusive: Sequence[Sequence[str]] = (),
        kept: Mapping[str, str] | None = None,
        not_recorded: Sequence[str] = (),
        **settings: Any,
    ) -> None:
        super().__init__(*args, **settings)
        self.exclusive, self.kept = exclusive, kept or {}
        self.not_recorded = (*_NOT_KEPT, *self.kept, *not_recorded)

    def parse_args(self, context: click.Context, args: list[str]) -> list[str]:
        """Read the arguments, with --resume also those with which the run began.

        Raises:
            click.UsageError: as for every command.
            BadInputError: the folder holds a run of another command, or its record is damaged.
        """
        typed = tuple(args)
        found, _, _ = self.make_parser(context).parse_args(list(args))
        # What is not given has no entry, or one that is neither a text nor a flag.
        given = {n: value for n, value in found.items() if isinstance(value, str | bool | list)}
        begun: dict[str, Any] = {}
        folder = given.get("output_dir")
        if given.get("resume") is True and isinstance(folder, str):
            begun = self._begun(Path(folder), given)
        context.default_map = begun
        context.meta[_TYPED] = begun | self._absolute(given)
        context.meta[_ARGUMENTS] = list(typed)
        return super().parse_args(context, args)

    def hint(self, missing: Sequence[click.Parameter], given: Mapping[str, Any]) -> str:
        """Why something may be missing: the folder holds no run that would say it."""
        folder = given.get("output_dir")
        resumes = given.get("resume") is True and isinstance(folder, str)
        if resumes and not (Path(str(folder)) / COMMAND_FILE).is_file():
            above = Path(str(folder)).parent
            if (above / COMMAND_FILE).is_file():  # one of several targets
                command = f"decig {self.name} --resume --output-dir {shlex.quote(str(above))}"
                return f" ({folder} is part of {above}: go on with {command})"
            return f" ({folder} holds no run that could go on.)"
        return super().hint(missing, given)

    def _begun(self, folder: Path, given: Mapping[str, Any]) -> dict[str, Any]:
        """What the run in a folder began with, less what is given anew."""
        file = folder / COMMAND_FILE
        if not file.is_file():
            return {}
        typed = read_json(file, _Typed, "record of a command")
        if typed.command != self.name:
            raise BadInputError(f"{folder}: the run there is one of decig {typed.command}")
        anew = {name for group in self.exclusive if set(group) & given.keys() for name in group}
        copies = {n: str(folder / c) for n, c in self.kept.items() if (folder / c).is_file()}
        known = self.params_by_name.keys() - anew - given.keys()
        return {name: value for name, value in (typed.given | copies).items() if name in known}

    def _absolute(self, given: Mapping[str, Any]) -> dict[str, Any]:
        """What was typed and belongs to the run; paths hold in every working directory."""
        found = {}
        for name, value in given.items():
            param = self.params_by_name.get(name)
            if param is None or name in self.not_recorded:
                continue
            is_path = isinstance(param.type, click.Path) or isinstance(param, click.Argument)
            found[name] = _absolute(value) if is_path and isinstance(value, str) else value
        return found

    @property
    def params_by_name(self) -> dict[str, click.Parameter]:
        """The parameters of the command by their names in Python."""
        return {param.name: param for param in self.params if param.name}


def _absolute(text: str) -> str:
    """Make a path absolute, also one with a name behind a colon; what is no path stays as it is."""
    path, colon, name = text.partition(":")
    if Path(text).exists():
        return str(Path(text).absolute())
    return f"{Path(path).absolute()}{colon}{name}" if Path(path).exists() else text


def record_command(folder: Path) -> None:
    """Write what was typed for the current command into the folder of the run that it begins."""
    context = click.get_current_context()
    typed = _Typed(
        context.command.name or "",
        context.meta[_TYPED],
        context.meta[_ARGUMENTS],
        str(Path.cwd()),
    )
    write_json(folder / COMMAND_FILE, msgspec.to_builtins(typed))


@contextlib.contextmanager
def says_how_to_go_on(folder: Path, state: str) -> Iterator[None]:
    """Answer Ctrl-C with the command that goes on with a run.

    Args:
        folder: of the run.
        state: file or folder in there without which nothing could go on.

    Raises:
        StoppedError: Ctrl-C was pressed, and the run can go on.
    """
    try:
        yield
    except KeyboardInterrupt as interrupt:
        if not (folder / state).exists():
            raise
        name = click.get_current_context().command.name
        command = f"decig {name} --resume --output-dir {shlex.quote(str(folder))}"
        raise StoppedError(f"{folder}: stopped; go on with {command}") from interrupt


def output_dir_option(function: Any) -> Any:
    """--output-dir; the command gets `output_dir`, a path."""
    return click.option(
        "--output-dir", type=run_folder, metavar="RUN", required=True, help="Folder of the run."
    )(function)


def resume_option(function: Any) -> Any:
    """--resume; the command gets `resume`."""
    return click.option(
        "--resume",
        is_flag=True,
        help="Continue the run in the folder; nothing else has to be given again.",
    )(function)


def tensorboard_option(function: Any) -> Any:
    """--tensorboard; the command gets `tensorboard`."""
    return click.option(
        "--tensorboard",
        is_flag=True,
        help="Log losses, learning rates and samples for TensorBoard, in RUN/tensorboard.",
    )(function)
