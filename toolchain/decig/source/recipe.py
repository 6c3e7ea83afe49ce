"""recipe.toml: what a generator is, what pixels it wants and how it was trained."""

import dataclasses
import math
import tomllib
import types
import typing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from decig.data.feeds import Declared, declare
from decig.data.pixels import PixelFormat
from decig.errors import BadInputError

ONLY_INPUT = "input"
"""Name of the input in recipes and exported files of models that have one."""


@dataclass(frozen=True)
class Source:
    """A generator as PyTorch code.

    Attributes:
        python: "file.py:Name" or "package.module:Name", a class or a function that returns the
            module.
        arguments: what it is called with.
        weights: file of trained weights; empty for fresh ones.
    """

    python: str
    arguments: dict[str, Any] = field(default_factory=dict)
    weights: str = ""


@dataclass(frozen=True)
class Recipe:
    """One generator: `folder` holds its recipe.toml, to which its paths are relative.

    Attributes:
        folder: of the recipe.
        input_shapes: by input; the only input of a model is called "input".
        pixels: what the model wants.
        onnx: the model as a file; None if it comes from `source`.
        source: the model as PyTorch code.
        train: the table [train] as it is written; the task that it names reads it
            (`decig.train.tasks`).
        feeds: how inputs beside the image are fed.
    """

    folder: Path
    input_shapes: dict[str, list[int]]
    pixels: PixelFormat
    onnx: Path | None = None
    source: Source | None = None
    train: dict[str, Any] | None = None
    feeds: Declared = field(default_factory=dict)

    @property
    def input_shape(self) -> list[int]:
        """Shape of the only input; BadInputError if there are several."""
        if len(self.input_shapes) != 1:
            raise BadInputError(
                f"{self.folder}/recipe.toml: this needs a model of one input, not of "
                f"{', '.join(self.input_shapes)}"
            )
        return next(iter(self.input_shapes.values()))


@dataclass(frozen=True)
class _Model:
    """The table [model]: one of `input_shape` and `input_shapes` (by name)."""

    onnx: str = ""
    input_shape: list[int] = field(default_factory=list)
    input_shapes: dict[str, list[int]] = field(default_factory=dict)

    def shapes(self) -> dict[str, list[int]]:
        return self.input_shapes or {ONLY_INPUT: self.input_shape}


@dataclass(frozen=True)
class _File:
    """The tables of recipe.toml as they are written."""

    model: _Model
    pixels: PixelFormat
    source: Source | None = None
    train: dict[str, Any] | None = None
    feeds: dict[str, Any] = field(default_factory=dict)


def load_recipe(path: Path) -> Recipe:
    """Read a recipe.toml, or the one in a folder.

    Raises:
        BadInputError: no such file, no TOML, an unknown or missing key, a value of the wrong
            type or out of range; the message names file and key.
    """
    path = Path(path)
    file = path / "recipe.toml" if path.is_dir() else path
    try:
        content = tomllib.loads(file.read_text(encoding="utf-8"))
    except OSError as error:
        raise BadInputError(f"{file}: cannot read this recipe: {error.strerror}") from error
    except ValueError as error:
        raise BadInputError(f"{file}: this recipe is not valid TOML: {error}") from error
    try:
        tables = _build(_File, content, "")
        _check(tables)
        feeds = {name: declare(name, way) for name, way in tables.feeds.items()}
    except BadInputError as error:
        raise BadInputError(f"{file}: {error}") from error
    folder = file.resolve().parent
    return Recipe(
        folder,
        tables.model.shapes(),
        tables.pixels,
        folder / tables.model.onnx if tables.model.onnx else None,
        tables.source,
        tables.train,
        feeds,
    )


def _check(tables: _File) -> None:
    """Refuse values of the right type that mean nothing."""
    _check_model(tables.model, tables.source)


def _check_model(model: _Model, source: Source | None) -> None:
    if bool(model.input_shape) == bool(model.input_shapes):
        raise BadInputError("give one of model.input_shape and model.input_shapes")
    if model.input_shape and len(model.input_shape) != 4:
        raise BadInputError(
            "model.input_shape must be four positive sizes, such as [1, 3, 256, 256]"
        )
    for name, shape in model.shapes().items():
        if not shape or min(shape) < 1:
            raise BadInputError(f"the shape of the input {name} must be positive sizes")
    if not model.onnx and source is None:
        raise BadInputError("model.onnx is missing, and there is no [source] to make it from")
    if model.onnx and source is not None and source.weights:
        raise BadInputError("give one of model.onnx and source.weights")


def _build(kind: Any, value: Any, key: str) -> Any:
    """Turn a TOML value into the type that the dataclasses above declare."""
    origin, arguments = typing.get_origin(kind), typing.get_args(kind)
    if origin is types.UnionType:
        return _build(arguments[0], value, key)
    if dataclasses.is_dataclass(kind):
        return _build_table(kind, value, key)
    if origin in (list, tuple) and isinstance(value, list):
        items = [_build(arguments[0], item, f"{key}[{i}]") for i, item in enumerate(value)]
        return origin(items)
    if origin is dict and isinstance(value, dict):
        return {k: _build(arguments[1], item, f"{key}.{k}") for k, item in value.items()}
    if kind is Any:
        return value
    number = isinstance(value, int) and not isinstance(value, bool)
    if kind is float and (number or (isinstance(value, float) and math.isfinite(value))):
        return float(value)
    if (kind is int and number) or (kind is str and isinstance(value, str)):
        return value
    raise BadInputError(f"{key} is {value!r}; {getattr(kind, '__name__', kind)} wanted")


def _build_table(kind: Any, value: Any, key: str) -> Any:
    """Build a dataclass from a TOML table, every key checked."""
    if not isinstance(value, dict):
        raise BadInputError(f"{key} is {value!r}; a table wanted")
    prefix = f"{key}." if key else ""
    hints = typing.get_type_hints(kind)
    known = {entry.name: entry for entry in dataclasses.fields(kind)}
    if unknown := sorted(value.keys() - known.keys()):
        raise BadInputError(f"unknown key {prefix}{unknown[0]}; known: {', '.join(known)}")
    for name, entry in known.items():
        optional = (entry.default, entry.default_factory) != (dataclasses.MISSING,) * 2
        if name not in value and not optional:
            raise BadInputError(f"{prefix}{name} is missing")
    return kind(**{name: _build(hints[name], item, prefix + name) for name, item in value.items()})
