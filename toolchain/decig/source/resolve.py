"""What the MODEL argument of a command means: a graph, and the pixels it wants if that is known.

MODEL is an `.onnx` file, a folder with a recipe.toml (or the file itself), the run folder of
`decig compress`, or PyTorch code: `file.py:Name` or `package.module:Name`.
"""

import re
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import Any

import msgspec
import onnx
from google.protobuf.message import DecodeError

from decig.data.feeds import (
    FILES,
    Declared,
    Inputs,
    UnfedInputError,
    find_image,
    output_image,
    require_inputs,
)
from decig.data.inputs import Pictures
from decig.data.labels import Labels
from decig.data.pixels import BYTES, PixelFormat
from decig.errors import BadInputError
from decig.extras import needs_torch
from decig.graph.model import Model, ValueInfo, input_info, load_model
from decig.schema import read_json
from decig.source.recipe import Recipe, load_recipe
from decig.source.recipe import Source as Code
from decig.source.stamp import Known, pixels_entry, read_known

RUN_FILE = "run.json"
STUDENT_FILE = "student.onnx"

_PYTHON = re.compile(r"(\.py|^[\w.]+):\w+$")
_WEIGHTS = (".pth", ".pt", ".ckpt", ".safetensors")
_COLOUR_CHANNELS = (1, 3)

Shapes = dict[str, list[int]]


@dataclass(frozen=True)
class PixelFlags:
    """What the command line says of the pixel format; None where it says nothing.

    And how inputs beside the image are fed, which is no part of it.
    """

    input_range: tuple[float, float] | None = None
    output_range: tuple[float, float] | None = None
    layout: str | None = None
    channel_order: str | None = None
    labels: Labels | None = None
    feeds: Declared = field(default_factory=dict)

    def known(self) -> dict[str, Any]:
        """Return what was said of the pixel format, by field name."""
        said = {each.name: getattr(self, each.name) for each in fields(self)}
        return {k: v for k, v in said.items() if v is not None and k != "feeds"}


