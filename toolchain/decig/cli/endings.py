"""How commands end: exit codes, and what is said in one line of whatever went wrong."""

import errno

import click

from decig.errors import DecigError, StoppedError

EXIT_CODES = (
    "Exit codes: 0 done; 1 failure; 2 wrong usage or bad input; 3 a target or tolerance was "
    "missed; 130 stopped by Ctrl-C; 143 stopped by SIGTERM, as a scheduler does."
)

_NO_MEMORY = (
    "out of memory",
    "can't allocate memory",
    "cannot allocate memory",
    "not enough memory",
    "failed to allocate memory",
    "_status_alloc_failed",  # of cuBLAS and cuDNN
)
"""What errors of PyTorch and ONNX Runtime say where memory ran out, in small letters."""


def explain(error: BaseException) -> tuple[int, str]:
    """The exit code of what ends a command, and what it says, in one line."""
    match error:
        case DecigError():
            return error.exit_code, f"error: {error}"
        case click.UsageError():
            command = error.ctx.command_path if error.ctx else "decig"
            message = error.format_message()
            stop = "" if message.endswith((".", "?", "!", ")")) else "."
            return 2, f"error: {message}{stop} See {command} --help"
        case click.ClickException():
            return error.exit_code, f"error: {error.format_message()}"
        case click.Abort() | KeyboardInterrupt():
            return StoppedError("", error.__cause__ or error).exit_code, "interrupted"
        case OSError(errno=errno.ENOSPC):
            return 1, f"error: {error.filename or 'output'}: the disk is full"
        case OSError(strerror=str(reason), filename=str(name)):
            return 1, f"error: {name}: {reason}"
        case _ if _lacks_memory(error):
            return 1, "error: out of memory"
        case _:
            kind = type(error).__name__
            first = (str(error).splitlines() or [""])[0]
            return 1, f"internal error: {kind}: {first} (run again with --debug)"


def _lacks_memory(error: BaseException) -> bool:
    """Whether memory ran out, of the machine or of a GPU.

    PyTorch's allocators and ONNX Runtime raise errors of their own, by which neither is imported
    here. Errors of files, whose names may hold such words, have a case before this one.
    """
    named = type(error).__name__ == "OutOfMemoryError"
    text = str(error).lower()
    return isinstance(error, MemoryError) or named or any(words in text for words in _NO_MEMORY)
