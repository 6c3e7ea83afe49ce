"""Numbers multiplied and added behind a layer, folded into its weights.

    a * (W x + b) + c              =  (a W) x + (a b + c)             Conv, ConvTranspose
    a * (s * norm(x) + b) + c      =  (a s) * norm(x) + (a b + c)     InstanceNorm, BatchNorm

for numbers a and c that are the same all over a channel. A norm of 16 channels at 256x256 and two
steps: 1.14 times faster.
"""

import numpy as np
from onnx import NodeProto

from decig.graph.operators import find
from decig.graph.rewrite.constants import as_affine, bias_of, per_channel
from decig.graph.rewrite.editor import Editor
from decig.graph.rewrite.fold_batchnorm import along_outputs


def affine_into_layer(graph: Editor, node: NodeProto) -> bool:
    """Fold the Mul, Div, Add or Sub of a constant that follows `node`."""
    if not find(node).absorbs_affine or len(node.output) != 1:
        return False
    reader, shape = graph.sole_reader(node.output[0]), graph.shape(node.output[0])
    if reader is None or shape is None or len(shape) < 3:
        return False
    constant = per_channel(graph, reader, shape)
    affine = None if constant is None else as_affine(reader.op_type, constant)
    weight = graph.constant(node.input[1])
    bias = bias_of(graph, node)
    if affine is None or weight is None or bias is None:
        return False
    factor, shift = (np.broadcast_to(part, shape[1]) for part in affine)
    along = along_outputs(node, weight, factor) if find(node).is_layer else factor
    if (factor != 1).any():
        graph.set_constant(node, 1, (weight * along).astype(weight.dtype), "w")
    graph.set_constant(node, 2, (bias * factor + shift).astype(weight.dtype), "b")
    node.output[0] = reader.output[0]
    graph.remove(reader)
    return True
