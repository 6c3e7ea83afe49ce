"""What the MODEL argument of a command stands for: a graph, and how it is fed where that is known.

MODEL is an `.onnx` file, a folder with a recipe.toml (or the file itself), the run folder of
`decig compress` or `decig train`, or PyTorch code: `file.py:Name` or `package.module:Name`.
"""

import logging
import re
import shlex
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import msgspec
import onnx
from google.protobuf.message import DecodeError

from decig.data.declared import Declared, numbers
from decig.device.run.fingerprint import Fingerprint
from decig.errors import BadInputError
from decig.extras import needs_torch
from decig.graph.model import Model, input_info, load_model
from decig.graph.size_inputs import Values
from decig.schema import read_json
from decig.source.flags import PixelFlags
from decig.source.recipe import Code, Recipe, load_recipe
from decig.source.source import Source
from decig.source.stamp import Known, read_known

RUN_FILE = "run.json"
"""File of a run folder that says what was asked for."""
TARGETS_FILE = "targets.json"
"""The same, in a folder that holds a run for each target of a call."""
STUDENT_FILE = "student.onnx"
"""File of a run folder that holds the trained model."""
TRAINING_FILE = "training.json"
"""File of a run folder of `decig train` that says what was asked for."""

_PYTHON = re.compile(r"(\.py|^[\w.]+):\w+$")
_WEIGHTS = (".pth", ".pt", ".ckpt", ".safetensors")

Shapes = dict[str, list[int]]

_log = logging.getLogger(__name__)


def resolve(
    text: str,
    flags: PixelFlags | None = None,
    input_shapes: Shapes | None = None,
    weights: Path | None = None,
    *,
    batch_statistics: bool | None = None,
    untrained: bool = False,
) -> Source:
    """Find and read the model that MODEL names.

    Args:
        text: MODEL, as the user wrote it.
        flags: what the command line says of how it is fed; this overrides every file.
        input_shapes: full shapes of inputs whose axes are dynamic, and of PyTorch code.
        weights: trained weights for PyTorch code; they replace those that a recipe names.
        batch_statistics: whether batch norms of PyTorch code use each picture's own mean and
            variance; None takes what a recipe says.
        untrained: whether random weights serve where a recipe's model is not trained yet.

    Raises:
        BadInputError: there is no usable model; says what was expected.
    """
    flags = flags or PixelFlags()
    asked = _Asked(flags, input_shapes or {}, weights, batch_statistics, untrained)
    source = _resolve(text, asked)
    return replace(source, feeds={**source.feeds, **flags.feeds})


@dataclass(frozen=True)
class _Asked:
    """What whoever named MODEL said beside it; see `resolve`.

    Attributes:
        flags: what was said of how it is fed.
        shapes: of inputs.
        weights: for PyTorch code.
        batch_statistics: for PyTorch code.
        untrained: whether random weights serve.
    """

    flags: PixelFlags
    shapes: Shapes
    weights: Path | None
    batch_statistics: bool | None
    untrained: bool = False

    @property
    def said(self) -> dict[str, Any]:
        """Fields of the pixel format."""
        return self.flags.known()

    def values(self, declared: Declared | None = None) -> Values:
        """Numbers that feed inputs, by what a file declares and what was said."""
        ways = {**(declared or {}), **self.flags.feeds}
        return {name: found for name, way in ways.items() if (found := numbers(way))}

    def code(self, code: Code) -> Code:
        """Return PyTorch code with what was said of it."""
        if self.weights is not None:
            code = replace(code, weights=str(self.weights.resolve()))
        if self.batch_statistics is not None:
            code = replace(code, batch_statistics=self.batch_statistics)
        return code

    def refuse_for_code(self, what: str) -> None:
        """Refuse what only PyTorch code can take; `what` names the MODEL."""
        statistics = {None: "", True: "--batch-statistics", False: "--saved-statistics"}
        flag = "--weights" if self.weights is not None else statistics[self.batch_statistics]
        if flag:
            raise BadInputError(
                f"{flag} goes with PyTorch code (file.py:Class), and {what} is something else"
            )