@dataclass(frozen=True)
class Source:
    """A resolved MODEL.

    Attributes:
        model: its graph in normal form.
        known: fields of the pixel format that flags, recipe, run or the file's own stamp give.
        run: the folder, where MODEL is a run of `decig compress`.
        images: the folder of images that the run was trained on; None where there is none.
        origin_sha256: digest of the file that the model was made from: the run's teacher, else
            the model's own.
        pixel_io: the graph itself turns bytes into its range and back (`decig export --pixel-io`);
            `known` is what it does so for.
        feeds: how its inputs beside the image are fed.
    """

    model: Model
    known: dict[str, Any]
    origin_sha256: str
    run: Path | None = None
    images: Path | None = None
    pixel_io: bool = False
    feeds: Declared = field(default_factory=dict)

    @property
    def pixels(self) -> PixelFormat | None:
        """The pixel format, None while a part of it is unknown."""
        if self.pixel_io:
            return replace(BYTES, labels=self.known.get("labels"))
        return None if self._missing() else PixelFormat(**self._filled())

    def require_pixels(self) -> PixelFormat:
        """Return the pixel format.

        Raises:
            BadInputError: part of it is unknown; names the flags that would say it.
        """
        pixels = self.pixels
        if pixels is None:
            raise BadInputError(
                f"{self.model.path} does not say what its pixels are: give "
                f"{' '.join(self._missing())}"
            )
        return pixels

    def require_image(self) -> None:
        """Check that an image can feed the input that takes one, where there is such an input.

        Raises:
            BadInputError: it has other channels; names the flags that could explain them.
        """
        pixels, image = self.require_pixels(), self._image
        if image is None:
            return
        channels = pixels.channels_of(image.shape)
        try:
            pixels.require_input(channels)
        except BadInputError as error:
            flags = f"--one-hot {channels} or --one-hot RRGGBB,..."
            hint = "" if pixels.labels else f" If it takes label maps, give {flags}"
            raise BadInputError(f"{error}{hint}") from error

    def require_feeds(self) -> None:
        """Check that images, and what is declared to be fed, can feed every input.

        Raises:
            BadInputError: they cannot; names the flags that say what feeds an input.
        """
        self.require_image()
        try:
            Inputs.of(self.model.proto, self.require_pixels(), self.feeds)
        except UnfedInputError as error:
            raise BadInputError(
                f"{error}, as in --feed {error.name}=normal or under [feeds] in a recipe"
            ) from error

    def require_picture(self) -> None:
        """Check that the model makes a picture; BadInputError says what it makes instead."""
        self.require_pixels().require_output(output_image(self.model.proto).shape)

    def require_known_feeds(self) -> None:
        """Check that whatever is declared to be fed is an input; BadInputError names these."""
        require_inputs(self.feeds, [info.name for info in input_info(self.model.proto)])

    @property
    def needs_folder(self) -> bool:
        """Whether a folder must feed it: it takes an image, or what comes from files."""
        return self._image is not None or FILES in self.feeds.values()

    @property
    def _image(self) -> ValueInfo | None:
        """The input that takes an image; None where none does."""
        return find_image(self.model.proto, self.pixels, self.feeds)

    def pictures(self, folder: Path | None, limit: int | None = None) -> Pictures:
        """Return the images of a folder as this model takes them.

        Raises:
            BadInputError: as `require_feeds`, or the folder is missing or empty.
        """
        self.require_feeds()
        pixels = self.require_pixels()
        return Pictures(folder, self.model.proto, pixels, declared=self.feeds, limit=limit)

    def entries(self) -> dict[str, Any]:
        """Return what a file made from this one is stamped with."""
        return {
            "source_sha256": self.origin_sha256,
            "pixels": pixels_entry(PixelFormat(**self.known) if self.pixel_io else self.pixels),
            "pixel_io": self.pixel_io or None,
            "feeds": dict(self.feeds) or None,
        }

    def borrow(self, other: "Source") -> "Source":
        """Fill what is unknown of pixel format and feeds with what `other` knows.

        Feeds by a name that only the other model has are for the input in the same place here.
        """
        ours, theirs = ([i.name for i in input_info(s.model.proto)] for s in (self, other))
        places = {b: a for a, b in zip(ours, theirs, strict=False) if b not in ours}
        feeds = {places.get(n, n): way for n, way in {**other.feeds, **self.feeds}.items()}
        return replace(self, known=other.known | self.known, feeds=feeds)

    def fixed(self) -> "Source":
        """Return it without dynamic axes: at the sizes it was read at only."""
        return replace(self, model=replace(self.model, axes=None))

    def _missing(self) -> list[str]:
        filled = self._filled()
        flags = {
            "input_range": "--input-range LOW,HIGH (0,255 or 0,1 or -1,1)",
            "output_range": "--output-range LOW,HIGH",
            "layout": "--layout nchw|nhwc",
            "channel_order": "--channel-order rgb|bgr",
        }
        return [flag for name, flag in flags.items() if name not in filled]

    def _filled(self) -> dict[str, Any]:
        """Add to `known` what the shapes leave no doubt about.

        A model that takes no image has no input range, and its picture shows the layout.
        """
        filled = dict(self.known)
        labels = filled.get("labels")
        colours = [labels.count] if labels is not None and labels.one_hot else _COLOUR_CHANNELS
        image = find_image(self.model.proto, None, self.feeds)
        if image is None and self.feeds:
            filled.setdefault("input_range", (-1.0, 1.0))
            image, colours = output_image(self.model.proto), _COLOUR_CHANNELS
        shape = [] if image is None else image.shape
        if "layout" not in filled and len(shape) == 4:
            layouts = {"nchw": shape[1], "nhwc": shape[3]}
            fitting = [name for name, size in layouts.items() if size in colours]
            if len(fitting) == 1:
                filled["layout"] = fitting[0]
        if len(shape) == 4 and shape[3 if filled.get("layout") == "nhwc" else 1] == 1:
            filled.setdefault("channel_order", "rgb")
        return filled


def resolve(
    text: str,
    flags: PixelFlags | None = None,
    input_shapes: Shapes | None = None,
    weights: Path | None = None,
) -> Source:
    """Find and read the model that MODEL names.

    Args:
        text: MODEL, as the user wrote it.
        flags: pixel format given on the command line; it wins over every file.
        input_shapes: full shapes for inputs whose axes are dynamic, and for PyTorch code.
        weights: trained weights for PyTorch code, in place of those that a recipe names.

    Raises:
        BadInputError: nothing usable there; says what was expected.
    """
    flags = flags or PixelFlags()
    source = _resolve(text, flags.known(), input_shapes, weights)
    return replace(source, feeds={**source.feeds, **flags.feeds})


