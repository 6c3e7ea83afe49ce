"""recipe.toml: what a generator is, what pixels it takes and gives, and how it is trained."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any, Literal

from msgspec import Meta

from decig.data.feeds import Declared, declare
from decig.data.pixels import PixelFormat
from decig.errors import BadInputError
from decig.schema import AtLeastOne, NotNegative, Positive, Seed, read_toml

ONLY_INPUT = "input"
"""Name of the input in recipes and exported files of models that have one."""

Crop = Annotated[int, Meta(ge=32)]
"""Side of a training crop in pixels: five convolutions of the discriminator need as much."""
Shape = Annotated[list[AtLeastOne], Meta(min_length=1)]
Image = Annotated[list[AtLeastOne], Meta(min_length=4, max_length=4)]
"""Shape of a batch of images, such as [1, 3, 256, 256]."""


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
class Data:
    """Where the pairs to train on lie.

    Attributes:
        folder: the data folder, relative to the recipe; empty where it is given for each run.
        layout: "side-by-side" (both halves in one image, in train/ and val/) or "folders"
            (train/input, train/target, val/input, val/target; files match by stem).
        input: the half that is the input, for "side-by-side".
    """

    folder: str = ""
    layout: Literal["side-by-side", "folders"] = "folders"
    input: Literal["left", "right"] = "left"


@dataclass(frozen=True)
class Stage:
    """A part of training: `steps` updates on `batch` random crops of crop x crop pixels."""

    crop: Crop
    batch: AtLeastOne
    steps: AtLeastOne


@dataclass(frozen=True)
class Training:
    """How `decig train` trains the generator (Isola et al., CVPR 2017, section 3.3).

    Attributes:
        stages: run one after the other.
        data: where the pairs are.
        seed: of the initial weights and of every crop.
        learning_rate: of Adam for both nets; it falls linearly to zero in the second half.
        l1: weight of the mean absolute difference to the target.
        adversarial: weight of the PatchGAN term; 0 trains without a discriminator.
        discriminator_width: channels of the discriminator's first layer.
        zoom: crops are enlarged by a random factor up to this.
        ema: decay per step of the running mean of the weights, which is what is exported.
        precision: "fp32" or "bf16" (autocast).
    """

    stages: Annotated[list[Stage], Meta(min_length=1)]
    data: Data = field(default_factory=Data)
    seed: Seed = 0
    learning_rate: Positive = 2e-4
    l1: NotNegative = 100.0
    adversarial: NotNegative = 1.0
    discriminator_width: AtLeastOne = 64
    zoom: Annotated[float, Meta(ge=1)] = 1.1
    ema: Annotated[float, Meta(ge=0, lt=1)] = 0.999
    precision: Literal["fp32", "bf16"] = "fp32"

    def __post_init__(self) -> None:
        """Refuse a training that has nothing to train for.

        Raises:
            BadInputError: both weights are 0.
        """
        if not self.l1 and not self.adversarial:
            raise BadInputError("train: l1 and adversarial are both 0; nothing would be trained")


@dataclass(frozen=True)
class Recipe:
    """One generator: `folder` holds its recipe.toml, to which its paths are relative.

    Attributes:
        folder: of the recipe.
        input_shapes: by input; the only input of a model is called "input".
        pixels: what the model takes and gives.
        onnx: the model as a file; None if it comes from `source`.
        source: the model as PyTorch code.
        train: how `decig train` trains it.
        feeds: how inputs beside the image are fed.
    """

    folder: Path
    input_shapes: dict[str, list[int]]
    pixels: PixelFormat
    onnx: Path | None = None
    source: Source | None = None
    train: Training | None = None
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
    source: Source | None = None
    train: Training | None = None
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
