"""`decig report`: what a run reached and how, as one HTML file to show to others."""

from pathlib import Path
from typing import Any

import click

from decig.cli.options import json_option
from decig.cli.process import Command, debug_option, show
from decig.cli.values import EXISTING_FOLDER, output_file
from decig.files import require_writable


@click.command(cls=Command)
@click.argument("run", type=EXISTING_FOLDER)
@click.option(
    "-o",
    "--output",
    type=output_file,
    metavar="FILE",
    help="The report; without it, report.html in RUN.",
)
@json_option
@debug_option
def report(run: Path, output: Path | None, as_json: bool) -> None:
    """Write the report of RUN, a run folder of compress, as one HTML file.

    It holds the verdict, held-out pictures, latency by node, the cut of every channel group, the
    search for the plan, training curves, and what it takes to repeat the run. It loads nothing.
    """
    from decig.report import page

    page.require_packages()
    file = output or run / page.FILE
    require_writable(file)
    show(page.write(run, file), as_json, _print_report)


def _print_report(written: dict[str, Any]) -> None:
    """Say where the report is, and what it cannot show."""
    click.echo(f"{written['report']}: {written['bytes'] / 1e6:.2f} MB")
    for line in written["missing"]:
        click.echo(f"left out: {line}")
