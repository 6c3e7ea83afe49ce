"""Reading files into typed records: one way for recipes, settings, plans, tables and run folders.

A record is a dataclass or a `msgspec.Struct` whose fields have types, defaults and ranges, such as
`Positive`. Reading checks all of them, and whatever does not fit ends in one line that names the
file and the key:

    settings.toml: distil.crop: expected `int` >= 32, not 3

A key that the record does not have is an error in TOML, which people write: a typing mistake would
pass in silence. In JSON, which programs write, it is ignored, so that a file may hold more than its
reader needs. Structs decide themselves: only those of `WrittenByHand` refuse such keys.
"""

import json
import math
import re
import sys
import tomllib
from pathlib import Path
from typing import Annotated, Any, TypeVar

import msgspec

from decig.errors import BadInputError

T = TypeVar("T")

_LEAST = sys.float_info.min
Positive = Annotated[float, msgspec.Meta(ge=_LEAST)]
"""A finite number above 0. `Meta(gt=0)` would accept 0 once ONNX Runtime has run in this process:
msgspec takes it for "from the least denormal number on", and denormals then count as 0."""
NotNegative = Annotated[float, msgspec.Meta(ge=0)]
"""A finite number from 0 on."""
Share = Annotated[float, msgspec.Meta(ge=0, le=1)]
"""A number from 0 to 1."""
Count = Annotated[int, msgspec.Meta(ge=0)]
"""An integer from 0 on."""
AtLeastOne = Annotated[int, msgspec.Meta(ge=1)]
"""An integer from 1 on."""
Seed = Annotated[int, msgspec.Meta(ge=0, le=2**63 - 1)]
"""A seed that every generator of random numbers takes."""

_MESSAGE = re.compile(r"(?P<what>.*?)(?: - at `\$\.?(?P<key>.*)`)?", re.DOTALL)
_UNKNOWN = re.compile(r"Object contains unknown field `(.*)`")
_MISSING = re.compile(r"Object missing required field `(.*)`")
_ANY = "..."
_SHOWN = 60
"""Characters of a wrong value that a message shows."""


