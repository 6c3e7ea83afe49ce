"""How `decig` behaves as a process: exit codes, one-line errors, JSON on stdout, logs on stderr."""

import contextlib
import logging
import os
import signal
import sys
import threading
import traceback
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, NoReturn, TextIO, TypeVar

import click
from click.core import augment_usage_errors

from decig.cli.endings import explain
from decig.device.run.threads import set_up_threads
from decig.errors import Terminated

T = TypeVar("T")

_DEBUG = "decig.debug"
_PRINTED = "decig.printed"
_JSON = "--json"


class Program(click.Group):
    """The group of all commands; it ends the process with the exit codes of `EXIT_CODES`.

    With --json among the arguments, stdout holds exactly one JSON object, whatever happens: the
    result of the command or, where there is none, the error.
    """

    def list_commands(self, context: click.Context) -> list[str]:
        """Return the commands in the order in which they were added."""
        return list(self.commands)

    def parse_args(self, context: click.Context, args: list[str]) -> list[str]:
        """Show the help where no command is named."""
        return super().parse_args(context, args or ["--help"])

    def main(
        self, args: Sequence[str] | None = None, *_: Any, standalone_mode: bool = True, **extra: Any
    ) -> NoReturn:
        """Run one command and exit; arguments as for `click.Command.main`."""
        arguments = list(sys.argv[1:] if args is None else args)
        state: dict[str, bool] = {}
        set_up_threads()
        _start_logging()
        _accept_any_text()
        try:
            asked = extra | {"prog_name": "decig", "standalone_mode": False, "obj": state}
            with _sigterm_interrupts():
                code = super().main(arguments, **asked) or 0
            if sys.stdout is not None:  # as after >&-
                sys.stdout.flush()
        except (Exception, KeyboardInterrupt) as error:
            if state.get(_DEBUG):
                traceback.print_exception(error)
            code = _report(error, as_json=_JSON in arguments and not state.get(_PRINTED))
        sys.exit(code)


class Command(click.Command):
    """A command that names everything missing at once and takes no option twice.

    Attributes:
        required_one: parameters of which exactly one must be given.
    """

    def __init__(self, *args: Any, required_one: Sequence[str] = (), **settings: Any) -> None:
        super().__init__(*args, **settings)
        self.required_one = tuple(required_one)

    def parse_args(self, context: click.Context, args: list[str]) -> list[str]:
        """Read the arguments.

        Raises:
            click.UsageError: something required is missing, or an option is given twice.
        """
        given = list(args)
        try:
            rest = super().parse_args(context, args)
        except click.MissingParameter:
            raise self._missing(context, given) from None
        if self.required_one and all(context.params[name] is None for name in self.required_one):
            raise self._missing(context, given)
        _, _, order = self.make_parser(context).parse_args(given)
        self._refuse_repetition(context, order)
        with augment_usage_errors(context):
            one_of(context.params, *self.required_one)
        return rest

    def _missing(self, context: click.Context, args: list[str]) -> click.UsageError:
        """Name everything that is required and not there."""
        given, _, _ = self.make_parser(context).parse_args(args)
        missing = [
            param
            for param in self.get_params(context)
            if param.required and param.value_is_missing(param.consume_value(context, given)[0])
        ]
        missing.sort(key=lambda param: isinstance(param, click.Option))
        labels = [label(param) for param in missing]
        if self.required_one and not any(name in given for name in self.required_one):
            labels.append(_one_of_flags(self.required_one))
        text = f"Missing {', '.join(labels)}.{self.hint(missing, given)}"
        return click.UsageError(text, context)

    def hint(self, missing: Sequence[click.Parameter], given: Mapping[str, Any]) -> str:
        """Why something may be missing, in brackets; empty where nothing is to be said.

        Args:
            missing: what is required and not there, arguments first.
            given: what was typed, by parameter.
        """
        arguments = [param for param in missing if isinstance(param, click.Argument)]
        for option in self.params if arguments else ():
            if _may_stand_alone(option) and (taken := given.get(option.name or "")):
                place = f"put {label(arguments[0])} first"
                return f" ({option.opts[0]} took {taken} for its value: {place}.)"
        return ""

    def _refuse_repetition(self, context: click.Context, order: list[click.Parameter]) -> None:
        options = [p for p in order if isinstance(p, click.Option) and not p.multiple]
        for option, times in Counter(options).items():
            if times > 1 and not option.is_flag:
                raise click.UsageError(
                    f"{label(option)} is given {times} times; it takes one value.", context
                )
        for option in options:
            others = [o for o in options if o.name == option.name and o is not option]
            if others:
                raise click.UsageError(
                    f"{label(option)} and {label(others[0])} exclude each other.", context
                )


def one_of(asked: dict[str, Any], *names: str) -> str | None:
    """Return which of these options was given; click.UsageError for more than one."""
    given = [name for name in names if asked[name] is not None]
    if len(given) > 1:
        raise click.UsageError(f"{' and '.join(map(flag, given))} exclude each other.")
    return given[0] if given else None


