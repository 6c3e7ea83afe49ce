"""How `decig` behaves as a process: exit codes, errors of one line, log lines on stderr."""

import errno
import logging
import sys
import traceback
from typing import Any, NoReturn, TextIO

import click

from decig.device.run.threads import set_up_threads
from decig.errors import DecigError

INTERRUPTED = 130  # 128 + SIGINT, as shells report it

_DEBUG = "decig.debug"


class Commands(click.Group):
    """The group of all commands; ends the process with decig's exit codes.

    0 done, 1 failure, 2 usage or bad input, 3 a target or tolerance was missed, 130 interrupted.
    """

    def main(self, *args: Any, standalone_mode: bool = True, **extra: Any) -> NoReturn:
        """Run one command and exit; arguments as for `click.Command.main`."""
        state: dict[str, bool] = {}
        set_up_threads()
        _start_logging()
        try:
            asked = extra | {"prog_name": "decig", "standalone_mode": False, "obj": state}
            code = super().main(*args, **asked)
        except (Exception, KeyboardInterrupt) as error:
            if state.get(_DEBUG):
                traceback.print_exception(error)
            code = _report(error)
        sys.exit(code or 0)


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


class _StderrHandler(logging.StreamHandler[TextIO]):
    """Writes to whatever sys.stderr is now: a progress bar or a test may have replaced it."""

    def __init__(self) -> None:
        logging.Handler.__init__(self)

    @property
    def stream(self) -> TextIO:  # type: ignore[override]
        return sys.stderr

    def format(self, record: logging.LogRecord) -> str:
        line = super().format(record)
        return line if record.levelno < logging.WARNING else f"{record.levelname.lower()}: {line}"


def _start_logging() -> None:
    logger = logging.getLogger("decig")
    logger.handlers = [_StderrHandler()]
    logger.setLevel(logging.INFO)


def _report(error: BaseException) -> int:
    """Say in one line what went wrong; returns the exit code."""
    code, text = _explain(error)
    click.echo(f"decig: {text}", err=True)
    return code


def _explain(error: BaseException) -> tuple[int, str]:
    match error:
        case DecigError():
            stopped = isinstance(error.__cause__, KeyboardInterrupt)
            return INTERRUPTED if stopped else error.exit_code, f"error: {error}"
        case click.UsageError():
            command = error.ctx.command_path if error.ctx else "decig"
            return 2, f"error: {error.format_message()} See {command} --help"
        case click.ClickException():
            return error.exit_code, f"error: {error.format_message()}"
        case click.Abort() | KeyboardInterrupt():
            return INTERRUPTED, "interrupted"
        case MemoryError():
            return 1, "error: out of memory"
        case OSError(errno=errno.ENOSPC):
            return 1, f"error: {error.filename or 'output'}: the disk is full"
        case _:
            kind = type(error).__name__
            first = (str(error).splitlines() or [""])[0]
            return 1, f"internal error: {kind}: {first} (run again with --debug)"