class WrittenByHand(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Base of records in files that people write: a key that is not known is an error."""


def read_toml(file: Path, kind: type[T], what: str) -> T:
    """Read a TOML file into a record; a key that the record does not have is an error.

    Args:
        file: its path; a byte order mark at its beginning is skipped.
        kind: type of the record.
        what: kind of file for messages, such as "recipe".

    Raises:
        BadInputError: the file is missing, unreadable, no TOML, or does not fit the record; one
            line that names the file and the key.
    """
    return convert(_parsed(file, what, tomllib.loads, "TOML"), kind, str(file), strict=True)


def read_json(file: Path, kind: type[T], what: str, *, strict: bool = False) -> T:
    """Read a JSON file into a record; arguments and errors as for `read_toml` and `convert`."""
    return convert(_parsed(file, what, json.loads, "JSON"), kind, str(file), strict=strict)


def convert(value: Any, kind: type[T], where: str, *, strict: bool = False) -> T:
    """Make a record of what a TOML or JSON parser gave.

    Args:
        value: dictionaries, lists, texts and numbers.
        kind: type of the record.
        where: what errors begin with, such as the name of a file.
        strict: whether a key that a dataclass does not have is an error.

    Raises:
        BadInputError: a key is unknown or missing, or a value of another type or out of range.
    """
    try:
        if (found := _not_finite(value)) is not None:
            raise BadInputError(f"{found}: not a finite number")
        if strict and (unknown := _unknown(value, msgspec.inspect.type_info(kind))) is not None:
            raise BadInputError(unknown)
        return msgspec.convert(value, kind)
    except msgspec.ValidationError as error:
        raise BadInputError(f"{where}: {_explain(str(error), value, kind)}") from error
    except BadInputError as error:  # from here, or from what a record itself checks
        raise BadInputError(f"{where}: {error}") from error
    except RecursionError as error:
        raise BadInputError(f"{where}: nested too deeply") from error
    except UnicodeEncodeError as error:  # JSON can hold half of a pair of surrogates
        raise BadInputError(f"{where}: a text holds {error.object!r}, which is no text") from error


def _parsed(file: Path, what: str, parse: Any, form: str) -> Any:
    try:
        return parse(Path(file).read_text(encoding="utf-8-sig"))
    except OSError as error:
        raise BadInputError(f"{file}: cannot read this {what}: {error.strerror}") from error
    except (ValueError, RecursionError) as error:  # wrong bytes, and both parsers' own errors
        raise BadInputError(f"{file}: this {what} is not valid {form}: {error}") from error


def _not_finite(value: Any, key: str = "") -> str | None:
    """Key of the first number that is infinite or no number; None where all are finite."""
    if isinstance(value, float):
        return None if math.isfinite(value) else key
    if isinstance(value, dict):
        parts = ((f"{key}.{name}" if key else str(name), part) for name, part in value.items())
    elif isinstance(value, list):
        parts = ((f"{key}[{index}]", part) for index, part in enumerate(value))
    else:
        return None
    return next((found for name, part in parts if (found := _not_finite(part, name))), None)


def _unknown(value: Any, info: Any, key: str = "") -> str | None:
    """Name the first key that a dataclass in the record does not have; None where all are known.

    (What msgspec does for structs that forbid such keys.)
    """
    info = _without_none(info)
    prefix = f"{key}." if key else ""
    if isinstance(value, dict) and isinstance(info, msgspec.inspect.DataclassType):
        known = [field.encode_name for field in info.fields]
        strange = next((name for name in value if name not in known), None)
        if strange is not None:
            return f"unknown key {prefix}{strange}; known: {', '.join(known)}"
    if isinstance(value, dict):
        inner = ((f"{prefix}{name}", name, part) for name, part in value.items())
    elif isinstance(value, list):
        inner = ((f"{key}[{index}]", index, part) for index, part in enumerate(value))
    else:
        return None
    found = (_unknown(part, _type_at(info, [step]), name) for name, step, part in inner)
    return next(filter(None, found), None)


def _explain(message: str, value: Any, kind: Any) -> str:
    """Say what msgspec found wrong, with the key in front and the wrong value behind."""
    match = _MESSAGE.fullmatch(message)
    assert match is not None, "the pattern matches any text"
    what, steps = match["what"], _named(_steps(match["key"] or ""), value, kind)
    key = _text(steps)
    prefix = f"{key}." if key else ""
    info = _type_at(msgspec.inspect.type_info(kind), steps)
    if unknown := _UNKNOWN.fullmatch(what):
        known = ", ".join(field.encode_name for field in getattr(info, "fields", ()))
        return f"unknown key {prefix}{unknown[1]}" + (f"; known: {known}" if known else "")
    if missing := _MISSING.fullmatch(what):
        return f"{prefix}{missing[1]} is missing"
    shown = repr(_value_at(value, steps))
    shown = shown if len(shown) <= _SHOWN else f"{shown[:_SHOWN]}..."
    reason = (what.rpartition(", got ")[0] or what).replace(" | null`", "`")
    reason = reason.replace(f">= {_LEAST}", "> 0")
    reason = reason[:1].lower() + reason[1:]
    if isinstance(info, msgspec.inspect.LiteralType):
        reason = f"expected one of {', '.join(map(str, info.values))}"
    return f"{key}: {reason}, not {shown}" if key else f"{reason}, not {shown}"


def _steps(key: str) -> list[str | int]:
    """Split "stages[0].crop" into its steps; `_ANY` stands for "[...]", any key of a dictionary."""
    found = re.findall(r"\[(\d+|\.\.\.)\]|([^.\[\]]+)", key)
    return [int(index) if index.isdigit() else index or name for index, name in found]


def _text(steps: list[str | int]) -> str:
    """Write steps as "stages[0].crop"."""
    parts = (f"[{step}]" if isinstance(step, int) else f".{step}" for step in steps)
    return "".join(parts).removeprefix(".")


def _named(steps: list[str | int], value: Any, kind: Any) -> list[str | int]:
    """Put the key of the wrong value where msgspec only says that it is in a dictionary.

    The value is read with each entry of that dictionary alone, until that fails in the same place.
    """
    found = list(steps)
    for at in (index for index, step in enumerate(steps) if step == _ANY):
        for name, entry in _value_at(value, found[:at]).items():
            alone = _replaced(value, found[:at], {name: entry})
            if _wrong_at(alone, kind) == steps:
                value, found[at] = alone, name
                break
    return found


def _wrong_at(value: Any, kind: Any) -> list[str | int] | None:
    """Steps to what msgspec finds wrong; None where it finds nothing."""
    try:
        msgspec.convert(value, kind)
    except msgspec.ValidationError as error:
        match = _MESSAGE.fullmatch(str(error))
        return _steps(match["key"] or "") if match else None
    return None


def _replaced(value: Any, steps: list[str | int], new: Any) -> Any:
    """Return a value with another one at a place of it."""
    if not steps:
        return new
    changed = value.copy()
    changed[steps[0]] = _replaced(value[steps[0]], steps[1:], new)
    return changed


def _value_at(value: Any, steps: list[str | int]) -> Any:
    """The value that a key names, or the last one on the way there that can be told."""
    for step in steps:
        try:
            value = value[step]
        except (LookupError, TypeError):
            return value
    return value


def _type_at(info: Any, steps: list[str | int]) -> Any:
    """Type of the value at a place of a record; None where that cannot be told."""
    info = _without_none(info)
    for step in steps:
        if isinstance(info, msgspec.inspect.DictType):
            info = info.value_type
        elif isinstance(info, msgspec.inspect.ListType | msgspec.inspect.VarTupleType):
            info = info.item_type
        else:
            fields = {field.encode_name: field.type for field in getattr(info, "fields", ())}
            info = fields.get(str(step))
        info = _without_none(info)
    return info


def _without_none(info: Any) -> Any:
    """The type that an optional value has where it is there."""
    if not isinstance(info, msgspec.inspect.UnionType):
        return info
    return next((t for t in info.types if not isinstance(t, msgspec.inspect.NoneType)), info)
