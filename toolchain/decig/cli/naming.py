"""The name of a run folder, where the user gives none."""

import re
from collections.abc import Mapping, Sequence
from pathlib import Path

from decig.device.plan.wanted import Kind, Wanted
from decig.files import writing

_KINDS: dict[str, Kind] = {
    "target_latency": "latency",
    "target_speedup": "speedup",
    "target_macs": "macs",
}
"""What each parameter counts that names targets."""


def new_folder(
    model: str, targets: Mapping[str, Sequence[float] | None], *, make: bool = False
) -> Path:
    """Name a folder in the working directory that is not there yet: generator-4x, generator-4x-2.

    Args:
        model: MODEL, as it was typed.
        targets: the numbers asked for, by the name of the parameter.
        make: whether to make it at once, so that no other process takes the same name.

    Raises:
        BadInputError, DecigError: it cannot be made.
    """
    parts = [_short(model)]
    for name, kind in _KINDS.items():
        parts += [Wanted(kind, number).name for number in targets.get(name) or ()]
    wanted = folder = Path("-".join(parts))
    number = 2
    while not _is_new(folder, make=make):
        folder, number = wanted.with_name(f"{wanted.name}-{number}"), number + 1
    return folder


def _is_new(folder: Path, *, make: bool) -> bool:
    """Whether no such folder is there; it is made by the way where that is asked for."""
    if not make:
        return not folder.exists()
    with writing(folder):
        try:
            folder.mkdir()
        except FileExistsError:
            return False
    return True


def _short(model: str) -> str:
    """What people call a model: its file, its folder or its class."""
    path = Path(model).absolute()
    if path.name == "recipe.toml":
        path = path.parent
    name = path.name if path.is_dir() else path.stem  # a folder's name may hold dots
    if not path.exists() and ":" in model:
        name = model.rpartition(":")[2]
    return re.sub(r"[^\w.-]+", "-", name).strip("-.") or "run"
