"""recipe.toml: what a generator is, what pixels it takes and gives, and how it is trained."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any

from msgspec import Meta

from decig.data.declared import Declared, declare
from decig.data.pixels import PixelFormat
from decig.errors import BadInputError
from decig.schema import AtLeastOne, read_toml

ONLY_INPUT = "input"
"""Name of the input in recipes and exported files of models that have one."""

Shape = Annotated[list[AtLeastOne], Meta(min_length=1)]
Image = Annotated[list[AtLeastOne], Meta(min_length=4, max_length=4)]
"""Shape of a batch of images, such as [1, 3, 256, 256]."""


@dataclass(frozen=True)
class Code:
    """A generator as PyTorch code.

    Attributes:
        python: "file.py:Name" or "package.module:Name", a class or a function that returns the
            module.
        arguments: what it is called with.
        weights: file of trained weights; empty for fresh ones.
        sizes: name of a function beside `python` that reads off the shapes in a checkpoint what
            the module is called with; empty if there is none (see `decig.training.pytorch.sizes`).
        batch_statistics: whether batch norms normalise every picture by its own mean and variance
            instead of those saved with the weights; None where nothing is said, which is no but
            for nets that `decig train` trains on one picture at a time.
    """

    python: str
    arguments: dict[str, Any] = field(default_factory=dict)
    weights: str = ""
    sizes: str = ""
    batch_statistics: bool | None = None


@dataclass(frozen=True)
class Recipe:
    """One generator: `folder` holds its recipe.toml, to which its paths are relative.

    Attributes:
        folder: of the recipe.
        input_shapes: by input; the only input of a model is called "input".
        pixels: what the model takes and gives.
        onnx: the model as a file; None if it comes from `source`.
        source: the model as PyTorch code.
        train: the table [train] as it is written; the task that it names reads it
            (`decig.training.tasks`).
        feeds: how inputs beside the image are fed.
    """

    folder: Path
    input_shapes: dict[str, list[int]]
    pixels: PixelFormat
    onnx: Path | None = None
    source: Code | None = None
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
    input_shape: Image = field(default_factory=list)
    input_shapes: dict[str, Shape] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Refuse two answers to one question, and none.

        Raises:
            BadInputError: not one of `input_shape` and `input_shapes` is given.
        """
        if bool(self.input_shape) == bool(self.input_shapes):
            raise BadInputError("give one of model.input_shape and model.input_shapes")

    def shapes(self) -> dict[str, list[int]]:
        return self.input_shapes or {ONLY_INPUT: self.input_shape}


@dataclass(frozen=True)
class _File:
    """The tables of recipe.toml as they are written."""

    model: _Model
    pixels: PixelFormat
    source: Code | None = None
    train: dict[str, Any] | None = None
    feeds: dict[str, str | float] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Refuse tables that do not go together.

        Raises:
            BadInputError: the model comes from nowhere, or its weights from two places.
        """
        if not self.model.onnx and self.source is None:
            raise BadInputError("model.onnx is missing, and there is no [source] to make it from")
        if self.model.onnx and self.source is not None and self.source.weights:
            raise BadInputError("give one of model.onnx and source.weights")


def load_recipe(path: Path) -> Recipe:
    """Read a recipe.toml, or the one in a folder.

    Raises:
        BadInputError: no such file, no TOML, an unknown or missing key, a value of the wrong
            type or out of range; the message names file and key.
    """
    path = Path(path)
    file = path / "recipe.toml" if path.is_dir() else path
    tables = read_toml(file, _File, "recipe")
    try:
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