def by_name(option: str, pairs: Sequence[tuple[str, T]]) -> dict[str, T]:
    """Turn what an option says of several names into a dictionary.

    Args:
        option: as people type it, such as "--feed".
        pairs: name and value, in the order in which they were given.

    Raises:
        click.UsageError: a name is given twice, so that one value would be lost.
    """
    for name, times in Counter(name for name, _ in pairs).items():
        if times > 1:
            raise click.UsageError(f"{option} {name} is given {times} times; it takes one value.")
    return dict(pairs)


def require_answers(*questions: str) -> None:
    """Ask for everything that is missing at once.

    Args:
        questions: what is missing and which option would say it, each empty where nothing is.

    Raises:
        click.UsageError: something is missing.
    """
    asked = [question for question in questions if question]
    if asked:
        raise click.UsageError("; ".join(asked))


def flag(name: str) -> str:
    """Return the flag of an option, by its name in Python: --target-latency."""
    return "--" + name.replace("_", "-")


def debug_option(command: Any) -> Any:
    """--debug: show tracebacks and debug messages; takes no parameter of the command."""

    def remember(context: click.Context, _: click.Parameter, value: bool) -> None:
        if value:
            context.ensure_object(dict)[_DEBUG] = True
            logging.getLogger("decig").setLevel(logging.DEBUG)

    return click.option(
        "--debug",
        is_flag=True,
        expose_value=False,
        callback=remember,
        help="Show tracebacks and debug messages.",
    )(command)


def show(result: Any, as_json: bool, print_it: Callable[[Any], None]) -> None:
    """Print the result of a command.

    Args:
        result: a dictionary, or an object whose `to_dict` makes one; None where another process
            has the result.
        as_json: print it as one JSON object.
        print_it: prints it for people otherwise.
    """
    if result is None:
        return
    if not as_json:
        print_it(result)
        return
    from decig.files import json_text

    found = result if isinstance(result, dict) else result.to_dict()
    click.echo(json_text(_with_notices(found)))
    click.get_current_context().ensure_object(dict)[_PRINTED] = True


def _with_notices(found: dict[str, Any]) -> dict[str, Any]:
    """Add the warnings that stderr got to a JSON object, under "notices"."""
    listed = [*found.get("notices", ()), *found.get("warnings", ())]
    handlers = [h for h in logging.getLogger("decig").handlers if isinstance(h, _StderrHandler)]
    told = [text for handler in handlers for text in handler.told]
    more = [text for text in told if not any(text.endswith(notice) for notice in listed)]
    return found | ({"notices": [*found.get("notices", ()), *more]} if more else {})


class _StderrHandler(logging.StreamHandler[TextIO]):
    """Writes to whatever sys.stderr is now: a progress bar or a test may have replaced it.

    Attributes:
        told: the warnings so far, as keys in their order; each is written once.
    """

    def __init__(self) -> None:
        logging.Handler.__init__(self)
        self.told: dict[str, None] = {}

    def filter(self, record: logging.LogRecord) -> bool:
        """Let a warning through that was not told before."""
        text = record.getMessage()
        if record.levelno >= logging.WARNING:
            if text in self.told:
                return False
            self.told[text] = None
        return bool(super().filter(record))

    @property
    def stream(self) -> TextIO:  # type: ignore[override]
        return sys.stderr

    def format(self, record: logging.LogRecord) -> str:
        line = super().format(record)
        return line if record.levelno < logging.WARNING else f"{record.levelname.lower()}: {line}"


@contextlib.contextmanager
def _sigterm_interrupts() -> Iterator[None]:
    """Let SIGTERM end what is at work as Ctrl-C does, so that it cleans up and tells how to go on.

    Signals arrive in the main thread alone.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def interrupt(*_: object) -> NoReturn:
        raise Terminated

    previous = signal.signal(signal.SIGTERM, interrupt)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, previous)


def _start_logging() -> None:
    logger = logging.getLogger("decig")
    logger.handlers = [_StderrHandler()]
    logger.setLevel(logging.INFO)


def _accept_any_text() -> None:
    """Let names that the terminal's encoding lacks be printed with replacements, not fail."""
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="backslashreplace")


def _report(error: BaseException, *, as_json: bool) -> int:
    """Say what went wrong, in one line on stderr; returns the exit code."""
    if isinstance(error, BrokenPipeError):
        _drop_stdout()  # whoever read it, such as head, has seen enough
        return 1
    code, text = explain(error)
    click.echo(f"decig: {text}", err=True)
    if as_json:
        from decig.files import json_text

        told = text.removeprefix("error: ")
        try:
            click.echo(json_text({"error": told, "exit_code": code}))
            if sys.stdout is not None:
                sys.stdout.flush()
        except OSError:  # whoever read it is gone, or the disk is full
            _drop_stdout()
    return code


def _drop_stdout() -> None:
    """Write nothing more to stdout, so that Python's own flush at the end cannot fail."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def label(param: click.Parameter) -> str:
    """Name a parameter as people type it: MODEL, -o/--output."""
    return param.human_readable_name if isinstance(param, click.Argument) else "/".join(param.opts)


def _one_of_flags(names: Sequence[str]) -> str:
    *first, last = map(flag, names)
    return f"one of {', '.join(first)} and {last}"


def _may_stand_alone(param: click.Parameter) -> bool:
    """Whether this is an option that need not have a value: it may swallow an argument."""
    return (
        isinstance(param, click.Option) and not param.is_flag and isinstance(param.flag_value, str)
    )
