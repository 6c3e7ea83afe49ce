"""The table of operators, layouts and ranks that train: every cell against ONNX Runtime.

Run as a program, it prints the table of docs/operators.md.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import onnx
import torch
from onnx import helper, numpy_helper
from onnx.shape_inference import InferenceError
from onnxruntime.capi.onnxruntime_pybind11_state import (
    Fail,
    InvalidArgument,
    NotImplemented,
    RuntimeException,
)

from decig.errors import BadInputError
from decig.graph.model import infer_shapes
from decig.training.module import build_module
from tests.training.onnx_cases import assert_close, run_ort

RANKS = range(2, 7)
LAYOUTS = ("first", "last")
"""Where the channels stand: N,C,... or N,...,C."""

TRAINS, REFUSED, NOT_RUN = "yes", "refused", "-"
"""Cells: trained as ONNX Runtime computes it; refused; not there, or ONNX Runtime cannot run it."""


class NoSuchCellError(Exception):
    """The operator makes no sense at this rank."""


@dataclass
class Cell:
    """A tensor in one layout, and the nodes that a row of the table puts behind it."""

    rank: int
    layout: str
    opset: int = 21

    def __post_init__(self) -> None:
        self.random = np.random.default_rng(self.rank)
        self.nodes: list[onnx.NodeProto] = []
        self.constants: list[onnx.TensorProto] = []
        spatial = (6, 4, 2, 2)[: self.rank - 2]
        self.channels = 8
        self.shape = (2, *spatial, 8) if self.layout == "last" else (2, 8, *spatial)
        self.channel_axis = self.rank - 1 if self.layout == "last" else 1
        self.spatial_axes = [a for a in range(1, self.rank) if a != self.channel_axis]

    def require_spatial(self) -> None:
        if not self.spatial_axes:
            raise NoSuchCellError

    def numbers(self, *shape: int) -> np.ndarray:
        return self.random.standard_normal(shape, dtype=np.float32)

    def constant(self, value: Any) -> str:
        name = f"c{len(self.constants)}"
        array = np.asarray(value)
        self.constants.append(numpy_helper.from_array(array, name))
        return name

    def op(self, kind: str, *inputs: str, outputs: int = 1, **attributes: Any) -> str:
        place = len(self.nodes)
        names = [f"v{place}", *(f"v{place}_{index}" for index in range(1, outputs))]
        name = f"{kind}_{place}"
        domain = "com.microsoft" if kind in ("QuickGelu",) else ""
        node = helper.make_node(kind, inputs, names, name=name, domain=domain, **attributes)
        self.nodes.append(node)
        return names[0]

    def channels_first(self, value: str, kind: str, *inputs: str, **attributes: Any) -> str:
        """Apply an operator that knows N,C,... alone, between Transposes as exporters write it."""
        if self.layout == "first":
            return self.op(kind, value, *inputs, **attributes)
        there = [0, self.rank - 1, *range(1, self.rank - 1)]
        back = [0, *range(2, self.rank), 1]
        first = self.op("Transpose", value, perm=there)
        return self.op("Transpose", self.op(kind, first, *inputs, **attributes), perm=back)

    def along_channels(self, vector: np.ndarray) -> str:
        """A constant with a number per channel, shaped to be broadcast."""
        shape = [1] * self.rank
        shape[self.channel_axis] = -1
        return self.constant(vector.reshape(shape))

    def model(self, last: str) -> onnx.ModelProto:
        kind = onnx.TensorProto.INT64 if "ArgMax" in self.nodes[-1].op_type else 1
        graph = helper.make_graph(
            self.nodes,
            "cell",
            [helper.make_tensor_value_info("x", onnx.TensorProto.FLOAT, self.shape)],
            [helper.make_tensor_value_info(last, kind, None)],
            self.constants,
        )
        opsets = [helper.make_opsetid("", self.opset), helper.make_opsetid("com.microsoft", 1)]
        return helper.make_model(graph, opset_imports=opsets, ir_version=10)


Row = Callable[[Cell], str]
ROWS: dict[str, Row] = {}


def row(name: str) -> Callable[[Row], Row]:
    def register(function: Row) -> Row:
        ROWS[name] = function
        return function

    return register


def _pad(mode: str, where: str) -> Row:
    def build(cell: Cell) -> str:
        axes = {
            "spatial": cell.spatial_axes,
            "channels": [cell.channel_axis],
            "every axis": range(cell.rank),
        }[where]
        if where == "spatial":
            cell.require_spatial()
        pads = np.zeros((2, cell.rank), np.int64)
        pads[:, list(axes)] = 1
        return cell.op("Pad", "x", cell.constant(pads.ravel()), mode=mode)

    return build


def _resize(mode: str, scale: float, **settings: Any) -> Row:
    def build(cell: Cell) -> str:
        cell.require_spatial()
        scales = np.ones(cell.rank, np.float32)
        scales[cell.spatial_axes] = scale
        return cell.op("Resize", "x", "", cell.constant(scales), mode=mode, **settings)

    return build


def _resize_to(mode: str) -> Row:
    def build(cell: Cell) -> str:
        cell.require_spatial()
        sizes = np.array(cell.shape)
        sizes[cell.spatial_axes] = sizes[cell.spatial_axes] * 3 // 2
        return cell.op("Resize", "x", "", "", cell.constant(sizes), mode=mode)

    return build


for _mode in ("constant", "reflect", "edge", "wrap"):
    for _where in ("spatial", "channels", "every axis"):
        ROWS[f"Pad, {_mode}, {_where}"] = _pad(_mode, _where)
for _mode in ("nearest", "linear", "cubic"):
    ROWS[f"Resize, {_mode}, by 2"] = _resize(_mode, 2)
    ROWS[f"Resize, {_mode}, by 1.5, asymmetric"] = _resize(
        _mode, 1.5, coordinate_transformation_mode="asymmetric"
    )
    ROWS[f"Resize, {_mode}, to sizes"] = _resize_to(_mode)
ROWS["Resize, linear, by 0.5, antialias"] = _resize("linear", 0.5, antialias=1)
ROWS["Resize, cubic, by 0.5, antialias"] = _resize("cubic", 0.5, antialias=1)


@row("Conv")
def conv(cell: Cell) -> str:
    cell.require_spatial()
    kernel = [3] * (cell.rank - 2)
    weight = cell.constant(cell.numbers(5, cell.channels, *kernel))
    return cell.channels_first("x", "Conv", weight, pads=[1] * 2 * len(kernel))


@row("Conv, depthwise")
def depthwise(cell: Cell) -> str:
    cell.require_spatial()
    kernel = [2] * (cell.rank - 2)
    weight = cell.constant(cell.numbers(cell.channels, 1, *kernel))
    return cell.channels_first("x", "Conv", weight, group=cell.channels)


@row("ConvTranspose")
def conv_transpose(cell: Cell) -> str:
    cell.require_spatial()
    kernel = [3] * (cell.rank - 2)
    weight = cell.constant(cell.numbers(cell.channels, 4, *kernel))
    strides = [2] * len(kernel)
    return cell.channels_first("x", "ConvTranspose", weight, strides=strides)


@row("MatMul")
def matmul(cell: Cell) -> str:
    if cell.layout == "last":
        return cell.op("MatMul", "x", cell.constant(cell.numbers(cell.channels, 5)))
    return cell.op("MatMul", "x", cell.constant(cell.numbers(cell.shape[-1], 5)))


@row("MatMul with itself")
def matmul_computed(cell: Cell) -> str:
    perm = [*range(cell.rank - 2), cell.rank - 1, cell.rank - 2]
    return cell.op("MatMul", "x", cell.op("Transpose", "x", perm=perm))


@row("Einsum")
def einsum(cell: Cell) -> str:
    letters = "nabcdefg"[: cell.rank]
    channel = letters[cell.channel_axis]
    equation = f"{letters},{channel}z->{letters.replace(channel, 'z')}"
    weight = cell.constant(cell.numbers(cell.channels, 5))
    return cell.op("Einsum", "x", weight, equation=equation)


@row("Einsum of three operands")
def einsum_of_three(cell: Cell) -> str:
    letters = "nabcdefg"[: cell.rank]
    channel = letters[cell.channel_axis]
    equation = f"{letters},{channel}y,yz->{letters.replace(channel, 'z')}"
    factors = cell.numbers(cell.channels, 3), cell.numbers(3, 5)
    return cell.op("Einsum", "x", *map(cell.constant, factors), equation=equation)


def _norm(kind: str, **attributes: Any) -> Row:
    def build(cell: Cell) -> str:
        affine = [cell.constant(cell.numbers(cell.channels)) for _ in range(2)]
        return cell.channels_first("x", kind, *affine, **attributes)

    return build


ROWS["InstanceNormalization"] = _norm("InstanceNormalization")
ROWS["GroupNormalization"] = _norm("GroupNormalization", num_groups=4)


def _batch_norm(outputs: int, **attributes: Any) -> Row:
    def build(cell: Cell) -> str:
        four = [cell.constant(np.abs(cell.numbers(cell.channels)) + 0.5) for _ in range(4)]
        return cell.channels_first("x", "BatchNormalization", *four, outputs=outputs, **attributes)

    return build


ROWS["BatchNormalization"] = _batch_norm(1)
ROWS["BatchNormalization, training mode"] = _batch_norm(3, training_mode=1)


@row("LayerNormalization, channels")
def layer_norm(cell: Cell) -> str:
    axis = cell.channel_axis
    scale = cell.constant(cell.numbers(*cell.shape[axis:]))
    return cell.op("LayerNormalization", "x", scale, axis=axis)


@row("RMSNormalization, channels")
def rms_norm(cell: Cell) -> str:
    axis = cell.channel_axis
    cell.opset = 23
    scale = cell.constant(cell.numbers(*cell.shape[axis:]))
    return cell.op("RMSNormalization", "x", scale, axis=axis)


@row("LpNormalization, channels")
def lp_norm(cell: Cell) -> str:
    return cell.op("LpNormalization", "x", axis=cell.channel_axis)


@row("MeanVarianceNormalization")
def mean_variance(cell: Cell) -> str:
    return cell.op("MeanVarianceNormalization", "x", axes=[0, *cell.spatial_axes])


@row("LRN")
def response(cell: Cell) -> str:
    return cell.channels_first("x", "LRN", size=3)


def _pool(kind: str, **attributes: Any) -> Row:
    def build(cell: Cell) -> str:
        cell.require_spatial()
        window = [2] * (cell.rank - 2)
        return cell.channels_first("x", kind, kernel_shape=window, strides=window, **attributes)

    return build


def _plain(kind: str, **attributes: Any) -> Row:
    return lambda cell: cell.channels_first("x", kind, **attributes)


for _kind in ("MaxPool", "AveragePool", "LpPool"):
    ROWS[_kind] = _pool(_kind)
for _kind in ("GlobalAveragePool", "GlobalMaxPool", "GlobalLpPool"):
    ROWS[_kind] = _plain(_kind)
ROWS["DepthToSpace, DCR"] = _plain("DepthToSpace", blocksize=2)
ROWS["DepthToSpace, CRD"] = _plain("DepthToSpace", blocksize=2, mode="CRD")
ROWS["SpaceToDepth"] = _plain("SpaceToDepth", blocksize=2)


@row("DepthToSpace spelled in the layout")
def shuffle(cell: Cell) -> str:
    if cell.rank != 4:
        raise NoSuchCellError
    if cell.layout == "first":
        n, c, h, w = cell.shape
        wide = cell.op("Reshape", "x", cell.constant([n, c // 4, 2, 2, h, w]))
        wide = cell.op("Transpose", wide, perm=[0, 1, 4, 2, 5, 3])
        return cell.op("Reshape", wide, cell.constant([n, c // 4, 2 * h, 2 * w]))
    n, h, w, c = cell.shape
    wide = cell.op("Reshape", "x", cell.constant([n, h, w, 2, 2, c // 4]))
    wide = cell.op("Transpose", wide, perm=[0, 1, 3, 2, 4, 5])
    return cell.op("Reshape", wide, cell.constant([n, 2 * h, 2 * w, c // 4]))


def _reduce(kind: str, where: str, keepdims: int) -> Row:
    def build(cell: Cell) -> str:
        if where == "spatial":
            cell.require_spatial()
        axes = [cell.channel_axis] if where == "channels" else cell.spatial_axes
        value = cell.op("Abs", "x") if "Log" in kind else "x"
        return cell.op(f"Reduce{kind}", value, cell.constant(axes), keepdims=keepdims)

    return build


for _kind in "L1 L2 LogSum LogSumExp Max Mean Min Prod Sum SumSquare".split():  # noqa: SIM905
    ROWS[f"Reduce{_kind}, spatial"] = _reduce(_kind, "spatial", 1)
    ROWS[f"Reduce{_kind}, channels"] = _reduce(_kind, "channels", 0)


def _along(kind: str, *, where: str, outputs: int = 1, more: Any = (), **attributes: Any) -> Row:
    def build(cell: Cell) -> str:
        axis = cell.channel_axis if where == "channels" else cell.rank - 1
        constants = [cell.constant(value) for value in more]
        return cell.op(kind, "x", *constants, outputs=outputs, axis=axis, **attributes)

    return build


for _kind in ("Softmax", "LogSoftmax", "Hardmax", "ArgMax"):
    ROWS[f"{_kind}, channels"] = _along(_kind, where="channels")
ROWS["TopK, channels"] = _along("TopK", where="channels", outputs=2, more=[[3]])
ROWS["Split, channels"] = _along("Split", where="channels", outputs=2, more=[[3, 5]])
ROWS["Gather, channels"] = _along("Gather", where="channels", more=[[5, -1, 2]])
ROWS["Gather of one channel"] = _along("Gather", where="channels", more=[3])


@row("CumSum, channels")
def cumulative(cell: Cell) -> str:
    return cell.op("CumSum", "x", cell.constant(cell.channel_axis))


@row("Slice, every axis")
def slices(cell: Cell) -> str:
    ends = [n - 1 if axis else n for axis, n in enumerate(cell.shape)]
    starts = [1 if axis and n > 2 else 0 for axis, n in enumerate(cell.shape)]
    return cell.op("Slice", "x", cell.constant(starts), cell.constant(ends))


@row("Slice backwards, channels")
def backwards(cell: Cell) -> str:
    bounds = [cell.constant([n]) for n in (-1, -100, cell.channel_axis, -1)]
    return cell.op("Slice", "x", *bounds)


@row("Concat, channels")
def concat(cell: Cell) -> str:
    return cell.op("Concat", "x", cell.op("Neg", "x"), axis=cell.channel_axis)


@row("Expand of channels")
def expand(cell: Cell) -> str:
    mean = cell.op("ReduceMean", "x", cell.constant([cell.channel_axis]), keepdims=1)
    return cell.op("Expand", mean, cell.constant(cell.shape))


@row("Tile, every axis")
def tile(cell: Cell) -> str:
    return cell.op("Tile", "x", cell.constant([1, *[2] * (cell.rank - 1)]))


@row("Flatten")
def flatten(cell: Cell) -> str:
    return cell.op("Flatten", "x", axis=cell.rank // 2)


@row("ScatterND over some channels")
def write(cell: Cell) -> str:
    perm = [cell.channel_axis, *(a for a in range(cell.rank) if a != cell.channel_axis)]
    back = [perm.index(axis) for axis in range(cell.rank)]
    first = cell.op("Transpose", "x", perm=perm)
    part = cell.op("Sin", cell.op("Gather", first, cell.constant([1, 4])))
    written = cell.op("ScatterND", first, cell.constant([[0], [6]]), part)
    return cell.op("Transpose", written, perm=back)


@row("GatherElements, channels")
def take_elements(cell: Cell) -> str:
    order = cell.random.permuted(np.tile(np.arange(cell.channels), (*cell.shape, 1)), axis=-1)
    return cell.op("GatherElements", "x", cell.constant(order[..., 0]), axis=cell.channel_axis)


@row("GatherND over channels")
def take_places(cell: Cell) -> str:
    perm = [cell.channel_axis, *(a for a in range(cell.rank) if a != cell.channel_axis)]
    first = cell.op("Transpose", "x", perm=perm)
    taken = cell.op("GatherND", first, cell.constant([[4], [0], [-1]]))
    return cell.op("Transpose", taken, perm=[perm.index(axis) for axis in range(cell.rank)])


@row("ScatterElements, channels")
def write_elements(cell: Cell) -> str:
    part = cell.op("Gather", "x", cell.constant([1, 4]), axis=cell.channel_axis)
    shape = [2 if axis == cell.channel_axis else n for axis, n in enumerate(cell.shape)]
    places = cell.random.permuted(np.tile(np.arange(cell.channels), (*shape, 1)), axis=-1)[..., 0]
    if cell.channel_axis != cell.rank - 1:
        places[:, 1] = (places[:, 0] + 1) % cell.channels
    else:
        places[..., 1] = (places[..., 0] + 1) % cell.channels
    index = cell.constant(places)
    return cell.op("ScatterElements", "x", index, cell.op("Sin", part), axis=cell.channel_axis)


@row("DFT, spatial")
def spectrum(cell: Cell) -> str:
    cell.require_spatial()
    value = cell.op("Unsqueeze", "x", cell.constant([-1]))
    for axis in cell.spatial_axes:
        value = cell.op("DFT", value, "", cell.constant(np.int64(axis)))
    return value


@row("Unsqueeze and Squeeze")
def squeeze(cell: Cell) -> str:
    axis = cell.constant([cell.channel_axis])
    return cell.op("Squeeze", cell.op("Sin", cell.op("Unsqueeze", "x", axis)), axis)


@row("Transpose")
def transpose(cell: Cell) -> str:
    return cell.op("Transpose", "x", perm=[0, *range(cell.rank - 1, 0, -1)])


def _with_vector(kind: str) -> Row:
    return lambda cell: cell.op(kind, "x", cell.along_channels(cell.numbers(cell.channels)))


for _kind in ("Add", "Sub", "Mul", "Div", "PRelu", "Max"):
    ROWS[f"{_kind} of a number per channel"] = _with_vector(_kind)


@row("Where by channel")
def where(cell: Cell) -> str:
    chosen = cell.along_channels(np.arange(cell.channels) % 2 == 0)
    return cell.op("Where", chosen, "x", cell.constant(np.float32(0.5)))


@row("Clip, Gelu and HardSwish")
def activations(cell: Cell) -> str:
    bounds = [cell.constant(np.float32(n)) for n in (-1.5, 1.5)]
    clipped = cell.op("Clip", "x", *bounds)
    return cell.op("HardSwish", cell.op("Gelu", clipped))


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
