"""Rows of docs/operators.md: what works along axes, moves data, or takes numbers one by one."""

from typing import Any

import numpy as np

from tests.training.layout_cells import Cell, NoSuchCellError, Row, Rows

ROWS = Rows()
row = ROWS.row


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
