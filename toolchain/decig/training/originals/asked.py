"""What a training of an original was asked to do, so that nothing else goes on in its folder."""

import json
from collections.abc import Collection, Mapping
from dataclasses import asdict, is_dataclass
from pathlib import Path
from typing import Any

from decig.errors import BadInputError
from decig.files import json_text, write_json
from decig.schema import read_json
from decig.source.recipe import Recipe

FILE = "training.json"
"""File of the run folder that says it."""
STEPS = "steps"
"""Key of the number of steps, which may depend on the images and on the processes."""


def asked_of(recipe: Recipe, more: Mapping[str, Any]) -> dict[str, Any]:
    """What a training must have in common with the one that it goes on with, as JSON values.

    Args:
        recipe: that is trained.
        more: further values, by their keys.
    """
    parts = (recipe.source, recipe.pixels, recipe.input_shapes, recipe.train)
    names = ("source", "pixels", "input_shapes", "train")
    tables = dict(zip(names, map(_plain, parts), strict=True))
    asked: dict[str, Any] = json.loads(json_text({**tables, **more}))
    return asked


def write_asked(folder: Path, asked: Mapping[str, Any]) -> None:
    """Leave what was asked in a run folder."""
    write_json(folder / FILE, asked)


def require_same(folder: Path, asked: Mapping[str, Any], free: Collection[str] = ()) -> None:
    """Compare with what was asked for when the run in a folder began.

    Args:
        folder: of the run.
        asked: what is asked for now.
        free: keys that may have changed, such as "train.seed".

    Raises:
        BadInputError: the record is missing or damaged, or says something else; names the key.
    """
    known = read_json(folder / FILE, dict[str, Any], "record of a run to resume")
    before, now = (_flat(asked_for) for asked_for in (known, dict(asked)))
    if STEPS not in before:  # as in runs that began before it was recorded
        free = {*free, STEPS}
    for key in sorted(before.keys() | now.keys()):
        if key not in free and before.get(key) != now.get(key):
            raise BadInputError(
                f"{folder}: the run there was begun with {key} = {before.get(key)!r}, not "
                f"{now.get(key)!r}; go on with the same recipe, options, data and number of "
                "processes"
            )


def _plain(part: Any) -> Any:
    """A record of a recipe as plain values."""
    return asdict(part) if is_dataclass(part) and not isinstance(part, type) else part


def _flat(value: Any, key: str = "") -> dict[str, Any]:
    """Values of nested tables by their keys, such as "train.data.direction"."""
    if not isinstance(value, dict):
        return {key: value}
    found: dict[str, Any] = {}
    for name, part in value.items():
        found |= _flat(part, f"{key}.{name}" if key else name)
    return found
