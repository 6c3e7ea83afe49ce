"""Commands that write a run folder: what was typed when a run began need not be typed again.

Such a command leaves in the run folder, in run.toml, all of its options (`decig.repeating`). With
--resume it takes from there whatever is not given anew; with --locked it takes all of it; and
--config takes any file of that form. What is typed goes before what a file says.
"""

import contextlib
import hashlib
import logging
import shlex
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import click
from click.core import augment_usage_errors

from decig.cli.process import Command, label
from decig.cli.values import run_folder, settings_file
from decig.cli.written import absolute, from_file, is_path, is_same_model, key_of, to_file
from decig.errors import BadInputError, StoppedError
from decig.repeating import FILE, Said, read_options, read_recorded

_log = logging.getLogger(__name__)

_SAID = "decig.said"
_OF_THE_CALL = ("config", "locked", "resume", "dry_run", "as_json", "debug")
"""Parameters that belong to one call, not to the run: no file holds them."""
_WITH_LOCKED = ("locked", "output_dir", "force", "as_json", "debug", "dry_run")
"""Parameters that may be given with --locked."""


class ResumableCommand(Command):
    """A command that writes a run folder and can go on with the run in there.

    Attributes:
        exclusive: groups of parameters of which one may be given; who gives one anew takes back
            the others of its group that a file has.
        usual: what parameters stand for that are not given, nor another of their group.
        of_model: parameters that say something of MODEL: a file that was written for another MODEL
            says nothing of them.
        kept_apart: parameters that the run keeps in a file of its own: whoever goes on with it
            reads them there.
    """

    def __init__(
        self,
        *args: Any,
        exclusive: Sequence[Sequence[str]] = (),
        usual: Mapping[str, str] | None = None,
        of_model: Sequence[str] = (),
        kept_apart: Sequence[str] = (),
        **settings: Any,
    ) -> None:
        super().__init__(*args, **settings)
        self.exclusive, self.usual, self.of_model = exclusive, usual or {}, of_model
        self.kept_apart = kept_apart

    def parse_args(self, context: click.Context, args: list[str]) -> list[str]:
        """Read the arguments, and the options that the file has which they name.

        Raises:
            click.UsageError: as for every command.
            BadInputError: a file has options that are none or do not fit, or the folder holds a
                run of another command, or its record is damaged.
        """
        typed = tuple(args)
        found, _, _ = self.make_parser(context).parse_args(list(args))
        # What is not given has no entry, or one that is neither a text nor a flag.
        given = {n: value for n, value in found.items() if isinstance(value, str | bool | list)}
        with augment_usage_errors(context):
            file, begun = self._from_file(given)
        context.default_map = begun
        try:
            rest = super().parse_args(context, args)
        except click.BadParameter as error:
            if error.param is None or error.param.name not in begun:
                raise
            text = f"{file}: {error.message}"
            raise click.BadParameter(text, context, error.param, error.param_hint) from error
        context.meta[_SAID] = self._said(context, begun | self._absolute(given), typed)
        return rest

    def hint(self, missing: Sequence[click.Parameter], given: Mapping[str, Any]) -> str:
        """Why something may be missing: the folder holds no run that would say it."""
        folder = given.get("output_dir")
        resumes = given.get("resume") is True and isinstance(folder, str)
        if resumes and not (Path(str(folder)) / FILE).is_file():
            above = Path(str(folder)).parent
            if (above / FILE).is_file():  # one of several targets
                command = f"decig {self.name} --resume --output-dir {shlex.quote(str(above))}"
                return f" ({folder} is part of {above}: go on with {command})"
            return (
                f" ({folder} holds no run that could go on, as nothing is kept before a run "
                "begins to train: type the command again that began it, without --resume.)"
            )
        return super().hint(missing, given)

    def _from_file(self, given: Mapping[str, Any]) -> tuple[Path | None, dict[str, Any]]:
        """The file whose options count, and those of them that are not given anew."""
        folder, locked, config = (given.get(name) for name in ("output_dir", "locked", "config"))
        if isinstance(locked, str):
            self._require_alone(given)
            file = _file_of(locked)
            return file, {} if file is None else self._locked(file)
        found: dict[str, Any] = {}
        file = _file_of(config)
        if file is not None:
            found = self._of_same_model(file, self._read(file), given)
            folder = folder or found.get("output_dir")
        if given.get("resume") is True and isinstance(folder, str):
            begun = Path(folder) / FILE
            if begun.is_file():
                file = begun
                found = self._less(self._begun(begun), found) | found
        return file, self._less(found, given)

    def _less(self, found: Mapping[str, Any], given: Mapping[str, Any]) -> dict[str, Any]:
        """What a file has, without what is given anew and what that excludes."""
        anew = {name for group in self.exclusive if set(group) & given.keys() for name in group}
        return {name: v for name, v in found.items() if name not in anew | given.keys()}

    def _of_same_model(
        self, file: Path, found: dict[str, Any], given: Mapping[str, Any]
    ) -> dict[str, Any]:
        """What a file has, without what it says of its MODEL where another one is typed."""
        typed, known = given.get("model"), found.get("model")
        if not isinstance(typed, str) or known is None:
            return found
        if is_same_model(absolute(typed), known) or _is_recorded(file, Path(typed)):
            return found
        names = self.params_by_name
        needed = self._less(found, given)
        left = [label(names[name]) for name in self.of_model if name in needed]
        if left:
            _log.warning(
                "%s: it is for %s, so this is left out: %s; give what holds for %s too",
                *(file, known, ", ".join(left), typed),
            )
        return {name: value for name, value in found.items() if name not in self.of_model}

    def _begun(self, file: Path) -> dict[str, Any]:
        """The options with which the run in a folder began."""
        command = read_recorded(file).command
        if command != self.name:
            raise BadInputError(f"{file.parent}: the run there is one of decig {command}")
        return {name: v for name, v in self._read(file).items() if name not in self.kept_apart}

    def _locked(self, file: Path) -> dict[str, Any]:
        """All options of the run that is to be repeated.

        Raises:
            BadInputError: it is one of another command, or files are gone; a warning names each.
        """
        command = read_recorded(file).command
        if command != self.name:
            raise BadInputError(f"{file}: the record of a run of decig {command}")
        found = self._read(file)
        paths = {n: found[n] for n, p in self.params_by_name.items() if n in found and is_path(p)}
        gone = [name for name, path in paths.items() if _is_gone(path)]
        for name in gone:
            _log.warning("%s: %s: %s is missing", file, name, paths[name])
        if gone:
            raise BadInputError(
                f"{file}: this run cannot be repeated: files are missing, named above; put them "
                "there, or change their paths in the file"
            )
        return found

    def _require_alone(self, given: Mapping[str, Any]) -> None:
        """Refuse options that would make it another run."""
        names = self.params_by_name
        more = [n for n in given if n not in _WITH_LOCKED and given[n] != []]
        if given.get("resume") is True:
            raise click.UsageError(
                f"--locked begins to repeat a run; to go on with one that was stopped, leave "
                f"--locked out: decig {self.name} --resume --output-dir RUN."
            )
        if shown := [label(names[n]) for n in more if n in names]:
            raise click.UsageError(
                f"--locked repeats a run as it was, without {', '.join(shown)}; to begin another "
                "one with its options, give its run.toml as --config."
            )

    def _read(self, file: Path) -> dict[str, Any]:
        params = [p for n, p in self.params_by_name.items() if n not in _OF_THE_CALL]
        return from_file(read_options(file), params, file)

    def _absolute(self, given: Mapping[str, Any]) -> dict[str, Any]:
        """What was typed; paths hold in every working directory."""
        names = self.params_by_name
        return {
            name: absolute(value) if is_path(names[name]) and isinstance(value, str) else value
            for name, value in given.items()
            if name in names
        }

    def _said(
        self, context: click.Context, values: Mapping[str, Any], typed: Sequence[str]
    ) -> Said:
        """Every option as it was resolved; the run folder itself is not among them."""
        options, unset = {}, []
        for name, param in self.params_by_name.items():
            if name in (*_OF_THE_CALL, "output_dir", "help"):
                continue
            value = values.get(name)
            if value is None:
                value = self._default(context, param, values)
            if value is None or value == []:
                unset.append(key_of(param))
            else:
                options[key_of(param)] = to_file(param, value)
        return Said(
            command=self.name or "",
            options=options,
            unset=unset,
            arguments=list(typed),
            folder=str(Path.cwd()),
        )

    def _default(
        self, context: click.Context, param: click.Parameter, values: Mapping[str, Any]
    ) -> str | bool | None:
        """What an option stands for that nobody gave; None for nothing."""
        name = str(param.name)
        group = next((group for group in self.exclusive if name in group), (name,))
        if name in self.usual and not set(group) & values.keys():
            return self.usual[name]
        default = param.get_default(context)
        if isinstance(default, bool):
            return default
        return str(default) if isinstance(default, str | int | float) else None

    @property
    def params_by_name(self) -> dict[str, click.Parameter]:
        """The parameters of the command by their names in Python."""
        return {param.name: param for param in self.params if param.name}


