"""`decig inspect`: show the channel groups of a model, and what each of them costs."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from decig.cli.options import json_option, source_options
from decig.cli.process import Command, debug_option, show
from decig.cli.values import EXISTING_FILE

if TYPE_CHECKING:
    from decig.graph.channels import Group
    from decig.report.anatomy import Anatomy
    from decig.report.inspection import Inspection
    from decig.source.source import Source


@click.command(cls=Command)
@click.option(
    "--profile", type=EXISTING_FILE, help="Cost table: adds each group's share of the latency."
)
@click.option(
    "--plan", type=EXISTING_FILE, help="Plan: adds how many channels of each group it keeps."
)
@source_options(pixels=False)
@json_option
@debug_option
def inspect(source: "Source", profile: Path | None, plan: Path | None, as_json: bool) -> None:
    """Show the channel groups of MODEL and what they cost.

    Says of each group that cannot be cut why it cannot.
    """
    from decig.device.cost.table import CostTable
    from decig.graph.plan import Plan
    from decig.report.inspection import inspect_model

    table = None if profile is None else CostTable.load(profile)
    found = inspect_model(source.model, table, None if plan is None else Plan.load(plan))
    show(found, as_json, _print_inspection)


def _print_inspection(found: "Inspection") -> None:
    """Show the groups, stage by stage, and their costs."""
    from decig.cli import roofs
    from decig.cli.tables import columns, console
    from decig.report.anatomy import by, short_names
    from decig.report.inspection import REST

    names = short_names(name for part in found.anatomies.values() for name in part.made_by)
    titles = short_names(group.name for group in found.groups)
    figures = ["params", "MACs", "share"]
    figures += ["latency"] * (found.group_latency is not None)
    figures += [*roofs.COLUMNS[:3]] * (found.roofline is not None)
    figures += ["kept"] * (found.kept is not None)
    shown = columns("group", "channels", "layers", right=figures)
    shown.columns[1].justify = "right"
    shown.add_column("stays because")
    groups = {group.name: group for group in found.groups}
    for stage in found.stages:
        shown.add_row(by(stage.size) or "no picture", *[""] * 2, *_costs(found, stage.groups))
        for group in (groups[name] for name in stage.groups):
            cells = _costs(found, [group.name])
            if found.kept is not None:
                cells.append(str(found.kept[group.name]))
            layers = _layers(found.anatomies[group.name], group.name, names)
            shown.add_row(f"  {titles[group.name]}", _width(group), layers, *cells, group.reason)
    if any(costs.get(REST) for costs in (found.group_params, found.group_macs)):
        shown.add_row(REST, "", "", *_costs(found, [REST]))
    screen = console()
    screen.print("  ".join(f"{name} {by(shape)}" for name, shape in found.ports.items()))
    screen.print(shown)
    screen.print(f"\n{found.params:,} parameters, {found.macs:,} multiply-accumulates")
    if found.roofline is not None:
        screen.print(roofs.summary(found.roofline.to_dict(), found.roofline.limits.to_dict()))
    rough = [group.name for group in found.groups if group.prunable and not group.exact]
    if rough:
        screen.print(f"share statistics, so cutting them changes the rest: {', '.join(rough)}")


def _width(group: "Group") -> str:
    """Channels that can go one by one; where several can only go together, how many."""
    return str(group.channels) if group.copies == 1 else f"{group.channels} x {group.copies}"


def _layers(anatomy: "Anatomy", group: str, names: Mapping[str, str]) -> str:
    """List the layers of a group, and which other layers make its channels."""
    kinds = ", ".join(
        kind if count == 1 else f"{count} {kind}" for kind, count in anatomy.layers.items()
    )
    others = [names[name] for name in anatomy.made_by if name != group]
    if not others:
        return kinds
    ends = others if len(others) < 3 else [others[0], "...", others[-1]]
    return f"{kinds}; with {', '.join(ends)}"


def _costs(found: "Inspection", groups: Sequence[str]) -> list[str]:
    """Parameters, multiply-accumulates and their share, and the share of the latency."""
    from decig.cli import roofs
    from decig.cli.tables import percent

    params, macs = (
        sum(figures.get(group, 0) for group in groups)
        for figures in (found.group_params, found.group_macs)
    )
    cells = [f"{params:,}", f"{macs / 1e6:,.1f} M", percent(macs / found.macs) if macs else "-"]
    if found.group_latency is not None:
        cells.append(percent(sum(found.group_latency.get(group, 0.0) for group in groups)))
    if found.roofline is not None:
        parts = [found.group_parts[group] for group in groups if group in found.group_parts]
        cells += roofs.cells(found.roofline.together(parts))[:3]
    return cells
