"""A wide convolution with few outputs, as one of 3 x 3 on a quarter of the rows and columns.

SpaceToDepth makes one place with s*s*C channels of every tile of s x s pixels. Outputs of a tile
read inputs of a few tiles, so between tiles the convolution is one with few taps: with padding t
above and l on the left,

    Conv(x, W)  =  DepthToSpace_s(Conv(SpaceToDepth_s(x), V))

    V[(i, j, m), (a, b, c), p, q]  =  W[m, c, s p + a - i + t, s q + b - j + l],  or 0 outside

for phases i, j of the outputs and a, b of the inputs, and tiles p, q counted from the output's. At
s = 4 a window of 9 x 9 with padding 4 has 3 x 3 tiles. It multiplies a little more than the phases
of `wide_head` (9 * 16 * 16 M against 100 * 16 * 4 for each tile and input channel, M = 3), but
input and output channels are whole blocks, and three rows of taps are what `winograd` halves.

Measured on one thread, 9x9 at 256x256: 8 to 3 channels 12.8 ms, 4.4 by `wide_head`, 3.2 by this
rule and `winograd`; 32 to 3 channels 52, 17.2 and 15.3 ms.
"""

from itertools import product

import numpy as np
from onnx import NodeProto, helper

from decig.graph.rewrite.editor import Editor, set_attributes
from decig.graph.rewrite.rule import NoMatch, rule
from decig.graph.rewrite.wide_head import phase_work
from decig.graph.rewrite.windows import blocks, dense_conv

_TILE = 4
"""Rows and columns of a tile."""
_TAPS = 3
"""Tiles that the outputs of a tile read along an axis: what `winograd` takes."""
_HALVED = 0.5
"""Share of the work that is left behind `winograd`."""
_LEAST_GAIN = 1.3
"""Least saving over `wide_head`, in multiplications by whole blocks, that pays for SpaceToDepth."""
_LEAST_INPUTS = 4
"""Fewest input channels for which that was measured to pay."""


@rule("Conv", one_size=True, needs_float32=True)
def coarse_head(graph: Editor, node: NodeProto) -> None:
    """Rewrite `node`, a dense Conv of stride 1, if its windows have three rows of tiles."""
    conv = dense_conv(graph, node)
    weight, bias, pads, source, target = conv.weight, conv.bias, conv.pads, conv.source, conv.target
    if weight.dtype != np.float32:
        raise NoMatch(f"its weights are {weight.dtype}; `winograd` takes float32 alone")
    if any(size % _TILE for size in (*source[2:], *target[2:])):
        raise NoMatch(f"its sizes are not whole tiles of {_TILE}")
    spans = [_span(weight.shape[2 + axis], pads[axis]) for axis in (0, 1)]
    if any(len(span) != _TAPS for span in spans):
        raise NoMatch(f"the outputs of a tile do not read {_TAPS} x {_TAPS} tiles")
    if not _gains(weight.shape, target):
        raise NoMatch("it would save too little work")
    tiles = _fold(graph, node, source)
    graph.set_constant(node, 1, _kernel(weight, spans, pads), "w")
    if bias is not None:
        graph.set_constant(node, 2, np.tile(bias, _TILE**2), "b")
    begin = [-span.start for span in spans]
    end = [(target[2 + a] - source[2 + a]) // _TILE + spans[a].stop - 1 for a in (0, 1)]
    set_attributes(node, kernel_shape=[_TAPS] * 2, pads=begin + end, auto_pad=None)
    output, phases = node.output[0], f"{node.name}/phases"
    node.input[0], node.output[0] = tiles, phases
    name = f"{node.name}/depth_to_space"
    joined = helper.make_node("DepthToSpace", [phases], [output], name=name, blocksize=_TILE)
    graph.insert_after(node, [joined])


def _span(kernel: int, pad: int) -> range:
    """Tiles that the outputs of one tile read, counted from theirs."""
    return range(-pad // _TILE, (_TILE + kernel - 2 - pad) // _TILE + 1)


def _gains(kernel: tuple[int, ...], size: tuple[int, ...]) -> bool:
    outputs, inputs = kernel[:2]
    work = _HALVED * _TAPS**2 * blocks(outputs * _TILE**2)
    phases = min(phase_work(kernel, factor) for factor in (1, 2, 3, 4) if size[2] % factor == 0)
    return inputs >= _LEAST_INPUTS and phases >= _LEAST_GAIN * work


def _kernel(weight: np.ndarray, spans: list[range], pads: list[int]) -> np.ndarray:
    """Weights V, [s * s * M, s * s * C, tiles, tiles]."""
    outputs, inputs, height, width = weight.shape
    every = range(_TILE)
    placed = np.zeros((_TILE, _TILE, outputs, _TILE, _TILE, inputs, _TAPS, _TAPS), weight.dtype)
    for i, a, (row, p) in product(every, every, enumerate(spans[0])):
        y = _TILE * p + a - i + pads[0]
        for j, b, (column, q) in product(every, every, enumerate(spans[1])):
            x = _TILE * q + b - j + pads[1]
            if 0 <= y < height and 0 <= x < width:
                placed[i, j, :, a, b, :, row, column] = weight[:, :, y, x]
    return placed.reshape(_TILE**2 * outputs, _TILE**2 * inputs, _TAPS, _TAPS)


def _fold(graph: Editor, node: NodeProto, size: tuple[int, ...]) -> str:
    """Put a SpaceToDepth in front of `node`, as the inverse of the moves of `depth_to_space`."""
    s, (batch, channels, height, width) = _TILE, size
    low, narrow = height // s, width // s
    steps: list[NodeProto] = []

    def reshape(what: str, value: str, shape: list[int]) -> str:
        constant = graph.add_constant(node, f"{what}_shape", np.array(shape))
        name = f"{node.name}/{what}"
        steps.append(helper.make_node("Reshape", [value, constant], [name], name=name))
        return name

    def transpose(what: str, value: str, perm: list[int]) -> str:
        name = f"{node.name}/{what}"
        steps.append(helper.make_node("Transpose", [value], [name], name=name, perm=perm))
        return name

    rows = reshape("input_rows", node.input[0], [batch, channels * low, s, width])
    apart = transpose("input_low", rows, [0, 2, 1, 3])
    columns = reshape("input_columns", apart, [batch * s, channels * low * narrow, s])
    tiles = transpose("input_narrow", columns, [0, 2, 1])
    tiles = reshape("input_tiles", tiles, [batch, s * s * channels, low, narrow])
    graph.insert_before(node, steps)
    return tiles
