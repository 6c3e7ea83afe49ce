"""A generator as PyTorch source: building the module, and writing it as ONNX."""

import importlib.util
import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import torch
from onnx_ir.passes.common import LiftConstantsToInitializersPass
from onnxscript.optimizer import fold_constants, remove_unused_nodes
from torch import Tensor, nn

from decig.errors import BadInputError
from decig.files import atomic_path
from decig.recipe import Recipe


def build_generator(recipe: Recipe) -> nn.Module:
    """Make the recipe's PyTorch module with fresh weights.

    Raises:
        BadInputError: no [source], no such file or class, or arguments that it does not take.
    """
    if recipe.source is None:
        raise BadInputError(f"{recipe.folder}/recipe.toml: has no [source] table to train from")
    name, _, attribute = recipe.source.python.partition(":")
    file = recipe.folder / name
    spec = importlib.util.spec_from_file_location(file.stem, file)
    if not file.is_file() or spec is None or spec.loader is None:
        raise BadInputError(f"{file}: no such Python file ([source] python in recipe.toml)")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    if not hasattr(module, attribute):
        raise BadInputError(f"{file}: has no class {attribute!r}")
    try:
        generator = getattr(module, attribute)(**recipe.source.arguments)
    except TypeError as error:
        raise BadInputError(f"{file}: {attribute}: {error}") from error
    if not isinstance(generator, nn.Module):
        raise BadInputError(f"{file}: {attribute} is no torch.nn.Module")
    return generator


def check_pictures(generator: nn.Module, input_shape: list[int]) -> None:
    """Make sure that the generator turns an N,C,H,W input into a picture N,3,H,W.

    Raises:
        BadInputError: it cannot take this shape, or gives something else; says what.
    """
    name = type(generator).__name__
    try:
        with torch.no_grad():
            output = generator(torch.zeros(input_shape))
    except (RuntimeError, ValueError) as error:
        raise BadInputError(
            f"{name} cannot take an input of {input_shape}: {str(error).splitlines()[0]}"
        ) from error
    wanted = [input_shape[0], 3, *input_shape[2:]]
    if not isinstance(output, Tensor) or list(output.shape) != wanted:
        given = list(output.shape) if isinstance(output, Tensor) else type(output).__name__
        raise BadInputError(f"{name} turns {input_shape} into {given}; training needs {wanted}")


def export_onnx(module: nn.Module, input_shape: list[int], path: Path) -> None:
    """Write `module` as an ONNX file of opset 20 with fixed shapes, atomically.

    Its one input is called "input", its one output "output". The exporter's own optimiser is
    off: it would fold BatchNormalization and rename parameters, which training needs. Constants
    are folded, as the exporter computes even the weights of an InstanceNorm by five nodes. The
    module is put into evaluation mode.
    """
    with _quiet(), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        program = torch.onnx.export(
            module.eval(),
            (torch.zeros(input_shape),),
            dynamo=True,
            optimize=False,
            opset_version=20,
            input_names=["input"],
            output_names=["output"],
            verbose=False,
        )
        assert program is not None
        fold_constants(program.model)
        LiftConstantsToInitializersPass(lift_all_constants=True, size_limit=0)(program.model)
        remove_unused_nodes(program.model)
        for node in program.model.graph:
            node.metadata_props.clear()  # stack traces: paths of the machine that exports
    with atomic_path(path) as temporary:
        program.save(str(temporary), external_data=False)


@contextmanager
def _quiet() -> Iterator[None]:
    """Silence the exporter's reports, of torchvision not being installed and the like."""
    loggers = [logging.getLogger(name) for name in ("torch.onnx", "onnxscript", "onnx_ir")]
    levels = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.ERROR)
    try:
        yield
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)
