"""Models and cost tables that benchmarks share, and results that several commands add to."""

import json
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click

from decig.device.cost.deployed import profile_as_deployed
from decig.device.cost.table import CostTable
from decig.device.plan.target import Target
from decig.device.run.device import Device
from decig.errors import DecigError
from decig.files import write_json
from decig.source.flags import PixelFlags
from decig.source.resolve import resolve
from decig.source.source import Source

RESULTS = Path(__file__).parent / "results"


def cost_table(name: str, source: Source, device: Device, folder: Path) -> CostTable:
    """Load a table from FOLDER, or take it as `decig profile` does and keep it there.

    The file is NAME-PROVIDER-THREADS.json; options of the provider stand behind its name.
    """
    where = re.sub(r"[^\w.=]+", "-", described(device))
    path = folder / f"{name}-{where}-{device.threads}.json"
    if path.exists():
        table = CostTable.load(path)
        Target.of(table, source.model, force=False)
        return table
    table = profile_as_deployed(source.model, device, lambda done, total: None)
    folder.mkdir(parents=True, exist_ok=True)
    table.save(path)
    return table


def described(device: Device) -> str:
    """Provider, and its options where some were given."""
    given = (f"{key}={value}" for key, value in sorted(device.given.items()))
    return " ".join([device.provider.short, *given])


def machine(table: CostTable) -> str:
    """Name of what computed: the processor, or the accelerator instead of it."""
    return table.device.computes


def merged(file: str, rows: list[dict[str, Any]], keys: tuple[str, ...]) -> list[dict[str, Any]]:
    """Replace the rows with the same keys in a results file; return all of them."""
    path = RESULTS / file
    kept = json.loads(path.read_text(encoding="utf-8")) if path.exists() else []
    fresh = {tuple(row[key] for key in keys) for row in rows}
    found = [row for row in kept if tuple(row[key] for key in keys) not in fresh] + rows
    RESULTS.mkdir(exist_ok=True)
    write_json(path, found)
    return found


def write_by_machine(file: str, header: str, lines: list[tuple[str, str]]) -> None:
    """Write a table for each machine to a results file; `lines` are (machine, row)."""
    tables = [
        "\n".join([f"On {name}:", "", header, *(row for where, row in lines if where == name)])
        for name in sorted({where for where, _ in lines})
    ]
    (RESULTS / file).write_text("\n\n".join(tables) + "\n", encoding="utf-8")


def named(models: Sequence[str], flags: PixelFlags | None = None) -> list[tuple[str, Source]]:
    """Read all models, so that one that cannot be read is found before any is measured.

    Args:
        models: what decig takes as MODEL.
        flags: pixel formats from the command line.

    Returns:
        Their names in tables, and the models.

    Raises:
        click.ClickException: a model cannot be read, or needs a package that is not installed.
    """
    try:
        return [(Path(text).stem, resolve(text, flags)) for text in models]
    except DecigError as error:
        raise click.ClickException(str(error)) from error
