"""Options of `decig check` for CI: how sure its answers must be, and the files that it leaves."""

import contextlib
from collections.abc import Sequence
from dataclasses import dataclass
from functools import wraps
from itertools import zip_longest
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from decig.cli.endings import explain
from decig.cli.options import Function, with_options
from decig.cli.process import Command
from decig.cli.values import Number, output_file, time_budget
from decig.errors import DecigError

_WRITTEN = "decig.gate_written"

if TYPE_CHECKING:
    from decig.deploy.check import Verdict


@dataclass(frozen=True)
class Gate:
    """What the options say.

    Attributes:
        strict: whether what cannot be told counts as missed.
        confidence: probability that no answer about the latency is wrong.
        timing_s: longest time for which latencies are measured, in seconds.
        junit: file for JUnit XML; None for none.
        markdown: file to which a summary is added; None for none.
    """

    strict: bool
    confidence: float
    timing_s: float
    junit: Path | None
    markdown: Path | None

    def measuring(self) -> dict[str, Any]:
        """What `decig.api.check` is told of how sure its answers must be."""
        return {"strict": self.strict, "confidence": self.confidence, "timing_s": self.timing_s}

    def write(self, verdict: "Verdict", candidate: str) -> None:
        """Write the files that were asked for.

        Raises:
            DecigError: one cannot be written.
        """
        from decig.files import add_text, write_bytes
        from decig.report.gate import junit, markdown

        click.get_current_context().meta[_WRITTEN] = True
        if self.junit is not None:
            write_bytes(self.junit, junit(verdict, candidate))
        if self.markdown is not None:
            add_text(self.markdown, markdown(verdict, candidate))


class GateCommand(Command):
    """A command whose files for CI systems never tell of an earlier call.

    Where it ends without a verdict, whatever the reason, they say so: a CI system that finds the
    JUnit file of the last time would count that.
    """

    def make_context(
        self,
        info_name: str | None,
        args: list[str],
        parent: click.Context | None = None,
        **extra: Any,
    ) -> click.Context:
        """Read the arguments; errors as for every command."""
        given = list(args)
        try:
            return super().make_context(info_name, args, parent, **extra)
        except (click.ClickException, DecigError) as error:
            _write_error(given, error)
            raise

    def invoke(self, context: click.Context) -> Any:
        """Run the command; errors as it has them."""
        from decig.files import destination

        junit: Path | None = context.params["junit"]
        if junit is not None and not destination(junit).stream:
            _write_error([f"--junit={junit}"], DecigError("the check did not come to its end"))
        try:
            return super().invoke(context)
        except (Exception, KeyboardInterrupt) as error:
            ends = isinstance(error, click.exceptions.Exit)
            if not ends and not context.meta.get(_WRITTEN):
                asked = {
                    "--junit": context.params["junit"],
                    "--markdown": context.params["markdown"],
                }
                _write_error([f"{n}={file}" for n, file in asked.items() if file], error)
            raise


def _write_error(arguments: Sequence[str], error: BaseException) -> None:
    """Say in the files that arguments name that there is no verdict, and why."""
    from decig.files import add_text, write_bytes
    from decig.report.gate import junit_error, markdown_error

    text = " ".join(explain(error)[1].split())
    junit, markdown = (_value(arguments, option) for option in ("--junit", "--markdown"))
    with contextlib.suppress(DecigError):  # the error itself is what counts
        if junit is not None and not _doubt(Path(junit), _XML):
            write_bytes(Path(junit), junit_error(text))
        if markdown is not None and not _doubt(Path(markdown)):
            add_text(Path(markdown), markdown_error(text))


_XML = b"<"
"""What XML begins with, and no model."""
_HEAD = 1024
"""Bytes of a file by which can be told what it is."""
_MODELS = (".onnx", ".toml", ".py", ".pth")
"""Suffixes of files that are models, or parts of them."""


def _doubt(file: Path, begins: bytes = b"") -> str:
    """Why a file is not to be replaced or added to; "" where nothing of value is lost.

    An option that was given no value takes the next word for it, which may be the model.

    Args:
        file: that an option names.
        begins: with which its content must begin, where it has any.
    """
    if not file.is_file():
        return ""
    with contextlib.suppress(OSError), file.open("rb") as content:
        head = content.read(_HEAD)
        if head and (not head.startswith(begins) or b"\0" in head or file.suffix in _MODELS):
            return f"{file} is there already and is no such report: name another file"
    return ""


def _junit_file(text: str) -> Path:
    """Read the path of a JUnit file; click.BadParameter where something else is there."""
    return _report_file(text, _XML)


def _markdown_file(text: str) -> Path:
    """Read the path of a file of text to add to; click.BadParameter where it is none."""
    return _report_file(text)


def _report_file(text: str, begins: bytes = b"") -> Path:
    if doubt := _doubt(output_file(text), begins):
        raise click.BadParameter(doubt)
    return Path(text)


def _value(arguments: Sequence[str], option: str) -> str | None:
    """The value of an option among the words of a command line, which may be wrong otherwise."""
    for word, following in zip_longest(arguments, arguments[1:]):
        if word == option:
            return following
        if word.startswith(f"{option}="):
            return word.partition("=")[2]
    return None


def gate_options(function: Function) -> Function:
    """--strict, --confidence, --timing, --junit and --markdown; the command gets `gate`."""

    @wraps(function)
    def run(
        strict: bool,
        confidence: float,
        timing: float,
        junit: Path | None,
        markdown: Path | None,
        **rest: Any,
    ) -> Any:
        return function(gate=Gate(strict, confidence, timing, junit, markdown), **rest)

    return with_options(
        run,
        click.option(
            "--strict",
            is_flag=True,
            help="Count what cannot be told as missed, and accept no unreadable image: "
            "--max-unreadable 0.",
        ),
        click.option(
            "--confidence",
            type=Number(0.5, 0.999999),
            default=0.99,
            metavar="0.99",
            help="How sure answers about the latency must be; 0.99 by default.",
        ),
        click.option(
            "--timing",
            type=time_budget,
            default="60s",
            metavar="60s",
            help="Time after which no more runs begin; the first twelve always do. 60s by default.",
        ),
        click.option(
            "--junit", type=_junit_file, metavar="FILE", help="Write the answers as JUnit XML."
        ),
        click.option(
            "--markdown",
            type=_markdown_file,
            metavar="FILE",
            help="Add a summary in Markdown to FILE, such as $GITHUB_STEP_SUMMARY.",
        ),
    )
