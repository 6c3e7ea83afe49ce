"""`decig profile`: measure a model on this machine and write its cost table."""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import click

from decig.cli.options import device_options, output_option, source_options
from decig.cli.process import Command, debug_option

if TYPE_CHECKING:
    from decig.api.deployment import Effort
    from decig.device.cost.table import CostTable
    from decig.device.run.device import Device
    from decig.source.source import Source

_COSTLIEST = 15
"""Nodes that the table on the terminal shows."""


@click.command(cls=Command)
@output_option("The cost table, JSON.")
@source_options(pixels=False, untrained=True)
@device_options
@click.option(
    "--quick", "effort", flag_value="quick", help="Measure fewer widths, in half the time."
)
@click.option(
    "--thorough",
    "effort",
    flag_value="thorough",
    help="Measure until predictions are hardly in doubt.",
)
@debug_option
def profile(source: "Source", output: Path, device: "Device", effort: "Effort | None") -> None:
    """Measure MODEL on this machine.

    Writes the cost table that slice and compress plan with: the time of every node at many
    widths, with the exact rewrites that export would make. A recipe that is not trained yet is
    measured with random weights: decig train --profile takes that table.
    """
    from decig.api.deployment import profile as measure
    from decig.api.models import require_apart
    from decig.cli.progress import ProgressBar
    from decig.graph.channels import analyse
    from decig.report.anatomy import layer_names

    require_apart(output, source)
    with ProgressBar() as bar:
        table = measure(source, device=device, effort=effort or "standard", progress=bar.update)
    table.save(output)
    _print_profile(table, layer_names(analyse(source.model.proto)))


def _print_profile(table: "CostTable", layers: Mapping[str, str]) -> None:
    """Show the latency and the nodes that cost the most.

    Args:
        table: the cost table.
        layers: names that `decig inspect` has for nodes with weights.
    """
    from decig.cli import roofs
    from decig.cli.tables import columns, console, percent
    from decig.report.anatomy import short_names

    screen = console()
    nodes = sorted(table.nodes, key=lambda node: -node.latency_us)
    names = short_names(layers.get(node.name, node.name) for node in nodes)
    roofline = table.roofline
    parts = {} if roofline is None else {part.name: part for part in roofline.nodes}
    shown = columns("node", "op", right=("ms", "share", *(roofs.COLUMNS if parts else ())))
    for node in nodes[:_COSTLIEST]:
        reached = roofs.cells(parts.get(node.name)) if parts else []
        name = names[layers.get(node.name, node.name)]
        shown.add_row(name, node.op, f"{node.latency_us / 1e3:.3f}", percent(node.share), *reached)
    screen.print(shown)
    if len(nodes) > _COSTLIEST:
        screen.print(f"and {len(nodes) - _COSTLIEST} nodes that cost less")
    found = table.latency_us
    screen.print(
        f"\nlatency {found.median_ms:.3f} ms (median of {found.runs} runs, "
        f"MAD {found.mad / 1e3:.3f} ms, p90 {found.p90 / 1e3:.3f} ms), "
        f"{table.as_it_is_ms:.3f} ms without rewrites"
    )
    if roofline is not None:
        screen.print(roofs.summary(roofline.to_dict(), roofline.limits.to_dict()))
