"""A convolution with few outputs, as a strided one with more outputs and a DepthToSpace.

Output pixel (s y + i, s x + j) of a K x K convolution of stride 1 reads the window of K x K inputs
that starts i rows and j columns into the (K + s - 1) x (K + s - 1) window of stride s at (y, x).
With W placed at (i, j) in a larger, otherwise zero kernel V[i, j]:

    Conv(x, W)  =  DepthToSpace_s(Conv(x, [V[0, 0], ..., V[s-1, s-1]], stride s))

with the same padding. CPU kernels compute output channels in blocks of 16: 3 outputs cost as much
as 16, and 9x9 windows of 16 outputs at every pixel are 3.2 times the work of 10x10 windows of
16 outputs at every fourth pixel. The convolution to RGB that ends a generator gains most, then
the one from RGB at its start, if it has at most 8 outputs.
"""

from itertools import product

import numpy as np
from onnx import NodeProto, helper

from decig.graph.rewrite.editor import Editor, set_attributes
from decig.graph.rewrite.rule import NoMatch, rule
from decig.graph.rewrite.windows import blocks, dense_conv

_LEAST_GAIN = 1.3
"""Least saving, in multiplications by whole blocks, that pays for the DepthToSpace."""


@rule("Conv", one_size=True)
def wide_head(graph: Editor, node: NodeProto) -> None:
    """Rewrite `node`, a dense Conv of stride 1, if its outputs fill less than their block."""
    conv = dense_conv(graph, node)
    factor = _best_factor(conv.weight.shape, conv.target)
    if factor == 1:
        raise NoMatch("no stride that divides its output saves enough work")
    kernels = _phases(conv.weight, factor)
    graph.set_constant(node, 1, kernels, "w")
    if conv.bias is not None:
        graph.set_constant(node, 2, np.tile(conv.bias, factor * factor), "b")
    set_attributes(
        node, kernel_shape=kernels.shape[2:], strides=[factor] * 2, pads=conv.pads, auto_pad=None
    )
    output, phases = node.output[0], f"{node.name}/phases"
    node.output[0] = phases
    name = f"{node.name}/depth_to_space"
    joined = helper.make_node("DepthToSpace", [phases], [output], name=name, blocksize=factor)
    graph.insert_after(node, [joined])


def phase_work(kernel: tuple[int, ...], factor: int) -> float:
    """Multiplications by whole blocks per pixel and input channel.

    Args:
        kernel: shape of the weights, [M, C, h, w].
        factor: the stride; 1 is the convolution as it is.
    """
    outputs, _, height, width = kernel
    taps = (height + factor - 1) * (width + factor - 1)
    return taps * blocks(outputs * factor**2) / factor**2


def _best_factor(kernel: tuple[int, ...], size: tuple[int, ...]) -> int:
    """Stride with the least work per pixel; 1 if none saves enough."""
    fitting = [f for f in (2, 3, 4) if size[2] % f == 0 and size[3] % f == 0]
    best = min(fitting, key=lambda factor: phase_work(kernel, factor), default=1)
    return best if phase_work(kernel, 1) >= _LEAST_GAIN * phase_work(kernel, best) else 1


def _phases(weight: np.ndarray, factor: int) -> np.ndarray:
    """Place [M, C, h, w] kernels at each phase of a larger window: [s * s * M, C, h+s-1, w+s-1]."""
    outputs, inputs, height, width = weight.shape
    large = (outputs, inputs, height + factor - 1, width + factor - 1)
    placed = np.zeros((factor, factor, *large), weight.dtype)
    for i, j in product(range(factor), repeat=2):
        placed[i, j, :, :, i : i + height, j : j + width] = weight
    return placed.reshape(-1, *large[1:])
