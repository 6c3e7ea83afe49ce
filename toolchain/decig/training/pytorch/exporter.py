"""Writing a PyTorch module as ONNX, the same bytes every time."""

import inspect
import io
import logging
import tempfile
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stderr
from pathlib import Path
from typing import Any

import onnx
import onnx_ir
import torch
from onnx_ir.passes.common import IdentityEliminationPass, LiftConstantsToInitializersPass
from onnxscript.optimizer import fold_constants, remove_unused_nodes
from torch import Tensor, nn
from torch.nn import functional
from torch.overrides import TorchFunctionMode

from decig.files import atomic_path
from decig.graph import storage
from decig.training.pytorch.generator import Shapes, guarded, noise, run_once


def export_onnx(module: nn.Module, shapes: Shapes, path: Path, name: str = "the module") -> None:
    """Write `module` as an ONNX file of opset 20 with fixed shapes, atomically.

    Weights that do not fit into one file get a second one, as in `decig.graph.storage.save_model`.

    The exporter's own optimiser is off: it would fold BatchNormalization and rename parameters,
    which training needs. Constants are folded, as the exporter writes five nodes that compute the
    weights of an InstanceNorm. The same module gives the same bytes on every machine with the
    same PyTorch. The module is put into evaluation mode.

    Args:
        module: its outputs are called "output", or "output", "output_1", ... in the file.
        shapes: of its inputs, by the names of `forward`'s parameters or "input" for only one.
        path: of the file.
        name: of the module, for messages.

    Raises:
        BadInputError: the module cannot run, or PyTorch cannot trace it; says why.
    """
    inputs = noise(module.eval(), shapes, name)
    outputs = run_once(module, list(inputs.values()), name)
    with (
        _quiet(),
        guarded(f"{name}: PyTorch cannot export this"),
        _TracedData(),
        _BatchStatistics(),
    ):
        program = torch.onnx.export(
            module,
            tuple(inputs.values()),
            dynamo=True,
            optimize=False,
            opset_version=20,
            input_names=list(inputs),
            output_names=["output", *(f"output_{i}" for i in range(1, len(outputs)))],
            verbose=False,
        )
        assert program is not None
        # With the types known, the casts of a decomposed GroupNorm are seen to do nothing.
        fold_constants(program.model, onnx_shape_inference=True)
        IdentityEliminationPass()(program.model)
        LiftConstantsToInitializersPass(lift_all_constants=True, size_limit=0)(program.model)
        remove_unused_nodes(program.model)
        _forget_the_source(program.model)
    weights = (value.const_value for value in program.model.graph.initializers.values())
    if sum(weight.nbytes for weight in weights if weight is not None) > storage.LIMIT:
        _save_large(program, path)
        return
    with atomic_path(path) as temporary:
        program.save(str(temporary), external_data=False)


def _save_large(program: torch.onnx.ONNXProgram, path: Path) -> None:
    """Write a model whose weights need a second file, as decig writes them."""
    with tempfile.TemporaryDirectory() as scratch:
        file = Path(scratch) / "model.onnx"
        program.save(str(file), external_data=True)
        proto = onnx.load(file)
    storage.save_model(proto, path)


def _forget_the_source(model: onnx_ir.Model) -> None:
    """Drop stack traces and the like: they hold paths of the machine that exports."""
    model.metadata_props.clear()
    graph = model.graph
    graph.metadata_props.clear()
    values = [*graph.inputs, *graph.initializers.values()]
    for node in graph:
        node.metadata_props.clear()
        values += node.outputs
    for value in values:
        value.metadata_props.clear()


class _TracedData(TorchFunctionMode):
    """Let a tensor's `.data` be traced.

    PyTorch's exporter loses track of what is read and stored there, then works on numbers that
    are not there, down to a crash of the process. Modules that merge their branches into one
    convolution store its weights so at every call. Here reading gives the tensor itself, detached,
    and storing copies into it.
    """

    def __torch_function__(
        self,
        func: Any,
        types: Any,
        args: tuple[Any, ...] = (),
        kwargs: dict[str, Any] | None = None,
    ) -> Any:
        """Replace reading and storing `.data`."""
        if getattr(func, "__self__", None) is not torch.Tensor.data:
            return func(*args, **(kwargs or {}))
        if func.__name__ == "__get__":
            return args[0].detach()
        with torch.no_grad():
            return args[0].copy_(args[1])


class _BatchStatistics(TorchFunctionMode):
    """Write batch norms that normalise by their own input as instance norms.

    `F.batch_norm(..., training=True)` in `forward` (the AdaIN of MUNIT), and a BatchNorm layer
    without running statistics, use the statistics of the batch whatever mode the module is in.
    PyTorch's exporter drops that and writes a BatchNormalization of the stored statistics. An
    instance norm over the same values computes the same.
    """

    def __torch_function__(
        self,
        func: Any,
        types: Any,
        args: tuple[Any, ...] = (),
        kwargs: dict[str, Any] | None = None,
    ) -> Any:
        """Replace batch norms in training mode."""
        if func is functional.batch_norm:
            given = _BATCH_NORM.bind(*args, **(kwargs or {}))
            given.apply_defaults()
            if given.arguments["training"]:
                return _over_batch(
                    *(given.arguments[name] for name in ("input", "weight", "bias", "eps"))
                )
        return func(*args, **(kwargs or {}))


_BATCH_NORM = inspect.signature(functional.batch_norm)


def _over_batch(x: Tensor, weight: Tensor | None, bias: Tensor | None, epsilon: float) -> Tensor:
    """Normalise N,C,... by channel over all images, as one image 1,C,N*... is normalised."""
    batch, channels = x.shape[:2]
    if batch == 1 and x.dim() > 2:
        return functional.instance_norm(x, weight=weight, bias=bias, eps=epsilon)
    rows = x.transpose(0, 1)
    flat = functional.instance_norm(
        rows.reshape(1, channels, -1), weight=weight, bias=bias, eps=epsilon
    )
    return flat.reshape(rows.shape).transpose(0, 1)


@contextmanager
def _quiet() -> Iterator[None]:
    """Silence the exporter's reports, such as that torchvision is not installed."""
    names = ("torch.fx", "torch.onnx", "onnxscript", "onnx_ir")
    loggers = [logging.getLogger(name) for name in names]
    levels = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings(), redirect_stderr(io.StringIO()):
            warnings.simplefilter("ignore")
            yield
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)
