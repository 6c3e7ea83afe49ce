"""What every command needs to print tables for people, on stdout."""

from collections.abc import Mapping, Sequence
from typing import Any

from rich.console import Console
from rich.table import Table

_WIDE = 140
"""Columns of text where there is no terminal that has a width."""


def console() -> Console:
    """Return where tables are printed: in full width where stdout is no terminal."""
    # Names of nodes look like markup and emoji codes to rich; they are neither.
    made = Console(highlight=False, markup=False, emoji=False)
    if not made.is_terminal:
        made.width = _WIDE
    return made


def columns(*left: str, right: Sequence[str] = ()) -> Table:
    """Return an empty table with these titles, the latter ones over figures."""
    shown = Table(*left, *right, box=None)
    for column in shown.columns[len(left) :]:
        column.justify = "right"
    return shown


def percent(share: float) -> str:
    """Write a share of 1: 12.3 %."""
    return f"{100 * share:.1f} %"


def figure(value: float, digits: int = 4) -> str:
    """Write a figure with a few digits; large ones in full, 1,234,567, never as a power of ten."""
    return f"{value:,.0f}" if abs(value) >= 10**digits else f"{value:.{digits}g}"


def print_figures(figures: Mapping[str, Any]) -> None:
    """Show figures, one per line."""
    screen = console()
    for name, value in figures.items():
        if isinstance(value, Mapping):
            shown = ", ".join(f"{key} {_short(part)}" for key, part in value.items())
        else:
            shown = _short(value)
        screen.print(f"{name.replace('_', ' ')}: {shown}", soft_wrap=True)


def _short(value: Any) -> str:
    return figure(value, 5) if isinstance(value, float) else str(value)
