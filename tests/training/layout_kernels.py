"""Rows of docs/operators.md: what computes with neighbours or weights, normalises, or pools."""

from typing import Any

import numpy as np

from tests.training.layout_cells import Cell, Row, Rows

ROWS = Rows()
row = ROWS.row


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
