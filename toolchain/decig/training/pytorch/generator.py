"""A generator as PyTorch code: finding it, building the module, running it once.

The code is the user's: whatever it raises ends in one line that names the file and the line.
"""

import ast
import contextlib
import importlib
import importlib.util
import inspect
import sys
import traceback
import warnings
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from types import ModuleType
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils import _pytree as pytree

import decig
from decig.errors import BadInputError
from decig.source.recipe import ONLY_INPUT, Code

Shapes = dict[str, list[int]]
Sizes = dict[str, tuple[int, ...]]
"""Shapes of the weights in a checkpoint, by their names."""

_NOT_THE_USERS: tuple[str, ...] = (sys.prefix, sys.base_prefix, str(Path(decig.__file__).parent))
"""Folders whose code is not the user's: messages name no line there."""


def build_generator(code: Code, folder: Path) -> nn.Module:
    """Make the module that `code` names, with fresh weights.

    Args:
        code: "file.py:Name" is relative to `folder`; "package.module:Name" is looked for there
            first, then on Python's path.
        folder: of the recipe, or the working directory.

    Raises:
        BadInputError: no such file, module, class or function, code that does not run, or
            arguments that it does not take.
    """
    with _found(code.python, folder) as factory:
        _check_arguments(code, factory)
        generator = factory(**code.arguments)
    if not isinstance(generator, nn.Module):
        kind = type(generator).__name__
        raise BadInputError(f"{code.python}: gives a {kind}, not a torch.nn.Module")
    return generator


def sizes_function(code: Code, folder: Path) -> Callable[[Sizes], Any]:
    """Find the function that reads off a checkpoint what the module is called with.

    Args:
        code: names it in `sizes`; it lies beside the module's class.
        folder: as for `build_generator`.

    Raises:
        BadInputError: there is no such function, or the code does not run.
    """
    place, _, _ = code.python.rpartition(":")
    with _found(f"{place}:{code.sizes}", folder) as function:
        return function


def noise(module: nn.Module, shapes: Shapes, name: str) -> dict[str, Tensor]:
    """Make seeded noise between -1 and 1 for the inputs, in the order that `forward` takes them.

    The only input of a module is called "input", whatever its `forward` calls it; its shape may
    also have an empty name.

    Raises:
        BadInputError: the shapes are not those of `forward`'s first parameters; `name` is the
            module's in the message.
    """
    parameters = inspect.signature(module.forward).parameters.values()
    named = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
    takes = [p.name for p in parameters if p.kind in named] or [ONLY_INPUT]
    needed = [p.name for p in parameters if p.kind in named and p.default is p.empty]
    alone = len(shapes) == 1 and len(needed) < 2
    if alone and shapes.keys() <= {ONLY_INPUT, takes[0], ""}:
        shapes = {ONLY_INPUT: next(iter(shapes.values()))}
    elif len(shapes) < max(1, len(needed)) or shapes.keys() != set(takes[: len(shapes)]):
        names = needed if len(needed) > 1 else [ONLY_INPUT]
        flags = " ".join(f"--input-shape {p}:1,3,256,256" for p in names)
        given = ", ".join(name or "sizes without a name" for name in shapes)
        given = f", not {given}" if given else ""
        raise BadInputError(f"{name}: give the sizes of its inputs{given}, as in {flags}")
    else:
        shapes = {p: shapes[p] for p in takes[: len(shapes)]}
    draw = torch.Generator().manual_seed(0)
    return {p: torch.rand(shape, generator=draw) * 2 - 1 for p, shape in shapes.items()}


def run_once(module: nn.Module, inputs: Sequence[Tensor], name: str) -> list[Tensor]:
    """Run a module without gradients and list the tensors it returns.

    Raises:
        BadInputError: it cannot take these inputs, or returns no tensor; says what.
    """
    sizes = ", ".join("x".join(map(str, tensor.shape)) for tensor in inputs)
    with guarded(f"{name} cannot take an input of {sizes}"), torch.no_grad():
        # Copies, for some modules scale their input in place.
        outputs = pytree.tree_leaves(module(*(tensor.clone() for tensor in inputs)))
    if not outputs or not all(isinstance(output, Tensor) for output in outputs):
        kinds = ", ".join(type(output).__name__ for output in outputs) or "nothing"
        raise BadInputError(f"{name}: forward returns {kinds}; tensors wanted")
    return outputs


