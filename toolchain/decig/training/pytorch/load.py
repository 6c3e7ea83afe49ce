"""PyTorch code and its weights as a graph in normal form."""

import logging
import tempfile
from collections.abc import Collection, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from decig.device.run.device import Device
from decig.device.run.runs import run_session
from decig.errors import DecigError
from decig.graph.model import Model, load_model
from decig.quality.parity import max_abs_diff
from decig.source.recipe import Code
from decig.training.pytorch.checkpoint import Checkpoint
from decig.training.pytorch.exporter import export_onnx
from decig.training.pytorch.generator import Shapes, build_generator, noise, run_once
from decig.training.pytorch.reparametrise import resolve_module
from decig.training.pytorch.sizes import fit_to_checkpoint
from decig.training.pytorch.statistics import choose_statistics
from decig.training.pytorch.weights import load_weights

_log = logging.getLogger(__name__)

_SEED = 0
_TOLERANCE = 1e-3  # of the output range; another computation is far beyond, rounding far below


def load_pytorch(
    code: Code, folder: Path, shapes: Shapes, name: str, *, given: Collection[str] = ()
) -> Model:
    """Build a module, give it its weights and export it.

    The digest is of the exported bytes, which depend on code, weights, shapes and the version of
    PyTorch only: cost tables and plans fit on every later run.

    Args:
        code: the code; without weights the module keeps the initial ones of a fixed seed.
        folder: that the paths in `code` are relative to.
        shapes: of the module's inputs; see `export_onnx`.
        name: of the model, in messages and as its path.
        given: inputs whose shapes the user gave: weights of another size do not change them.

    Raises:
        BadInputError: the code, the weights or the shapes do not fit together; says where.
        DecigError: the module returns values that are no numbers, or the exported graph does not
            compute what the module does; says why.
    """
    module, shapes = load_module(code, folder, shapes, name, given=given)
    inputs = noise(module, shapes, name)
    with tempfile.TemporaryDirectory() as scratch:
        file = Path(scratch) / "model.onnx"
        export_onnx(module, shapes, file, name)
        model = replace(load_model(file), path=Path(name))
    expected = run_once(module, list(inputs.values()), name)
    session = Device.for_work().open(model.proto, optimisation="basic")
    found = run_session(session, {key: value.numpy() for key, value in inputs.items()})
    if not all(bool(output.isfinite().all()) for output in expected):
        raise DecigError(
            f"{name}: forward returns values that are no numbers (NaN or infinity) for an input "
            "between -1 and 1; look at its weights"
        )
    worst = _largest_difference(expected, found)
    if not worst <= _TOLERANCE:
        again = run_once(module, list(inputs.values()), name)
        raise DecigError(
            f"{name}: the exported graph differs from the module by {worst:.1e} of its output "
            f"range: {_cause(expected, [tensor.numpy() for tensor in again])}"
        )
    return model


def load_module(
    code: Code, folder: Path, shapes: Shapes, name: str, *, given: Collection[str] = ()
) -> tuple[nn.Module, Shapes]:
    """Build a module in the size of its weights, and give it these.

    Args and errors are those of `load_pytorch`.

    Returns:
        The module, in evaluation mode, and the shapes of its inputs.
    """
    checkpoint = Checkpoint.read(folder / code.weights) if code.weights else None
    if checkpoint is not None and code.sizes:
        code, shapes = fit_to_checkpoint(code, folder, checkpoint, shapes, name, given=given)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(_SEED)
        module = build_generator(code, folder).eval().float()
        # Lazy layers draw their weights here.
        run_once(module, list(noise(module, shapes, name).values()), name)
    if checkpoint is not None:
        load_weights(module, checkpoint, name)
    else:
        resolve_module(module)
        _log.info("%s: no trained weights; taking initial ones (seed %d)", name, _SEED)
    choose_statistics(module, code, name, trained=checkpoint is not None)
    return module, shapes


def _largest_difference(expected: Sequence[Tensor], found: Sequence[np.ndarray]) -> float:
    return max(max_abs_diff(a.numpy(), b) for a, b in zip(expected, found, strict=True))


def _cause(expected: Sequence[Tensor], again: Sequence[np.ndarray]) -> str:
    """Say why a graph differs from its module, from two results of the module for one input."""
    if _largest_difference(expected, again) > 0:
        return (
            "forward gives another result at every call, as it draws random numbers or keeps a "
            "state; draw them outside and pass them as an input"
        )
    return (
        "forward is repeatable, so PyTorch's exporter wrote another computation than it runs; "
        "export the model to .onnx yourself and give that file"
    )
