"""The name of a run folder, where the user gives none."""

import re
from collections.abc import Mapping, Sequence
from pathlib import Path

from decig.device.plan.wanted import Kind, Wanted

_KINDS: dict[str, Kind] = {
    "target_latency": "latency",
    "target_speedup": "speedup",
    "target_macs": "macs",
}
"""What each parameter counts that names targets."""


def new_folder(model: str, targets: Mapping[str, Sequence[float] | None]) -> Path:
    """Name a folder in the working directory that is not there yet: generator-4x, generator-4x-2.

    Args:
        model: MODEL, as it was typed.
        targets: the numbers asked for, by the name of the parameter.
    """
    parts = [_short(model)]
    for name, kind in _KINDS.items():
        parts += [Wanted(kind, number).name for number in targets.get(name) or ()]
    wanted = folder = Path("-".join(parts))
    number = 2
    while folder.exists():
        folder, number = wanted.with_name(f"{wanted.name}-{number}"), number + 1
    return folder


def _short(model: str) -> str:
    """What people call a model: its file, its folder or its class."""
    path = Path(model).absolute()
    if path.name == "recipe.toml":
        path = path.parent
    name = path.name if path.is_dir() else path.stem  # a folder's name may hold dots
    if not path.exists() and ":" in model:
        name = model.rpartition(":")[2]
    return re.sub(r"[^\w.-]+", "-", name).strip("-.") or "run"
