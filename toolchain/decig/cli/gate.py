"""Options of `decig check` for CI: how sure its answers must be, and the files that it leaves."""

import contextlib
from collections.abc import Sequence
from dataclasses import dataclass
from functools import wraps
from itertools import zip_longest
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from decig.cli.options import Function, with_options
from decig.cli.process import Command, explain
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
        if junit is not None:
            write_bytes(Path(junit), junit_error(text))
        if markdown is not None:
            add_text(Path(markdown), markdown_error(text))


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
            "--junit", type=output_file, metavar="FILE", help="Write the answers as JUnit XML."
        ),
        click.option(
            "--markdown",
            type=output_file,
            metavar="FILE",
            help="Add a summary in Markdown to FILE, such as $GITHUB_STEP_SUMMARY.",
        ),
    )
