"""A depthwise convolution and the 1x1 convolution behind it, as one dense convolution.

    V (W_c * x_c + b) + d  =  (V_mc W_c) * x + (V b + d)

That is more work, but dense kernels are many times faster than depthwise ones whose channels do not
fill whole blocks, and other rules save most of the work again: `wide_head` where there are few
outputs, `resize_into_transpose` behind an enlargement. With those, a separable 9x9 convolution at
256x256 from 9 channels to RGB was 1.8 times faster, and a mobile style net that has such a
convolution behind an enlargement 1.5 times.
"""

import numpy as np
from onnx import NodeProto

from decig.graph.rewrite.editor import Editor, attribute, set_attributes
from decig.graph.rewrite.resize_into_transpose import enlarges
from decig.graph.rewrite.rule import NoMatch, bias_of, reader_of, rule, weights_of
from decig.graph.rewrite.windows import BLOCK, conv_pads, is_plain

_MOST_OUTPUTS = 4
"""Most outputs for which `wide_head` saves enough of the dense convolution's work."""


@rule("Conv")
def merge_separable(graph: Editor, node: NodeProto) -> None:
    """Merge `node`, a grouped Conv, and a 1x1 Conv with few outputs that alone reads it."""
    group = attribute(node, "group", 1)
    if group < 2:
        raise NoMatch("it has a single group")
    mixing = reader_of(graph, node)
    if mixing.op_type != "Conv" or mixing.input[0] != node.output[0]:
        raise NoMatch(f"a {mixing.op_type} reads it, no Conv of pictures")
    kernel, mixture = weights_of(graph, node), weights_of(graph, mixing)
    if kernel.ndim != 4 or not _mixes(graph, mixing, mixture):
        raise NoMatch("the Conv behind it does more than mix the channels of each pixel")
    most = BLOCK if enlarges(graph, node.input[0]) else _MOST_OUTPUTS
    if len(kernel) % BLOCK == 0:
        raise NoMatch(f"its {len(kernel)} channels fill whole blocks")
    if len(mixture) > most:
        raise NoMatch(f"the Conv behind it has more than {most} outputs")
    bias, shift = bias_of(graph, node), bias_of(graph, mixing)
    rows = mixture[:, :, 0, 0].astype(np.float64)
    grouped = kernel.reshape(group, -1, *kernel.shape[1:]).astype(np.float64)
    dense = np.einsum("mgo,goikl->mgikl", rows.reshape(len(rows), group, -1), grouped)
    dense = dense.reshape(len(rows), -1, *kernel.shape[2:])
    graph.set_constant(node, 1, dense.astype(kernel.dtype), "w")
    if len(node.input) > 2 or len(mixing.input) > 2:
        total = rows @ np.broadcast_to(bias, len(kernel)) + shift
        graph.set_constant(node, 2, total.astype(kernel.dtype), "b")
    set_attributes(node, group=None)
    node.output[0] = mixing.output[0]
    graph.remove(mixing)


def _mixes(graph: Editor, node: NodeProto, weight: np.ndarray) -> bool:
    """Whether a Conv only mixes the channels of each pixel."""
    pads, strides = conv_pads(graph, node), attribute(node, "strides", [1])
    pointwise = weight.shape[2:] == (1, 1) and pads is not None and not any(pads)
    return pointwise and is_plain(node) and set(strides) == {1}
