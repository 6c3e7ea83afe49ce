"""BatchNormalization after a convolution or a Gemm, folded into its weights.

With gamma, beta, mean m and variance v per output channel, and a = gamma / sqrt(v + epsilon):

    a * (W x + b - m) + beta  =  (a W) x + a * (b - m) + beta

A BatchNormalization in front of a padded convolution cannot be folded: the padding is zero after
the normalisation, so it would have to be m - beta / a before it.
"""

import numpy as np
from onnx import NodeProto

from decig.graph.operators import Kind, every, find
from decig.graph.rewrite.editor import Editor, attribute, set_attributes
from decig.graph.rewrite.rule import NoMatch, bias_of, reader_of, rule, weights_of


@rule(*(e.name for e in every() if e.is_layer and e.absorbs_affine), canonical=True)
def fold_batchnorm(graph: Editor, node: NodeProto) -> None:
    """Fold the BatchNormalization that alone reads `node`, a Conv, ConvTranspose or Gemm."""
    norm = reader_of(graph, node)
    if norm.op_type != "BatchNormalization":
        raise NoMatch(f"a {norm.op_type} reads it, no BatchNormalization")
    weight, bias = weights_of(graph, node), bias_of(graph, node)
    factor, shift = _affine(graph, norm)
    if find(node).kind is Kind.PRODUCT:
        bias = bias * attribute(node, "beta", 1.0)
        set_attributes(node, beta=1.0)
    dtype = weight.dtype
    graph.set_constant(node, 1, (weight * along_outputs(node, weight, factor)).astype(dtype), "w")
    graph.set_constant(node, 2, (bias * factor + shift).astype(dtype), "b")
    node.output[0] = norm.output[0]
    graph.remove(norm)


def _affine(graph: Editor, norm: NodeProto) -> tuple[np.ndarray, np.ndarray]:
    """Factor and shift per channel, in float64."""
    found = [graph.constant(name) for name in norm.input[1:]]
    if any(array is None for array in found):
        raise NoMatch("the BatchNormalization behind it has computed parameters")
    if attribute(norm, "training_mode", 0) or any(norm.output[1:]):
        raise NoMatch("the BatchNormalization behind it takes the statistics of its input")
    scale, beta, mean, variance = (np.asarray(array, np.float64) for array in found)
    factor = scale / np.sqrt(variance + attribute(norm, "epsilon", 1e-5))
    return factor, beta - mean * factor


def along_outputs(node: NodeProto, weight: np.ndarray, factor: np.ndarray) -> np.ndarray:
    """Shape the factor so that it scales the weights that make each output channel."""
    if find(node).kind is Kind.PRODUCT:
        return factor[:, None] if attribute(node, "transB", 0) else factor
    spatial = (1,) * (weight.ndim - 2)
    if not find(node).transposed:
        return factor.reshape(-1, 1, *spatial)
    # ConvTranspose weights are [inputs, outputs of one group, ...], the groups along the inputs.
    group = attribute(node, "group", 1)
    per_group = factor.reshape(group, -1).repeat(weight.shape[0] // group, axis=0)
    return per_group.reshape(*weight.shape[:2], *spatial)
