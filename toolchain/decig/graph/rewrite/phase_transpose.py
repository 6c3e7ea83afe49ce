"""A strided ConvTranspose as ordinary convolutions, one for each phase of its output.

Along one axis, with stride s, padding p and kernel w of K taps, output s q + r takes the inputs
q + d for which k = r + p - s d is a tap:

    y[s q + r]  =  sum over d of x[q + d] * w[r + p - s d]

So every phase r is an ordinary convolution of stride 1 with about K / s taps, and DepthToSpace
puts the phases together. Phases of two axes are pairs (i, j). They may be computed

- each on its own: no tap is wasted, but a narrow output is padded to a whole block of channels;
- a row of phases (i, 0 ... s-1) at once: some taps are zero, blocks are fuller;
- all at once: more zeros, one convolution.

ONNX Runtime's CPU computes ConvTranspose as a matrix product and a scatter-add; its blocked
convolutions are faster as long as few taps and channels are wasted.
"""

from itertools import product

import numpy as np
from onnx import NodeProto, helper

from decig.graph.rewrite.editor import Editor, attribute
from decig.graph.rewrite.rule import NoMatch, rule, shape_of, weights_of
from decig.graph.rewrite.windows import blocks, crop, is_plain

_MOST_WASTE = 1.6
"""Most work in whole blocks of channels, as a multiple of the ConvTranspose's own, that pays."""

Taps = dict[int, int]
"""Index into the kernel by offset into the input, of one phase of one axis."""
Group = tuple[range, range]
"""Phases computed by one convolution: a range of i and one of j."""


@rule("ConvTranspose", one_size=True)
def phase_transpose(graph: Editor, node: NodeProto) -> None:
    """Rewrite `node`, a dense two-dimensional ConvTranspose, where its work stays the same."""
    if not is_plain(node):
        raise NoMatch("it is grouped or dilated")
    weight = weights_of(graph, node)
    source, target = shape_of(graph, node.input[0]), shape_of(graph, node.output[0])
    if weight.ndim != 4:
        raise NoMatch("it has not two spatial axes")
    bias = graph.constant(node.input[2]) if len(node.input) > 2 else None
    if len(node.input) > 2 and bias is None:
        raise NoMatch("its bias is computed")
    if not _explicit_pads(node):
        raise NoMatch("its padding follows from the size of its output")
    strides, pads = attribute(node, "strides", [1, 1]), attribute(node, "pads", [0, 0, 0, 0])
    stride = strides[0]
    if strides != [stride, stride] or any(k <= stride for k in weight.shape[2:]) or stride < 2:
        raise NoMatch("its strides are 1 or unequal, or its kernel is no larger than its stride")
    taps = [_taps(weight.shape[2 + axis], stride, pads[axis]) for axis in (0, 1)]
    groups = _cheapest(taps, weight.shape)
    kernels = [_kernel(weight, taps, group) for group in groups]
    padding = [_padding(taps, group, source, target, stride) for group in groups]
    if target[2] % stride or target[3] % stride:
        raise NoMatch(f"its output is not a whole number of {stride} x {stride} squares")
    if sum(k.shape[2] * k.shape[3] * blocks(k.shape[0]) for k in kernels) > _MOST_WASTE * (
        weight.shape[1] * weight.shape[2] * weight.shape[3]
    ):
        raise NoMatch("in whole blocks of channels its phases would be too much work")
    _replace(graph, node, kernels, padding, bias, stride)


def _explicit_pads(node: NodeProto) -> bool:
    implicit = attribute(node, "auto_pad", b"NOTSET") != b"NOTSET"
    return not implicit and attribute(node, "output_shape", None) is None


