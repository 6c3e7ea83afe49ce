"""JSON Schemas of decig's files, made from the records that read them (toolchain/decig/formats)."""

import inspect
import re
import textwrap
from typing import Any

import msgspec

from decig import records, repeating
from decig.device.cost import table
from decig.device.run.fingerprint import Fingerprint
from decig.graph import plan
from decig.source import recipe, resolve, stamp
from decig.training import config, methods
from decig.training.loop import settings
from decig.training.tasks import distil, label_map, paired, unpaired
from tests.docs.report_keys import Report

FOLDER = "toolchain/decig/formats"
DIALECT = "https://json-schema.org/draft/2020-12/schema"

Schema = dict[str, Any]

_ENTRY = re.compile(r"(?m)^(\w+): (.*(?:\n[ ]+.*)*)")
_TASKS = {"paired": paired, "unpaired": unpaired, "label_map": label_map}

_KEPT = {
    "sessions": (records.SESSIONS_FILE, list[records.Session]),
    "planning": (records.PLANNING_FILE, list[records.Search]),
    "groups": (records.GROUPS_FILE, records.Scores),
    "curve": (f"A line of {records.CURVE_FILE}", records.Point),
    "nodes": (records.NODES_FILE, records.Nodes),
    "pictures": (records.PICTURES_FILE, records.Pictures),
    "frontier": (records.FRONTIER_FILE, records.Frontier),
}
"""What a run leaves for its report: file and record by the name of the format."""


def schemas() -> dict[str, Schema]:
    """Every schema by the name of its format."""
    return {
        "cost-table": _versioned(_of(table.CostTable), table.SCHEMA_VERSION, "Cost table"),
        "plan": _titled(_of(plan._File), "Plan"),
        "recipe": _titled(_recipe(), "Recipe, recipe.toml"),
        "settings": _titled(_settings(), "File of settings, for --config"),
        "run-toml": _titled(_run_toml(), "Record of a run to repeat it, run.toml"),
        "run": _versioned(_run(), 1, "Record of a run, run.json"),
        "report": _versioned(_of(Report), 1, "Figures of a run, report.json"),
        **{name: _titled(_of(kind), f"{file} of a run") for name, (file, kind) in _KEPT.items()},
        "stamp": _titled(_stamp(), "What decig writes into metadata_props, without 'decig.'"),
    }


def _recipe() -> Schema:
    found = _closed(_of(recipe._File))
    kinds = []
    for name, module in _TASKS.items():
        kind = _inlined(found, module.Settings, f"train.{name}")
        kinds.append({"allOf": [kind, _task(name)]})
    own = {"type": "object", "required": ["task"], "properties": {"task": {"pattern": r"\."}}}
    file = found["$defs"][_name(found)]
    file["properties"]["train"] = {"anyOf": [*kinds, own]}
    return found


def _task(name: str) -> Schema:
    if name == "paired":
        return {"properties": {"task": {"enum": ["", name]}}}
    return {"required": ["task"], "properties": {"task": {"const": name}}}


def _settings() -> Schema:
    kinds = {"train": settings.Settings, "distil": distil.Settings}
    kinds |= {name: methods.find(name).Settings for name in methods.names()}
    found: Schema = {"type": "object", "$defs": {}, "additionalProperties": {"type": "object"}}
    found["properties"] = {name: _inlined(found, kind, name) for name, kind in kinds.items()}
    return found


def _run_toml() -> Schema:
    found = _settings()
    options = "of the command, by their names: target_speedup for --target-speedup."
    found["properties"] |= {
        repeating.OPTIONS: {"type": "object", "description": options},
        repeating.RECORDED: _inlined(found, repeating.Recorded, repeating.RECORDED),
    }
    found["required"] = [repeating.RECORDED]
    return found


def _run() -> Schema:
    found: Schema = {"type": "object", "$defs": {}}
    kinds = {"fed": resolve._Run, "settings": config._Recorded}
    found["allOf"] = [_inlined(found, kind, name) for name, kind in kinds.items()]
    return found


def _stamp() -> Schema:
    found: Schema = {"type": "object", "$defs": {}}
    found["allOf"] = [_inlined(found, stamp.Known, "fed")]
    found["properties"] = {
        "version": {"type": "string", "description": "of decig that wrote the file."},
        "device": _inlined(found, Fingerprint, "device"),
        "plan": _inlined(found, plan._File, "plan"),
        "figures": {"type": "object", "description": "what the export measured."},
    }
    found["required"] = ["version"]
    return found


def _of(kind: Any) -> Schema:
    """The schema of a record, with what its docstring says of each field."""
    found = msgspec.json.schema(kind)
    for part in found.get("$defs", {}).values():
        _describe(part)
    if isinstance(kind, type) and "$ref" in found:
        _add(found["$defs"][_name(found)], _inherited(kind))
    return found


def _inherited(kind: type) -> dict[str, str]:
    """What the docstrings of a record's bases say of its fields."""
    found: dict[str, str] = {}
    for base in reversed(kind.__mro__[1:]):
        found |= _entries(inspect.cleandoc(base.__doc__ or "").partition("\nAttributes:\n")[2])
    return found


def _entries(attributes: str) -> dict[str, str]:
    """The fields that the second part of a docstring names, and what it says of them."""
    listed = _ENTRY.findall(textwrap.dedent(attributes))
    return {name: " ".join(what.split()) for name, what in listed}


def _add(part: Schema, texts: dict[str, str]) -> None:
    """Describe the properties that have no description yet."""
    for name, what in texts.items():
        if name in part.get("properties", {}):
            part["properties"][name].setdefault("description", what)


def _describe(part: Schema) -> None:
    """Give each property its line of the record's docstring, and the record its first paragraph."""
    text = inspect.cleandoc(part.pop("description", ""))
    about, _, attributes = text.partition("\nAttributes:\n")
    if about:
        part["description"] = " ".join(about.split("\n\n")[0].split())
    _add(part, _entries(attributes))
    part.pop("title", None)


def _inlined(into: Schema, kind: Any, name: str) -> Schema:
    """Add the definitions of a record to a schema under names of their own; returns a reference."""
    text = msgspec.json.encode(_of(kind)).decode().replace("#/$defs/", f"#/$defs/{name}.")
    made = msgspec.json.decode(text)
    into["$defs"] |= {f"{name}.{key}": part for key, part in made["$defs"].items()}
    return {"$ref": made["$ref"]}


def _closed(found: Schema) -> Schema:
    """Forbid unknown keys, as decig does in files that people write."""
    for part in found["$defs"].values():
        if "properties" in part:
            part["additionalProperties"] = False
    return found


def _name(found: Schema) -> str:
    return str(found["$ref"]).rpartition("/")[2]


def _titled(found: Schema, title: str) -> Schema:
    return {"$schema": DIALECT, "title": title, **found}


def _versioned(found: Schema, version: int, title: str) -> Schema:
    """Ask for the version of the format."""
    rule = {"required": ["schema_version"], "properties": {"schema_version": {"const": version}}}
    allowed = [{"$ref": found.pop("$ref")}] if "$ref" in found else found.pop("allOf")
    return _titled({**found, "allOf": [*allowed, rule]}, title)
