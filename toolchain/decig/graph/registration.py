"""Tables that are filled entry by entry, in which no entry takes the place of an earlier one."""

from collections.abc import Iterable
from typing import TypeVar

T = TypeVar("T")


def enter(table: dict[str, T], name: str, entry: T) -> None:
    """Add an entry to a table.

    Raises:
        ValueError: the name is taken; the message says by what.
    """
    if name in table:
        earlier, later = (_described(each) for each in (table[name], entry))
        raise ValueError(f"{name} is registered twice: as {earlier} and as {later}; remove one")
    table[name] = entry


def table_of(entries: Iterable[tuple[str, T]]) -> dict[str, T]:
    """Make a table of names and entries; errors as `enter`."""
    table: dict[str, T] = {}
    for name, entry in entries:
        enter(table, name, entry)
    return table


def _described(entry: object) -> str:
    """Module and name of a function; whatever else an entry is, as it shows itself."""
    module, name = (getattr(entry, each, None) for each in ("__module__", "__qualname__"))
    return f"{module}.{name}" if name else repr(entry)
