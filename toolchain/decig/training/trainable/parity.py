"""Does the trainable module of a graph compute what ONNX Runtime computes for it?

Training moves the weights of a PyTorch module; what is deployed is the ONNX graph with these
weights. If an operator of the module means something else than the graph's, the training time is
lost and nobody notices before the end. So the two are compared before a run starts, on the user's
own input.
"""

import logging
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import onnx
import torch
from onnx import TensorProto, helper
from torch import fx

from decig.device.run.numbers import (
    Feeds,
    NoNumbersError,
    are_numbers,
    described,
    first_without_numbers,
    in_order,
    values_of,
)
from decig.errors import DecigError
from decig.graph.model import infer_shapes, input_info
from decig.training.trainable.module import build_module

_log = logging.getLogger(__name__)

TOLERANCE = 1e-3
"""Largest difference between module and file, as a share of the range of the value's numbers.

Rounding in float32 is a hundred times below, another computation is above.
"""

_TOLERANCE_OF_HALVES = 5e-2
"""The same for graphs of float16, which has 11 bits."""

_STEPS = 64
"""Steps of the number format by which large values may differ, however small their range is."""

_JUMPS = frozenset(
    """
    ArgMax ArgMin Cast Ceil Equal Floor Greater GreaterOrEqual Hardmax Less LessOrEqual Mod Round
    Sign TopK
    """.split()  # noqa: SIM905  # a table, not a list of fifteen quoted words
)
"""Operators that turn a difference in the last bit into another result."""


@dataclass(frozen=True)
class _Difference:
    """Where a value differs, and by what share of its range."""

    node: onnx.NodeProto
    share: float

    def __str__(self) -> str:
        return f"node {self.node.name} ({self.node.op_type}), by {self.share:.1e} of its range"


def require_parity(
    module: fx.GraphModule,
    proto: onnx.ModelProto,
    feeds: Feeds,
    outputs: Sequence[str] | None = None,
) -> None:
    """Check that a module computes what ONNX Runtime computes for the graph it was built from.

    Where the two differ because rounding decides what an operator such as ArgMax returns, that is
    logged as a warning, and no error.

    Args:
        module: as `decig.training.trainable.module.build_module` made it, with the graph's own
            weights. It is run in evaluation mode and left in the mode that it is in.
        proto: the graph, in normal form.
        feeds: what the graph takes, by input name, of the declared shapes.
        outputs: names of the values that the module returns; by default the graph's outputs.

    Raises:
        BadInputError: ONNX Runtime itself computes NaN or infinity from this input; names the
            first node that does.
        DecigError: the two differ by more than rounding; names the first node whose result
            differs.
    """
    names = list(outputs or [value.name for value in proto.graph.output])
    expected = values_of(proto, feeds, names)
    if not are_numbers(expected):
        raise NoNumbersError(
            f"{first_without_numbers(proto, feeds, names)} from the first training input: "
            "check the weights and the input range"
        )
    tolerance = _tolerance(proto)
    shares = map(_share, expected, _run_module(module, proto, feeds))
    worst = max(shares, default=0.0)
    if worst <= tolerance:
        return
    first = _first_difference(proto, feeds, names, tolerance)
    if first is not None and first.node.op_type in _JUMPS and _agrees(proto, feeds, first.node):
        _log.warning(
            "the trainable module differs from ONNX Runtime by %.1e of the output range, as "
            "rounding decides what %s returns",
            worst,
            f"node {first.node.name} ({first.node.op_type})",
        )
        return
    where = f"; the first result that differs is that of {first}" if first else ""
    raise DecigError(
        f"the model cannot be trained: the trainable module differs from ONNX Runtime by "
        f"{worst:.1e} of the output range (at most {tolerance:.0e}){where}; replace that node, "
        "and report it as a fault of decig"
    )


def _first_difference(
    proto: onnx.ModelProto, feeds: Feeds, wanted: list[str], tolerance: float
) -> _Difference | None:
    """Find the first node, in the graph's order, whose result differs."""
    for makers in in_order(proto, wanted):
        module = build_module(proto, list(makers)).eval()
        expected = values_of(proto, feeds, list(makers))
        found = _run_module(module, proto, feeds)
        for node, *pair in zip(makers.values(), expected, found, strict=True):
            share = _share(*pair)
            if not share <= tolerance:
                return _Difference(node, share)
    return None