def check_pictures(generator: nn.Module, input_shape: list[int]) -> None:
    """Make sure that the generator turns an N,C,H,W input into a picture N,3,H,W.

    Raises:
        BadInputError: it cannot take this shape, or gives something else; says what.
    """
    name = type(generator).__name__
    outputs = run_once(generator, [torch.zeros(input_shape)], name)
    wanted = [input_shape[0], 3, *input_shape[2:]]
    given = [list(output.shape) for output in outputs]
    if given != [wanted]:
        raise BadInputError(f"{name} turns {input_shape} into {given}; training needs {wanted}")


@contextlib.contextmanager
def _found(python: str, folder: Path) -> Iterator[Callable[..., Any]]:
    """Find a class or function, and let the code that uses it import what lies beside it.

    Raises:
        BadInputError: there is none, or the code that holds it, or that uses it, does not run.
    """
    place, _, name = python.rpartition(":")
    home = (folder / place).parent if place.endswith(".py") else folder
    with guarded(python), _importable(home):
        module = _run_file(folder / place) if place.endswith(".py") else _import(place, home)
        found = getattr(module, name, None)
        if found is None:
            raise BadInputError(f"{python}: {place} has no class or function {name!r}")
        if not callable(found) or isinstance(found, nn.Module):
            raise BadInputError(f"{python}: this is no class and no function")
        yield found


@contextlib.contextmanager
def guarded(what: str) -> Iterator[None]:
    """Run foreign code: errors become one line after `what`, prints and warnings no noise.

    Raises:
        BadInputError: the code raised anything, or tried to end the process.
    """
    try:
        with contextlib.redirect_stdout(sys.stderr), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    except BadInputError:
        raise
    except (Exception, SystemExit) as error:
        root: BaseException = error
        while root.__cause__ is not None:
            root = root.__cause__
        first = next((line for line in str(root).splitlines() if line.strip()), "")
        cause = f"{type(root).__name__}: {first.strip()}"
        raise BadInputError(f"{what}: {cause}{_place(root)}") from error


def _place(error: BaseException) -> str:
    """Last line of the user's code that an error passed through, such as " (net.py, line 7)"."""
    if isinstance(error, SyntaxError) and error.filename:
        return f" ({Path(error.filename).name}, line {error.lineno})"
    for frame in reversed(traceback.extract_tb(error.__traceback__)):
        if not frame.filename.startswith(("<", *_NOT_THE_USERS)):
            return f" ({Path(frame.filename).name}, line {frame.lineno})"
    return ""


def _run_file(file: Path) -> ModuleType:
    # A prefix, for a user's types.py must not replace Python's own.
    name = f"decig_source_{file.stem}"
    spec = importlib.util.spec_from_file_location(name, file.resolve())
    if not file.is_file() or spec is None or spec.loader is None:
        raise BadInputError(f"{file}: no such Python file")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module  # dataclasses look themselves up there
    try:
        spec.loader.exec_module(module)
    except ImportError as error:
        if "relative import" in str(error):
            raise BadInputError(_as_package(file)) from error
        raise
    return module


def _as_package(file: Path) -> str:
    """Say how a file is named whose imports are relative: as a module of its package."""
    full = file.resolve()
    depth, folder = 0, full.parent
    while (folder / "__init__.py").is_file():
        depth, folder = depth + 1, folder.parent
    imports = ast.walk(ast.parse(full.read_bytes()))
    depth = max(depth, *(node.level for node in imports if isinstance(node, ast.ImportFrom)))
    name = ".".join([*full.parts[-depth - 1 : -1], full.stem])
    return (
        f"{file}: imports relative to its package: name it {name}:Name, in the folder "
        f"{full.parents[depth]} or with that folder in PYTHONPATH"
    )


def _import(name: str, home: Path) -> ModuleType:
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as error:
        if error.name is None or not f"{name}.".startswith(f"{error.name}."):
            raise
        raise BadInputError(
            f"{name}: no such Python module in {home.resolve()} or on Python's path"
        ) from error


@contextlib.contextmanager
def _importable(folder: Path) -> Iterator[None]:
    """Let the code import what lies beside it."""
    before = list(sys.path)
    sys.path.insert(0, str(folder.resolve()))
    try:
        yield
    finally:
        sys.path[:] = before


def _check_arguments(code: Code, factory: Any) -> None:
    try:
        signature = inspect.signature(factory)
    except ValueError:
        return  # written in C: the call itself will tell
    try:
        signature.bind(**code.arguments)
    except TypeError as error:
        raise BadInputError(
            f"{code.python}: {error}; its arguments stand in a recipe.toml: "
            "[source] arguments = { ... }"
        ) from error
