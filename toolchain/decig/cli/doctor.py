"""`decig doctor`: what is installed here, what really runs, and what is missing."""

from typing import TYPE_CHECKING

import click

from decig.cli.options import json_option
from decig.cli.process import Command, debug_option, show
from decig.errors import DecigError

if TYPE_CHECKING:
    from decig.report.installation import Installation


@click.command(cls=Command)
@json_option
@debug_option
def doctor(as_json: bool) -> None:
    """Show what is installed here and what really runs.

    Runs a small graph on every execution provider. What is missing comes with the line that
    installs it. The exit code is 1 if decig cannot work here.
    """
    from decig.report.installation import look_at_installation

    found = look_at_installation()
    show(found, as_json, _print_installation)
    if found.problems:
        raise DecigError("; ".join(found.problems))


def _print_installation(found: "Installation") -> None:
    from decig.cli.tables import columns, console

    shown = columns("", "")
    shown.add_row("decig", f"{found.decig}, Python {found.python}, {found.system}")
    shown.add_row("processor", found.cpu)
    shown.add_row("cores", f"{found.cores} for this process, {found.threads} threads by default")
    shown.add_row("matrix products", "; ".join(found.blas) or "unknown")
    shown.add_row("memory", f"{found.memory_mib:,} MiB available")
    shown.add_row("ONNX Runtime", ", ".join(found.onnxruntime) or "not from a known package")
    for tried in found.providers:
        shown.add_row(f"  {tried.name}", tried.fault or "runs")
    shown.add_row("PyTorch", found.torch or "not installed")
    for extra in found.extras:
        shown.add_row(f"decig[{extra.name}]", "complete" if extra.complete else "not complete")
    screen = console()
    screen.print(shown)
    for line in found.advice:
        screen.print(line, soft_wrap=True)