def _resolve(text: str, asked: _Asked) -> Source:
    path = Path(text)
    if (path / TARGETS_FILE).is_file():
        found = sorted(str(file.parent) for file in path.glob(f"*/{RUN_FILE}"))
        names = ", ".join(found) or "none has begun"
        raise BadInputError(f"{path}: holds a run for each target; name one: {names}")
    if (path / TRAINING_FILE).is_file() and not (path / "recipe.toml").is_file():
        return _resolve(str(_trained_in(path)), asked)
    if (path.is_dir() and not (path / RUN_FILE).is_file()) or path.suffix == ".toml":
        return _from_recipe(load_recipe(path), asked)
    if not path.exists() and _PYTHON.search(text):
        return _from_code(asked.code(Code(text)), Path(), asked.said, asked.shapes, asked.shapes)
    asked.refuse_for_code(text)
    if path.is_dir():
        return _from_run(path, asked)
    _refuse_half(path)
    model = load_model(path, asked.shapes, asked.values())
    stamped = read_known(model.proto, str(path))
    pixel_io = stamped.pixel_io and stamped.pixels is not None
    return Source(
        model,
        # What the graph does inside is a fact of the file, which no flag can change.
        stamped.format if pixel_io else stamped.format | asked.said,
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
    device: Fingerprint | None = None


def to_resume(folder: Path) -> str:
    """The command that goes on with a run which has not finished; of several targets, with all."""
    whole = folder
    if (folder.absolute().parent / TARGETS_FILE).is_file():
        whole = folder.parent if folder.name else Path("..")
    return f"decig compress --resume --output-dir {shlex.quote(str(whole))}"


def _from_run(folder: Path, asked: _Asked) -> Source:
    file = folder / RUN_FILE
    run = read_json(file, _Run, "run description", strict=True)
    student = folder / STUDENT_FILE
    if not student.is_file():
        raise BadInputError(
            f"{folder}: this run has not finished; continue it with {to_resume(folder)}"
        )
    declared = _declared(run, file)
    model = load_model(student, asked.shapes, asked.values(declared))
    known = run.format | asked.said
    images = None if run.images is None else Path(run.images)
    return Source(
        model,
        known,
        run.model.sha256,
        folder,
        images,
        feeds=declared,
        device=run.device,
    )


def _trained_in(folder: Path) -> Path:
    """The generator that a run of `decig train` has exported.

    Raises:
        BadInputError: there is none yet, or there are several, of which one must be named.
    """
    found = sorted(folder.glob("*.onnx"))
    if not found:
        raise BadInputError(
            f"{folder}: this training has exported no generator yet; go on with it: "
            f"decig train --resume --output-dir {shlex.quote(str(folder))}"
        )
    if len(found) > 1:
        names = ", ".join(map(str, found))
        raise BadInputError(
            f"{folder}: holds several ONNX files; name the one that is meant: {names}"
        )
    return found[0]


def _declared(known: Known, file: Path) -> Declared:
    try:
        return known.declared
    except BadInputError as error:
        raise BadInputError(f"{file}: {error}") from error


def _from_recipe(recipe: Recipe, asked: _Asked) -> Source:
    known = recipe.pixels.fields() | asked.said
    if recipe.source is not None and asked.untrained and not _is_trained(recipe, asked):
        _log.warning(
            "%s/recipe.toml: not trained yet; its weights are random, which changes no latency",
            recipe.folder,
        )
        recipe = replace(recipe, onnx=None)
    if recipe.source is not None and (asked.weights is not None or recipe.onnx is None):
        unnamed = "" in asked.shapes  # then it is for the only input, whatever its name
        shapes = asked.shapes if unnamed else recipe.input_shapes | asked.shapes
        code = asked.code(recipe.source)
        source = _from_code(code, recipe.folder, known, shapes, asked.shapes)
        source = replace(source, feeds=_feeds_of(recipe, source.model))
        foreign = code.weights and "labels" not in asked.said
        return _with_fitting_labels(source) if foreign else source
    if asked.weights is not None or recipe.onnx is None:  # a recipe has a source or a file
        raise BadInputError(f"{recipe.folder}/recipe.toml: --weights needs a [source] table")
    asked.refuse_for_code(str(recipe.onnx))
    if not recipe.onnx.is_file():
        raise BadInputError(
            f"{recipe.onnx}: this recipe's model is not there; "
            f"make it with decig train {recipe.folder}"
        )
    shapes = asked.shapes or _shapes_of_recipe(recipe, recipe.onnx)
    model = load_model(recipe.onnx, shapes, asked.values(recipe.feeds))
    return Source(model, known, model.sha256, feeds=_feeds_of(recipe, model))


def _is_trained(recipe: Recipe, asked: _Asked) -> bool:
    """Whether there are weights for the recipe's code, or its model as a file."""
    named = recipe.source is not None and recipe.source.weights
    there = recipe.onnx is not None and recipe.onnx.is_file()
    return bool(asked.weights or named or there)


def _feeds_of(recipe: Recipe, model: Model) -> Declared:
    """Feeds by the graph's names of inputs: a single input may have another name in the recipe."""
    names = [info.name for info in input_info(model.proto)]
    if len(names) == 1 and recipe.feeds.keys() == recipe.input_shapes.keys():
        return dict(zip(names, recipe.feeds.values(), strict=True))
    return recipe.feeds


def _with_fitting_labels(source: Source) -> Source:
    """Forget the labels of a recipe where trained weights are for another number of them."""
    labels, image = source.known.get("labels"), source.image
    if labels is None or not labels.one_hot or image is None:
        return source
    channels = image.shape[1]
    if channels == labels.count:
        return source
    _log.info(
        "%s: its weights are for %d labels, its recipe names %d: say which ones with --one-hot",
        source.model.path,
        channels,
        labels.count,
    )
    return replace(source, known=source.known | {"labels": None})


def _from_code(
    code: Code, folder: Path, known: dict[str, Any], shapes: Shapes, given: Shapes
) -> Source:
    """Build and export a PyTorch module; messages name it as one would write MODEL.

    `given` are those of the shapes that the user gave.
    """
    name = str(folder / code.python) if ".py:" in code.python else code.python
    with needs_torch(f"{name}: PyTorch code"):
        from decig.training.pytorch.load import load_pytorch
    model = load_pytorch(code, folder, shapes, name, given=given.keys())
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
    """Shapes that the recipe gives for the inputs of its file.

    There are none for a damaged file: reading it reports what is wrong.
    """
    if len(recipe.input_shapes) > 1:
        return recipe.input_shapes
    try:
        graph = onnx.load(file, load_external_data=False).graph
    except DecodeError:
        return {}
    constant = {tensor.name for tensor in graph.initializer}
    inputs = [value.name for value in graph.input if value.name not in constant]
    return {inputs[0]: recipe.input_shape} if len(inputs) == 1 else {}
