"""The table of operators, layouts and ranks that train: every cell against ONNX Runtime.

Run as a program, it prints the table of docs/operators.md.
"""

from collections.abc import Iterator

import torch
from onnx.shape_inference import InferenceError
from onnxruntime.capi.onnxruntime_pybind11_state import (
    Fail,
    InvalidArgument,
    NotImplemented,
    RuntimeException,
)

from decig.errors import BadInputError
from decig.graph.model import infer_shapes
from decig.training.trainable.module import build_module
from tests.training import layout_axes, layout_kernels
from tests.training.layout_cells import LAYOUTS, RANKS, Cell, NoSuchCellError
from tests.training.onnx_cases import assert_close, run_ort

ROWS = {**layout_kernels.ROWS, **layout_axes.ROWS}
TRAINS, REFUSED, NOT_RUN = "yes", "refused", "-"
"""Cells: trained as ONNX Runtime computes it; refused; not there, or ONNX Runtime cannot run it."""
NO_GRADIENT = ("ArgMax, channels", "Hardmax, channels")
"""Rows whose result is a choice: it does not change with small steps."""


def outcome(name: str, rank: int, layout: str) -> tuple[str, str]:
    """Build one cell, compare it with ONNX Runtime, and let a gradient flow through it.

    Returns:
        `TRAINS`, `REFUSED` or `NOT_RUN`; and the reason of a refusal.
    """
    cell = Cell(rank, layout)
    x = cell.numbers(*cell.shape)
    try:
        proto = infer_shapes(cell.model(ROWS[name](cell)))
        (expected,) = run_ort(proto, x)
    except (
        NoSuchCellError,
        InferenceError,
        RuntimeException,
        Fail,
        InvalidArgument,
        NotImplemented,
    ):
        return NOT_RUN, ""
    try:
        module = build_module(proto).eval()
    except BadInputError as error:
        return REFUSED, str(error)
    tensor = torch.from_numpy(x).requires_grad_()
    (found,) = module(tensor)
    assert_close(found.detach().numpy(), expected, 1e-4)
    if name not in NO_GRADIENT:
        weights = torch.linspace(0.5, 1.5, found.numel()).reshape(found.shape)
        (found * weights).sum().backward()
        assert tensor.grad is not None
        assert bool(tensor.grad.isfinite().all())
        assert bool(tensor.grad.any())
        for parameter in module.parameters():
            assert parameter.grad is not None
            assert bool(parameter.grad.isfinite().all())
    return TRAINS, ""


def table() -> Iterator[str]:
    """Lines of docs/operators.md."""
    yield from HEAD.splitlines()
    heads = [f"rank {rank}, C {layout}" for rank in RANKS for layout in LAYOUTS]
    yield f"| operator | {' | '.join(heads)} |"
    yield "|---" * (len(heads) + 1) + "|"
    for name in ROWS:
        cells = [outcome(name, rank, layout)[0] for rank in RANKS for layout in LAYOUTS]
        yield f"| {name} | {' | '.join(cells)} |"


HEAD = f"""\
# Which operators train, in which layouts and ranks

`decig compress` trains the graph as a PyTorch module, whatever the layout of its tensors. Each
cell is compared with ONNX Runtime by `tests/training/test_layout_table.py`, its result and the flow
of gradients through it. "C first" are tensors N,C,..., "C last" N,...,C; operators that know
N,C,... alone stand between Transposes there, as exporters write them.

- {TRAINS}: trains, and computes what ONNX Runtime computes.
- {REFUSED}: `decig` refuses it before anything starts, and says why.
- {NOT_RUN}: there is no such operator at this rank, or ONNX Runtime itself does not run it.

This file is made by `python tests/training/layout_table.py > docs/operators.md`.
"""


if __name__ == "__main__":
    print("\n".join(table()))
