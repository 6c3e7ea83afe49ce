"""TOML files that benchmarks write: settings of `decig compress`, and recipes."""

import json
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from decig.files import write_bytes


def written(file: Path, base: Path | None, tables: Mapping[str, Mapping[str, Any]]) -> Path:
    """Write a file: that of `base` with the keys of `tables` over its own; returns the file."""
    found: dict[str, dict[str, Any]] = {}
    if base is not None:
        found = tomllib.loads(base.read_text(encoding="utf-8"))
    for name, keys in tables.items():
        found[name] = found.get(name, {}) | dict(keys)
    lines = []
    for name, keys in found.items():
        lines += [f"[{name}]", *(f"{key} = {_value(value)}" for key, value in keys.items()), ""]
    file.parent.mkdir(parents=True, exist_ok=True)
    write_bytes(file, "\n".join(lines).encode())
    return file


def _value(value: Any) -> str:
    """A value of a TOML table; JSON writes numbers, texts and truth values alike."""
    if isinstance(value, Mapping):
        return "{ " + ", ".join(f"{key} = {_value(each)}" for key, each in value.items()) + " }"
    if isinstance(value, list):
        return "[" + ", ".join(_value(each) for each in value) + "]"
    return json.dumps(value)
