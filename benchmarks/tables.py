"""Cost tables that benchmarks share, and results that several commands add to."""

import json
from pathlib import Path
from typing import Any

from decig.deploy.profiling import accept_device, profile_as_deployed
from decig.device.session import DeviceOptions
from decig.device.table import CostTable
from decig.files import write_json
from decig.source import Source

RESULTS = Path(__file__).parent / "results"


def cost_table(name: str, source: Source, options: DeviceOptions, folder: Path) -> CostTable:
    """Load FOLDER/NAME-PROVIDER-THREADS.json, or take it as `decig profile` does and keep it."""
    path = folder / f"{name}-{described(options).replace(' ', '-')}-{options.threads}.json"
    if path.exists():
        table = CostTable.load(path)
        accept_device(table, force=False)
        return table
    table = profile_as_deployed(source.model, options, lambda done, total: None)
    folder.mkdir(parents=True, exist_ok=True)
    table.save(path)
    return table


def described(options: DeviceOptions) -> str:
    """Provider, and its options where some were given."""
    given = (f"{key}={value}" for key, value in sorted(options.provider_options.items()))
    return " ".join([options.provider, *given])


def merged(file: str, rows: list[dict[str, Any]], keys: tuple[str, ...]) -> list[dict[str, Any]]:
    """Put rows in the place of those with the same keys in a results file; return all of them."""
    path = RESULTS / file
    kept = json.loads(path.read_text()) if path.exists() else []
    fresh = {tuple(row[key] for key in keys) for row in rows}
    found = [row for row in kept if tuple(row[key] for key in keys) not in fresh] + rows
    RESULTS.mkdir(exist_ok=True)
    write_json(path, found)
    return found
