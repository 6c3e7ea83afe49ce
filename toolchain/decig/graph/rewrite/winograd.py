"""A convolution with three rows of taps as Winograd's F(4, 3) along the rows.

Four output rows y of a convolution with rows of taps w read six input rows d. With the matrices of
A. Lavin and S. Gray, "Fast Algorithms for Convolutional Neural Networks" (CVPR 2016), section 4.3,

    t = B^T d,   g = G w,   m_k = t_k * g_k  (k = 0 ... 5),   y = A^T m

where every m_k is a convolution with a single row of taps over a quarter of the rows: 6 x 1 row
products for four rows of output instead of 4 x 3, half the multiplications. Along the columns it is
a convolution like any other. With sums s12 = m1 + m2, s34 = m3 + m4 and differences d12 = m1 - m2,
d34 = m3 - m4,

    y0 = m0 + s12 + s34    y1 = d12 + 2 d34    y2 = s12 + 4 s34    y3 = d12 + 8 d34 + m5

s12 or d12 is in each row once, so the bias is added in m1. Everything between x and y is depthwise
convolution, convolution and Add, for which ONNX Runtime's CPU has kernels in its blocked layout;
it fuses each Add into the convolution in front of it. The rows are put together by a Concat.

The transforms move memory in proportion to the channels and save work in proportion to their
product, so wide layers gain most: 1.6 times at 256 channels, 1.4 at 128, 1.2 at 48, 1.05 at 32
(64x64 maps, one thread). The outputs differ by rounding, about 1e-6 of their range.
"""

import math
from typing import Any

import numpy as np
from onnx import NodeProto, helper

from decig.graph.rewrite.editor import Editor
from decig.graph.rewrite.rule import NoMatch, rule, shape_of
from decig.graph.rewrite.windows import BLOCK, crop, dense_kernel

# B^T and G of F(4, 3), with the points 0, 1, -1, 2, -2 and infinity.
_INPUT = np.array(
    [
        [4, 0, -5, 0, 1, 0],
        [0, -4, -4, 1, 1, 0],
        [0, 4, -4, -1, 1, 0],
        [0, -2, -1, 2, 1, 0],
        [0, 2, -1, -2, 1, 0],
        [0, 4, 0, -5, 0, 1],
    ]
)
_KERNEL = np.array(
    [
        [1 / 4, 0, 0],
        [-1 / 6, -1 / 6, -1 / 6],
        [-1 / 6, 1 / 6, -1 / 6],
        [1 / 24, 1 / 12, 1 / 6],
        [1 / 24, -1 / 12, 1 / 6],
        [0, 0, 1],
    ]
)
_ROWS = 4
"""Rows of output that are computed together."""
_LEAST_WIDTH = 16
"""Least C M / (C + M), for inputs C and outputs M, that pays: what is saved over what is moved."""
_LEAST_HEIGHT = 8
"""Fewest rows of output that pay."""


@rule("Conv", one_size=True, needs_float32=True)
def winograd(graph: Editor, node: NodeProto) -> None:
    """Rewrite `node`, a dense Conv of stride 1 with three rows of taps, if it is wide enough."""
    weight, pads = dense_kernel(graph, node)
    source, target = shape_of(graph, node.input[0]), shape_of(graph, node.output[0])
    if weight.dtype != np.float32:
        raise NoMatch(
            f"its weights are {weight.dtype}; sums of large and small numbers need float32"
        )
    _require_gain(weight.shape, target[2])
    bands = math.ceil(target[2] / _ROWS)
    below = _ROWS * bands + 2 - source[2] - pads[0]
    steps = _Steps(graph, node)
    products = []
    for k, (transform, taps) in enumerate(zip(_INPUT, _KERNEL, strict=True)):
        rows = steps.depthwise(
            f"rows_{k}",
            node.input[0],
            np.tile(transform.reshape(1, 1, -1, 1), (weight.shape[1], 1, 1, 1)),
            strides=[_ROWS, 1],
            pads=[pads[0], 0, below, 0],
        )
        kernel = np.einsum("k,mckw->mcw", taps, weight)[:, :, None]
        products.append(steps.product(k, rows, kernel, [0, pads[1], 0, pads[3]]))
    _interleave(steps, _output_rows(steps, products, weight.shape[0]), target)
    graph.insert_before(node, steps.nodes)
    graph.remove(node)