def _file_of(text: object) -> Path | None:
    """The file of settings that was named; None where there is none, which its option will say."""
    try:
        return settings_file(text) if isinstance(text, str) else None
    except click.BadParameter:
        return None


def _is_recorded(file: Path, model: Path) -> bool:
    """Whether a record is of a run of this very model, wherever that lay then."""
    try:
        known = read_recorded(file).model
    except BadInputError:  # settings, which record no run
        return False
    if known is None or not model.is_file():
        return False
    with model.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest() == known


def _is_gone(path: str) -> bool:
    """Whether a path that a record names is not there; a name in Python is no path."""
    places = (Path(path), Path(path.rpartition(":")[0] or path))
    return places[0].is_absolute() and not any(place.exists() for place in places)


def said() -> Said:
    """What the current command was told, for run.toml."""
    found: Said = click.get_current_context().meta[_SAID]
    return found


@contextlib.contextmanager
def says_how_to_go_on(folder: Path, state: str) -> Iterator[None]:
    """Answer Ctrl-C or SIGTERM with the command that goes on, or say that nothing was kept.

    Args:
        folder: of the run.
        state: file in there without which nothing could go on, if there is no run.toml either.

    Raises:
        StoppedError: Ctrl-C was pressed, or SIGTERM came.
    """
    try:
        yield
    except KeyboardInterrupt as interrupt:
        if not any((folder / name).exists() for name in (state, FILE)):
            from decig.device.plan.target import TABLE_FILE

            text = f"{folder}: stopped before anything was kept; type the same command again"
            if (table := folder / TABLE_FILE).exists():
                file = shlex.quote(str(table))
                text = f"{folder}: stopped; type the same command again, with --profile {file}"
            raise StoppedError(text, interrupt) from interrupt
        name = click.get_current_context().command.name
        command = f"decig {name} --resume --output-dir {shlex.quote(str(folder))}"
        text = f"{folder}: stopped; go on with {command}"
        raise StoppedError(text, interrupt) from interrupt


def output_dir_option(*, required: bool) -> Callable[[Any], Any]:
    """--output-dir; the command gets `output_dir`, a path, or None where it need not be given."""
    named = "" if required else " Without it, a new folder here, named by MODEL and target."
    return click.option(
        "--output-dir",
        type=run_folder,
        metavar="RUN",
        required=required,
        help=f"Folder of the run.{named}",
    )


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
