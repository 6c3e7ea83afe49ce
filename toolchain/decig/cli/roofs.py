"""Roofline figures for the terminal: what nodes reach, compared with what the device allows."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from rich.table import Table

from decig.report.anatomy import short_names

if TYPE_CHECKING:
    from decig.device.measure.roofline import Roofline, RooflineEntry

COLUMNS = ("GFLOP/s", "GB/s", "of limit", "bound")
"""Titles of the columns that `cells` fills."""


def cells(part: "RooflineEntry | None") -> list[str]:
    """Format the figures of a part of the graph, one per column of `COLUMNS`.

    They are the GFLOP/s and GB/s that it reaches, the least time that the device allows it as a
    share of the measured time, and whether compute or memory sets that limit; dashes for a part
    that takes no time.
    """
    if part is None or not part.latency_us:
        return ["-"] * len(COLUMNS)
    reached = f"{part.gflops:.1f}" if part.work.macs else "-"
    return [reached, f"{part.gbytes_per_s:.2f}", f"{100 * part.of_limit:.0f} %", part.bound]


def node_table(roofline: "Roofline", most: int, layers: Mapping[str, str]) -> Table:
    """Return a table of the `most` costliest nodes, one per row.

    Args:
        roofline: of a graph.
        most: rows of the table.
        layers: names that `decig inspect` has for nodes with weights, by the names of the nodes.
    """
    shown = Table("node", "op", "ms", *COLUMNS, box=None)
    for column in shown.columns[2:]:
        column.justify = "right"
    parts = roofline.costliest(most)
    names = short_names(layers.get(part.name, part.name) for part in parts)
    for part in parts:
        name = names[layers.get(part.name, part.name)]
        shown.add_row(name, part.op, f"{part.latency_us / 1e3:.3f}", *cells(part))
    return shown


def summary(found: Mapping[str, Any], limits: Mapping[str, float]) -> str:
    """Summarise the JSON objects of a graph (`Roofline.to_dict`) and of the limits in one line."""
    reached = (
        f"{found[key]:.4g} of {limits[key]:.4g} {unit}"
        for key, unit in (("gflops", "GFLOP/s"), ("gbytes_per_s", "GB/s"))
    )
    share = f"{100 * found['of_limit']:.0f} %"
    return f"{' and '.join(reached)}: {share} of what the limits allow, mostly {found['bound']}"