def _resolve(
    text: str, said: dict[str, Any], input_shapes: Shapes | None, weights: Path | None
) -> Source:
    path = Path(text)
    if (path.is_dir() and not (path / RUN_FILE).is_file()) or path.suffix == ".toml":
        return _from_recipe(load_recipe(path), said, input_shapes, weights)
    if not path.exists() and _PYTHON.search(text):
        code = Code(text, weights="" if weights is None else str(weights))
        return _from_code(code, Path(), said, input_shapes or {})
    if weights is not None:
        raise BadInputError(f"--weights goes with PyTorch code, file.py:Class; {text} is none")
    if path.is_dir():
        return _from_run(path, said, input_shapes)
    _refuse_half(path)
    model = load_model(path, input_shapes)
    stamped = read_known(model.proto, str(path))
    pixel_io = stamped.pixel_io and stamped.pixels is not None
    return Source(
        model,
        # What the graph does inside is a fact of the file, which no flag can change.
        stamped.format if pixel_io else stamped.format | said,
        model.sha256,
        pixel_io=pixel_io,
        feeds=_declared(stamped, path),
    )


class _Teacher(msgspec.Struct, frozen=True):
    """What run.json says of the model that the run was made from."""

    sha256: str = ""


class _Run(Known, frozen=True):
    """What is read of run.json; the rest is for whoever resumes the run."""

    model: _Teacher = _Teacher()
    images: str | None = None


def _from_run(folder: Path, said: dict[str, Any], input_shapes: Shapes | None) -> Source:
    file = folder / RUN_FILE
    run = read_json(file, _Run, "run description")
    student = folder / STUDENT_FILE
    if not student.is_file():
        raise BadInputError(
            f"{folder}: this run has not finished; go on with decig compress --resume"
        )
    model = load_model(student, input_shapes)
    known = run.format | said
    images = None if run.images is None else Path(run.images)
    return Source(model, known, run.model.sha256, folder, images, feeds=_declared(run, file))


def _declared(known: Known, file: Path) -> Declared:
    try:
        return known.declared
    except BadInputError as error:
        raise BadInputError(f"{file}: {error}") from error


def _from_recipe(
    recipe: Recipe, said: dict[str, Any], input_shapes: Shapes | None, weights: Path | None
) -> Source:
    known = recipe.pixels.fields() | said
    if recipe.source is not None and (weights is not None or recipe.onnx is None):
        code = recipe.source
        if weights is not None:
            code = replace(code, weights=str(weights.resolve()))
        source = _from_code(code, recipe.folder, known, recipe.input_shapes | (input_shapes or {}))
        return replace(source, feeds=_feeds_of(recipe, source.model))
    if weights is not None or recipe.onnx is None:  # `load_recipe` refuses neither source nor onnx
        raise BadInputError(f"{recipe.folder}/recipe.toml: --weights needs a [source] table")
    if not recipe.onnx.is_file():
        raise BadInputError(
            f"{recipe.onnx}: this recipe's model is not there; "
            f"make it with decig train {recipe.folder}"
        )
    model = load_model(recipe.onnx, input_shapes or _shapes_of_recipe(recipe, recipe.onnx))
    return Source(model, known, model.sha256, feeds=_feeds_of(recipe, model))


def _feeds_of(recipe: Recipe, model: Model) -> Declared:
    """Feeds by the names of the graph, where an only input may have another than in the recipe."""
    names = [info.name for info in input_info(model.proto)]
    if len(names) == 1 and recipe.feeds.keys() == recipe.input_shapes.keys():
        return dict(zip(names, recipe.feeds.values(), strict=True))
    return recipe.feeds


def _from_code(code: Code, folder: Path, known: dict[str, Any], input_shapes: Shapes) -> Source:
    """Build and export a PyTorch module; its name in messages is as one would write MODEL."""
    name = str(folder / code.python) if ".py:" in code.python else code.python
    with needs_torch(f"{name}: PyTorch code"):
        from decig.train.pytorch.load import load_pytorch
    model = load_pytorch(code, folder, input_shapes, name)
    return Source(model, known, model.sha256)


def _refuse_half(path: Path) -> None:
    """Refuse a MODEL that is only half of what PyTorch code takes."""
    if path.suffix == ".py":
        raise BadInputError(f"{path}: name its class or function as well: {path}:Name")
    if path.suffix in _WEIGHTS:
        raise BadInputError(
            f"{path}: these are weights; name the code that they belong to: "
            f"file.py:Name --weights {path}"
        )


def _shapes_of_recipe(recipe: Recipe, file: Path) -> Shapes:
    """Shapes that the recipe gives for its file's inputs; `load_model` reports a broken file."""
    if len(recipe.input_shapes) > 1:
        return recipe.input_shapes
    try:
        graph = onnx.load(file, load_external_data=False).graph
    except DecodeError:
        return {}
    constant = {tensor.name for tensor in graph.initializer}
    inputs = [value.name for value in graph.input if value.name not in constant]
    return {inputs[0]: recipe.input_shape} if len(inputs) == 1 else {}
