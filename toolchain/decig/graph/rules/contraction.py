"""Operators that mix channels with weights: they read channels and make new ones."""

import numpy as np
import onnx

from decig.graph.flow import Cut, Flow, attributes, on_axis, pad_rank
from decig.graph.ids import Ids
from decig.graph.operators import Kind, find, names
from decig.graph.rules.products import product
from decig.graph.rules.registry import rule
from decig.graph.rules.rows import by_row


@rule(*names(Kind.CONVOLUTION))
def convolution(flow: Flow, node: onnx.NodeProto) -> Ids:
    """Convolution of [N, C, *spatial]; weights [O, C/g, *k], or [C, O/g, *k] when transposed."""
    weight = flow.shape(node.input[1])
    group = attributes(node).get("group", 1)
    transposed = find(node).transposed
    count = flow.shape(node.input[0])[1]
    made = weight[1] * group if transposed else weight[0]
    rank = len(weight)
    source = flow.of_or_fixed(node.input[0])
    if flow.is_constant(node.input[0]):  # a learnt first map, as in StyleGAN
        source = on_axis(flow.space.fresh(count), 1, rank)
        flow.bind(node, 0, "write", source)
    rows = by_row(flow, node, source)
    if rows is not None:
        return rows
    incoming = flow.along(source, 1, count, f"{node.op_type} {node.name} reads them as one channel")
    if group == 1:
        flow.read(node, 0, on_axis(incoming, 1, rank))
        outgoing = flow.space.fresh(made)
        flow.weigh(node, "read", 0 if transposed else 1, incoming)
        flow.weigh(node, "write", 1 if transposed else 0, outgoing)
    elif group == count and made % group == 0:
        outgoing = np.repeat(incoming, made // group)
        flow.weigh(node, "value", 0, incoming if transposed else outgoing)
        flow.on_cut(lambda cut: _set_group(cut, node.name, incoming))
    else:
        flow.read(node, 0, on_axis(incoming, 1, rank))
        outgoing = _grouped(flow, node, incoming, made, group)
    flow.bind(node, 2, "shift", outgoing)
    made_ids = on_axis(outgoing, 1, rank)
    if len(node.input) > 3 and node.input[3]:  # a FusedConv adds it
        why = f"{node.op_type} {node.name} adds fixed channels"
        flow.space.unite(made_ids, flow.of_or_fixed(node.input[3]), why)
    return made_ids


def _set_group(cut: Cut, node: str, incoming: Ids) -> None:
    cut.set_attribute(node, "group", int(cut.kept(incoming, 0).sum()))


def _grouped(flow: Flow, node: onnx.NodeProto, incoming: Ids, made: int, group: int) -> Ids:
    """Every group keeps the same places: the channels at place k of all groups are one class."""
    why = f"groups of {node.op_type} {node.name} must stay equal"
    inside = flow.space.tie(incoming.reshape(group, -1), (0,), why).ravel()
    outside = flow.space.fresh(made // group)
    outgoing = np.tile(outside, group)
    if find(node).transposed:
        flow.weigh(node, "read", 0, np.tile(inside, group))
        flow.weigh(node, "write", 1, outside)
    else:
        flow.weigh(node, "read", 1, inside)
        flow.weigh(node, "write", 0, outgoing)
    return outgoing


@rule("Gemm", "FusedGemm")
def gemm(flow: Flow, node: onnx.NodeProto) -> Ids | list[Ids | None]:
    """Y = alpha A B + beta C with constant B; A is [M, K]."""
    options = attributes(node)
    source = flow.of_or_fixed(node.input[0])
    if options.get("transA") or not flow.is_constant(node.input[1]):
        return flow.block(node, f"Gemm {node.name} has a computed or transposed operand")
    transposed = bool(options.get("transB"))
    shape = flow.shape(node.input[1])
    incoming = flow.along(source, 1, shape[transposed], f"Gemm {node.name} reads them")
    outgoing = flow.space.fresh(shape[not transposed])
    flow.read(node, 0, on_axis(incoming, 1, 2))
    flow.bind(node, 1, "read", on_axis(incoming, int(transposed), 2))
    flow.bind(node, 1, "write", on_axis(outgoing, int(not transposed), 2))
    if len(node.input) > 2 and flow.shape(node.input[2])[-1:] == (len(outgoing),):
        flow.bind(node, 2, "shift", on_axis(outgoing, -1, len(flow.shape(node.input[2]))))
    return on_axis(outgoing, 1, 2)


@rule("FusedMatMul")
def fused_matmul(flow: Flow, node: onnx.NodeProto) -> Ids | list[Ids | None] | None:
    """Matrix product of ONNX Runtime's optimiser; transposed operands are left alone."""
    options = attributes(node)
    if any(options.get(name) for name in ("transA", "transB", "transBatchA", "transBatchB")):
        return flow.block(node, f"FusedMatMul {node.name} transposes an operand")
    return matmul(flow, node)


@rule("MatMul")
def matmul(flow: Flow, node: onnx.NodeProto) -> Ids | list[Ids | None] | None:
    """Matrix product [..., M, K] x [..., K, N], with a constant or two computed operands."""
    constant = [flow.is_constant(name) for name in node.input]
    if any(len(flow.shape(name)) < 2 for name in node.input) or all(constant):
        return flow.block(node, f"MatMul {node.name} of a vector")
    if any(constant):
        return _matmul_constant(flow, node, weight_slot=constant.index(True))
    return product(flow, node)


def _matmul_constant(flow: Flow, node: onnx.NodeProto, weight_slot: int) -> Ids | list[Ids | None]:
    """Linear layer on the last axis, or from the left on the last but one.

    Of a stack of weights (one matrix per head, say) all matrices lose the same channels.
    """
    data_slot = 1 - weight_slot
    source, weight = flow.of_or_fixed(node.input[data_slot]), flow.shape(node.input[weight_slot])
    inner, outer = (-1, -2) if data_slot == 0 else (-2, -1)  # contracted, surviving data axis
    rank = len(flow.shape(node.output[0]))
    if source.shape[inner] == 1 and source.size > 1:
        # The product runs over positions, not channels: channels pass through.
        return _stacked(flow, node, weight_slot, pad_rank(source, rank))
    size = flow.shape(node.input[data_slot])[inner]
    incoming = flow.along(source, inner, size, f"MatMul {node.name} reads them")
    outgoing = flow.space.fresh(weight[inner])
    flow.read(node, data_slot, on_axis(incoming, inner, source.ndim))
    flow.bind(node, weight_slot, "read", on_axis(incoming, outer, len(weight)))
    flow.bind(node, weight_slot, "write", on_axis(outgoing, inner, len(weight)))
    return on_axis(outgoing, inner, rank)


def _stacked(flow: Flow, node: onnx.NodeProto, weight_slot: int, source: Ids) -> Ids:
    """Channels along the leading axes: a stack of weights loses the matrices of those that go."""
    weight = flow.shape(node.input[weight_slot])
    lead = (1,) * (source.ndim - len(weight)) + weight[:-2]
    axes = [axis for axis, size in enumerate(lead) if size > 1 and source.shape[axis] > 1]
    if not axes:
        return source
    if source.size > source.shape[axes[0]]:  # channels of heads: these lose the same places
        flow.space.tie(source, tuple(axes), f"MatMul {node.name} has a matrix for each of them")
        return source
    bound = on_axis(source.ravel(), axes[0] - source.ndim, len(weight))
    flow.bind(node, weight_slot, "value", bound)
    return source