def _taps(kernel: int, stride: int, pad: int) -> list[Taps]:
    """Taps of each phase r: the k = r + pad - stride * d that lie in the kernel."""
    phases: list[Taps] = [{} for _ in range(stride)]
    for k in range(kernel):
        r = (k - pad) % stride
        phases[r][(r + pad - k) // stride] = k
    return phases


def _span(taps: list[Taps], phases: range) -> range:
    """Input offsets that these phases read."""
    offsets = [offset for phase in phases for offset in taps[phase]]
    return range(min(offsets), max(offsets) + 1)


def _cheapest(taps: list[list[Taps]], kernel: tuple[int, ...]) -> list[Group]:
    """Grouping of the phases, row by row, whose convolutions have the least work per pixel."""
    every = range(len(taps[0]))
    single = [range(phase, phase + 1) for phase in every]
    groupings: list[list[Group]] = [
        list(product(single, single)),
        [(row, every) for row in single],
        [(every, every)],
    ]

    def work(group: Group) -> int:
        rows, columns = group
        window = len(_span(taps[0], rows)) * len(_span(taps[1], columns))
        return window * blocks(len(rows) * len(columns) * kernel[1])

    return min(groupings, key=lambda groups: sum(map(work, groups)))


def _kernel(weight: np.ndarray, taps: list[list[Taps]], group: Group) -> np.ndarray:
    """Weights [phases * M, C, rows, columns] of the convolution that computes a group."""
    inputs, outputs = weight.shape[:2]
    rows, columns = _span(taps[0], group[0]), _span(taps[1], group[1])
    kernel = np.zeros(
        (len(group[0]), len(group[1]), outputs, inputs, len(rows), len(columns)), weight.dtype
    )
    for (i, row), (j, column) in product(enumerate(group[0]), enumerate(group[1])):
        for (y, k), (x, m) in product(taps[0][row].items(), taps[1][column].items()):
            kernel[i, j, :, :, y - rows.start, x - columns.start] = weight[:, :, k, m].T
    return kernel.reshape(-1, inputs, len(rows), len(columns))


def _padding(
    taps: list[list[Taps]],
    group: Group,
    source: tuple[int, ...],
    target: tuple[int, ...],
    stride: int,
) -> list[int]:
    """Padding [top, left, bottom, right] that gives one output for each pixel of a phase.

    Negative where the outermost inputs are not read.
    """
    spans = [_span(taps[axis], group[axis]) for axis in (0, 1)]
    begin = [-span.start for span in spans]
    end = [target[2 + a] // stride - source[2 + a] + spans[a].stop - 1 for a in (0, 1)]
    return begin + end


def _crop(graph: Editor, node: NodeProto, index: int, pads: list[int]) -> NodeProto:
    """Slice that takes away the outermost input pixels, as negative padding would."""
    size = graph.shape(node.input[0]) or ()
    starts = [max(0, -amount) for amount in pads[:2]]
    ends = [size[2 + axis] - max(0, -pads[2 + axis]) for axis in (0, 1)]
    bounds = {"starts": starts, "ends": ends, "axes": [2, 3]}
    return crop(graph, node, f"crop_{index}", node.input[0], bounds)


def _replace(
    graph: Editor,
    node: NodeProto,
    kernels: list[np.ndarray],
    padding: list[list[int]],
    bias: np.ndarray | None,
    stride: int,
) -> None:
    """Replace `node` by the convolutions, their Concat and a DepthToSpace."""
    nodes, values = [], []
    outputs = sum(len(kernel) for kernel in kernels) // stride**2
    for index, (kernel, pads) in enumerate(zip(kernels, padding, strict=True)):
        value = node.input[0]
        if min(pads) < 0:
            nodes.append(_crop(graph, node, index, pads))
            value = nodes[-1].output[0]
            pads = [max(0, amount) for amount in pads]
        inputs = [value, graph.add_constant(node, f"w_{index}", kernel)]
        if bias is not None:
            repeated = np.tile(bias, len(kernel) // outputs)
            inputs.append(graph.add_constant(node, f"b_{index}", repeated))
        values.append(f"{node.name}/phase_{index}")
        name = values[-1] if index else node.name
        conv = helper.make_node("Conv", inputs, values[-1:], name=name, pads=pads)
        nodes.append(conv)
    phases = values[0]
    if len(values) > 1:
        name = phases = f"{node.name}/phases"
        nodes.append(helper.make_node("Concat", values, [phases], name=name, axis=1))
    name = f"{node.name}/depth_to_space"
    joined = helper.make_node("DepthToSpace", [phases], node.output, name=name, blocksize=stride)
    graph.insert_before(node, [*nodes, joined])
    graph.remove(node)