def _require_gain(kernel: tuple[int, ...], height: int) -> None:
    outputs, inputs, rows = kernel[:3]
    if rows != _INPUT.shape[0] - _ROWS + 1:
        raise NoMatch("its kernel has not three rows")
    if height < _LEAST_HEIGHT:
        raise NoMatch(f"its output has fewer than {_LEAST_HEIGHT} rows")
    # ONNX Runtime's blocked layout takes a depthwise convolution of whole blocks only.
    if inputs % BLOCK or outputs % BLOCK:
        raise NoMatch(f"its channels, {inputs} to {outputs}, fill no whole blocks of {BLOCK}")
    if inputs * outputs < _LEAST_WIDTH * (inputs + outputs):
        raise NoMatch(f"its channels, {inputs} to {outputs}, save less work than is moved")


def _output_rows(steps: "_Steps", m: list[str], outputs: int) -> list[str]:
    """Combine the products into the four rows, each a value [N, outputs, bands, width]."""

    def plus(suffix: str, value: str, factor: int, other: str) -> str:
        factors = np.full((outputs, 1, 1, 1), factor)
        return steps.add(suffix, steps.depthwise(f"{suffix}_scaled", value, factors), other)

    sum_12, difference_12 = steps.add("sum_12", m[1], m[2]), plus("difference_12", m[2], -1, m[1])
    sum_34, difference_34 = steps.add("sum_34", m[3], m[4]), plus("difference_34", m[4], -1, m[3])
    return [
        steps.add("y0", m[0], steps.add("sum_1234", sum_12, sum_34)),
        plus("y1", difference_34, 2, difference_12),
        plus("y2", sum_34, 4, sum_12),
        steps.add("y3", m[5], plus("difference_1234", difference_34, 8, difference_12)),
    ]


def _interleave(steps: "_Steps", rows: list[str], target: tuple[int, ...]) -> None:
    """Put row y of value r at row 4 y + r; rows past the end of the target are cut off."""
    batch, channels, height, width = target
    parts = [steps.reshape(f"flat_{r}", row, [-1, width]) for r, row in enumerate(rows)]
    joined = steps.node("Concat", "joined", parts, axis=1)
    joined = steps.reshape("image", joined, [batch, channels, -1, width])
    if height % _ROWS:
        steps.crop(joined, height)
    steps.end()


class _Steps:
    """The nodes, in order, that replace a convolution."""

    def __init__(self, graph: Editor, node: NodeProto) -> None:
        self.nodes: list[NodeProto] = []
        self._graph = graph
        self._node = node

    def node(self, op_type: str, suffix: str, inputs: list[str], **attributes: Any) -> str:
        """Append a node that makes the value of its own name; return that."""
        name = f"{self._node.name}/{suffix}"
        self.nodes.append(helper.make_node(op_type, inputs, [name], name=name, **attributes))
        return name

    def constant(self, suffix: str, array: np.ndarray) -> str:
        """Add an initializer."""
        return self._graph.add_constant(self._node, suffix, array)

    def depthwise(self, suffix: str, value: str, kernel: np.ndarray, **attributes: Any) -> str:
        """Convolve each channel with its own kernel."""
        weight = self.constant(f"{suffix}_w", kernel.astype(np.float32))
        return self.node("Conv", suffix, [value, weight], group=len(kernel), **attributes)

    def product(self, k: int, rows: str, kernel: np.ndarray, pads: list[int]) -> str:
        """Convolve rows; the second product keeps the name and the bias of the convolution."""
        inputs = [rows, self.constant(f"w_{k}", kernel.astype(np.float32))]
        value = self.node("Conv", f"product_{k}", inputs, pads=pads)
        if k == 1:
            self.nodes[-1].name = self._node.name
            self.nodes[-1].input.extend(self._node.input[2:])
        return value

    def add(self, suffix: str, one: str, other: str) -> str:
        """Add two values."""
        return self.node("Add", suffix, [one, other])

    def reshape(self, suffix: str, value: str, shape: list[int]) -> str:
        """Reshape a value."""
        return self.node(
            "Reshape", suffix, [value, self.constant(f"{suffix}_shape", np.array(shape))]
        )

    def crop(self, value: str, height: int) -> None:
        """Keep the first rows."""
        bounds = {"starts": [0], "ends": [height], "axes": [2]}
        self.nodes.append(crop(self._graph, self._node, "crop", value, bounds))

    def end(self) -> None:
        """Let the last node make the value that the convolution made."""
        self.nodes[-1].output[0] = self._node.output[0]
