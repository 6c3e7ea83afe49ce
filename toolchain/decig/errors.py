"""Errors that a user can act on. Each class owns the exit code of the process it ends.

The message is one line: it names the file, node or option and says what to do.
"""

import re


class DecigError(Exception):
    """Something failed that the user should know about; exit code 1."""

    exit_code = 1


class BadInputError(DecigError):
    """Wrong usage or unusable input: a file, an image, a shape, an option; exit code 2."""

    exit_code = 2


class TargetMissedError(DecigError):
    """A latency target or a quality tolerance was not reached; exit code 3."""

    exit_code = 3


class Terminated(KeyboardInterrupt):
    """SIGTERM, by which schedulers and containers stop a process: it ends as by Ctrl-C."""


class StoppedError(DecigError):
    """A signal ended what can go on.

    The exit code is as shells report it, 128 plus the signal's number: 130 for Ctrl-C (SIGINT),
    143 for SIGTERM.
    """

    exit_code = 130

    def __init__(self, text: str, interrupt: BaseException | None = None) -> None:
        """Say what stopped; the interrupt that did it decides on the exit code."""
        super().__init__(text)
        if isinstance(interrupt, Terminated):
            self.exit_code = 143


def with_text(error: DecigError, text: str) -> DecigError:
    """An error of the same kind, and the same exit code, that says something else."""
    kinds = (TargetMissedError, BadInputError, DecigError)
    return next(kind for kind in kinds if isinstance(error, kind))(text)


def first_line(error: BaseException) -> str:
    """What an exception of another library says, in one line; its type where it says nothing."""
    lines = (line.strip() for line in str(error).splitlines())
    return next(filter(None, lines), type(error).__name__)


def ort_reason(error: BaseException) -> str:
    """ONNX Runtime's message without its prefix, source positions, signatures and line breaks."""
    text = re.sub(r"^\[ONNXRuntimeError\] : \d+ : \w+ : ", "", str(error))
    text = re.sub(r"/\S+\.(cc|h):\d+ ", "", text)
    text = re.sub(r"(\S*<)?[\w:]* ?onnxruntime::\S.*\) (?=[A-Z])", "", text)
    return " ".join(text.split())
