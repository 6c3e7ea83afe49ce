"""JSON Schemas of the files that decig reads and writes, for other programs.

    decig.formats.schema("plan")

They are made from the records that read those files, and a test holds both together;
docs/formats.md describes each file. decig itself reads by the records and not by the schemas.
"""

import json
from importlib.resources import files
from typing import Any

from decig.errors import BadInputError

_SUFFIX = ".schema.json"


def names() -> list[str]:
    """Names of all formats, such as "cost-table"."""
    found = (entry.name for entry in files(__name__).iterdir())
    return sorted(name.removesuffix(_SUFFIX) for name in found if name.endswith(_SUFFIX))


def schema(name: str) -> dict[str, Any]:
    """Return the JSON Schema (draft 2020-12) of a format.

    Raises:
        BadInputError: there is no format of this name.
    """
    if name not in names():
        raise BadInputError(f"there is no format {name!r}; known: {', '.join(names())}")
    text = (files(__name__) / f"{name}{_SUFFIX}").read_text(encoding="utf-8")
    found: dict[str, Any] = json.loads(text)
    return found