def _agrees(proto: onnx.ModelProto, feeds: Feeds, node: onnx.NodeProto) -> bool:
    """Whether the module's version of a node, fed what ONNX Runtime feeds it, gives its result."""
    constants = {tensor.name: tensor for tensor in proto.graph.initializer}
    live = [name for name in dict.fromkeys(node.input) if name and name not in constants]
    given = dict(zip(live, values_of(proto, feeds, live), strict=True))
    made = [name for name in node.output if name][:1]
    graph = helper.make_graph(
        [node],
        "node",
        [described(proto, name, array.shape) for name, array in given.items()],
        [described(proto, name) for name in made],
        [constants[name] for name in dict.fromkeys(node.input) if name in constants],
    )
    alone = infer_shapes(
        helper.make_model(graph, opset_imports=proto.opset_import, ir_version=proto.ir_version)
    )
    module = build_module(alone, made).eval()
    pairs = zip(values_of(proto, feeds, made), _run_module(module, alone, given), strict=True)
    return all(_share(*pair) <= _tolerance(proto) for pair in pairs)


def _run_module(module: fx.GraphModule, proto: onnx.ModelProto, feeds: Feeds) -> list[np.ndarray]:
    training = module.training
    module.eval()
    tensors = [torch.from_numpy(np.array(feeds[info.name])) for info in input_info(proto)]
    with torch.no_grad():
        found = [value.numpy() for value in module(*tensors)]
    module.train(training)
    return found


def _share(expected: np.ndarray, found: np.ndarray) -> float:
    """Largest difference as a share of the range; for whole numbers, the share that differs.

    What the number format itself cannot resolve counts as nothing: a sigmoid near 1 has a range
    of a few steps.
    """
    if expected.shape != found.shape:
        return float("inf")
    if not np.issubdtype(expected.dtype, np.floating):
        return float(np.mean(expected != found)) if expected.size else 0.0
    wide, other = expected.astype(np.float64), found.astype(np.float64)
    known = np.isfinite(wide) & np.isfinite(other)
    if not np.array_equal(wide[~known], other[~known], equal_nan=True):
        return float("inf")
    wide, other = wide[known], other[known]
    if not wide.size:
        return 0.0
    step = float(np.finfo(expected.dtype).eps) * float(np.abs(wide).max())
    off = float(np.abs(wide - other).max()) - _STEPS * step
    return max(off, 0.0) / (float(np.ptp(wide)) or 1.0)


def _tolerance(proto: onnx.ModelProto) -> float:
    halves = any(tensor.data_type == TensorProto.FLOAT16 for tensor in proto.graph.initializer)
    return _TOLERANCE_OF_HALVES if halves else TOLERANCE


@torch.no_grad()
@torch.backends.cudnn.flags(enabled=True, allow_tf32=False)  # coarser than `TOLERANCE`
def keeps_images_apart(module: torch.nn.Module, inputs: Sequence[torch.Tensor]) -> bool:
    """Whether a module makes of each image in a batch what it makes of that image alone.

    It does not where the graph, made for one image, takes the greatest of all numbers, say, or lays
    the axis of the batch into another one.

    Args:
        module: that can be given other batches than the declared one, in evaluation mode.
        inputs: N,...; numbers and vectors are the same for all images.
    """
    count = max((len(each) for each in inputs if each.dim() > 1), default=1)
    together = module(*inputs)[0]
    if len(together) != count:
        return False
    for place in range(count):
        own = [each[place : place + 1] if each.dim() > 1 else each for each in inputs]
        alone = module(*own)[0]
        if place == 0 and not torch.equal(alone, module(*own)[0]):
            return True  # it draws numbers of its own, so that nothing can be compared
        far = (together[place : place + 1] - alone).abs().max()
        if not far <= TOLERANCE * max(1e-6, float(alone.max() - alone.min())):
            return False
    return True
