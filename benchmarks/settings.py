"""Files of settings for `decig compress --config`: the user's own with some keys changed."""

import json
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from decig.files import write_bytes


def written(file: Path, base: Path | None, tables: Mapping[str, Mapping[str, Any]]) -> Path:
    """Write settings: those of `base` with the keys of `tables` over them; returns the file.

    Values are numbers, texts, truth values or lists of them, which JSON and TOML write alike.
    """
    found: dict[str, dict[str, Any]] = {}
    if base is not None:
        found = tomllib.loads(base.read_text(encoding="utf-8"))
    for name, keys in tables.items():
        found[name] = found.get(name, {}) | dict(keys)
    lines = []
    for name, keys in found.items():
        lines += [f"[{name}]", *(f"{key} = {json.dumps(value)}" for key, value in keys.items()), ""]
    file.parent.mkdir(parents=True, exist_ok=True)
    write_bytes(file, "\n".join(lines).encode())
    return file
