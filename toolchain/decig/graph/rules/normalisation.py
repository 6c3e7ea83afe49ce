"""Normalisations and reductions: per channel they pass, over channels they are inexact."""

import onnx

from decig.graph.flow import Cut, Flow, Role, attributes, on_axis
from decig.graph.ids import Ids, varying_axes
from decig.graph.operators import Kind, names
from decig.graph.rules.registry import rule
from decig.graph.rules.rows import by_row


@rule("BatchNormalization")
def batch_normalization(flow: Flow, node: onnx.NodeProto) -> list[Ids | None]:
    """Scale, shift, mean and variance follow the channel axis; so do the statistics it gives.

    In training mode (see `uses_batch_statistics`) every channel is normalised by its own values,
    as an instance norm over N * C channels is, and cut like one.
    """
    ids, channels = _channel_axis(flow, node)
    _affine(flow, node, channels)
    for slot in (3, 4):
        _weigh(flow, node, slot, "statistic", channels)
    return [ids, *[channels] * (len(node.output) - 1)]


def uses_batch_statistics(node: onnx.NodeProto) -> bool:
    """Whether a BatchNormalization normalises by its input's own statistics (training mode).

    Before opset 14 that is the case where it lists further outputs (ONNX Changelog,
    BatchNormalization-9: "Output case #1: Y, mean, var, saved_mean, saved_var (training mode)").
    """
    return bool(attributes(node).get("training_mode")) or len(node.output) > 1


@rule("InstanceNormalization")
def instance_normalization(flow: Flow, node: onnx.NodeProto) -> Ids:
    """[N, C, *spatial], statistics of each channel over its positions.

    Exporters spell GroupNorm as [N, groups, -1]: there the axis of statistics holds channels.
    The groups then stay, every group keeps the same places, and the statistics change.
    """
    source = flow.of(node.input[0])
    if source is not None and any(size > 1 for size in source.shape[2:]):
        flow.share(node, source)
        for name in node.input[1:]:  # numbers per group, and every group stays
            flow.space.freeze(flow.of(name), f"weights of {node.op_type} {node.name}")
        return flow.space.tie(source, (1,), f"groups of {node.name} must stay equal")
    rows = by_row(flow, node, flow.of_or_fixed(node.input[0]))
    if rows is not None:
        return rows
    ids, channels = _channel_axis(flow, node)
    _affine(flow, node, channels)
    return ids


@rule("GroupNormalization")
def group_normalization(flow: Flow, node: onnx.NodeProto) -> Ids:
    """Every group keeps the same places; statistics over a group change when it is cut.

    Groups of one channel go with it. (Versions before opset 21 are rewritten in normal form.)
    """
    ids, channels = _channel_axis(flow, node)
    groups = attributes(node)["num_groups"]
    if groups == len(channels):
        flow.on_cut(lambda cut: _set_groups(cut, node.name, channels))
    else:
        flow.share(node, ids)
        why = f"groups of GroupNormalization {node.name} must stay equal"
        flow.space.tie(channels.reshape(groups, -1), (0,), why)
    _affine(flow, node, channels)
    return ids


def _set_groups(cut: Cut, node: str, channels: Ids) -> None:
    cut.set_attribute(node, "num_groups", int(cut.kept(channels, 0).sum()))


def _affine(flow: Flow, node: onnx.NodeProto, channels: Ids) -> None:
    """Let scale (slot 1) and shift (slot 2), constant or computed, follow the channels."""
    _weigh(flow, node, 1, "scale", channels)
    _weigh(flow, node, 2, "shift", channels)


def _weigh(flow: Flow, node: onnx.NodeProto, slot: int, role: Role, channels: Ids) -> None:
    """Bind a vector of one number per channel; one computed per channel (AdaIN) is united with it.

    A computed vector whose elements are no channels of their own keeps all of them.
    """
    name = node.input[slot] if len(node.input) > slot else ""
    made = flow.of(name)
    if made is None or flow.is_constant(name) or made.size != len(channels) or made.size == 1:
        flow.bind(node, slot, role, channels)
    else:
        why = f"{node.op_type} {node.name} has computed weights"
        flow.space.unite(channels, made.ravel(), why)


@rule("LayerNormalization", "RMSNormalization")
def layer_normalization(flow: Flow, node: onnx.NodeProto) -> list[Ids | None]:
    """Normalise over the last axes; channels among them share their statistics."""
    ids = flow.of(node.input[0])
    if ids is None or ids.size == 1:
        return [ids, *[None] * (len(node.output) - 1)]
    if any(node.output[1:]):
        return flow.block(node, f"the statistics of {node.op_type} {node.name} are read")
    axis = attributes(node).get("axis", -1) % ids.ndim
    normalised = flow.shape(node.input[0])[axis:]
    if any(flow.shape(name) != normalised for name in node.input[1:] if name):
        return flow.block(node, f"{node.op_type} {node.name} broadcasts its weights")
    if max(ids.shape[axis:]) > 1:
        flow.share(node, ids)
        tail = flow.space.tie(ids, tuple(range(axis)), f"{node.name} has one scale for them")
        flow.bind(node, 1, "scale", tail[(0,) * axis])
        flow.bind(node, 2, "shift", tail[(0,) * axis])
    return [ids]


@rule("MeanVarianceNormalization")
def mean_variance_normalization(flow: Flow, node: onnx.NodeProto) -> Ids | list[Ids | None] | None:
    """Normalise over some axes, by default all but the channels'."""
    ids = flow.of(node.input[0])
    axes = attributes(node).get("axes", [0, 2, 3])
    if ids is not None and any(ids.shape[axis] > 1 for axis in axes):
        return flow.block(node, f"{node.op_type} {node.name} takes statistics over channels")
    return ids


@rule("LpNormalization")
def lp_normalization(flow: Flow, node: onnx.NodeProto) -> Ids | None:
    """Divide by the norm along one axis, to which a channel of zeros adds nothing."""
    ids = flow.of(node.input[0])
    if ids is not None and ids.shape[attributes(node).get("axis", -1)] > 1:
        flow.read(node, 0, ids)
    return ids


_SUMS = ("ReduceL1", "ReduceL2", "ReduceLogSum", "ReduceSum", "ReduceSumSquare")
"""Reductions to which a channel of zeros adds nothing."""


@rule(*names(Kind.REDUCTION))
def reduction(flow: Flow, node: onnx.NodeProto) -> Ids | list[Ids | None] | None:
    """Reduce some axes; channels on others pass, most reductions over channels are not exact."""
    ids = flow.of(node.input[0])
    if ids is None:
        return None
    if flow.integers(node, "axes", 1) is None and len(node.input) > 1 and node.input[1]:
        return flow.block(node, f"{node.op_type} {node.name} over computed axes")
    reduced = reduced_axes(flow, node, ids.ndim)
    varying = varying_axes(ids)
    if reduced.intersection(varying):
        if varying[-1] in reduced:  # as elsewhere, the last axis keeps its channels apart
            note_reduced(flow, node, ids)
            others = tuple(axis for axis in varying if axis not in reduced)
            flow.space.tie(ids, others, f"{node.op_type} {node.name} gives one number for them")
            return None
        why = f"{node.op_type} {node.name} makes one channel of them"
        ids = flow.space.tie(ids, tuple(reduced.intersection(varying)), why)
    if attributes(node).get("keepdims", 1):
        return ids
    kept_axes = [size for axis, size in enumerate(ids.shape) if axis not in reduced]
    return ids.reshape(kept_axes)


def note_reduced(flow: Flow, node: onnx.NodeProto, ids: Ids) -> None:
    """Note that a reduction goes over channels of its input, which has these identities."""
    if node.op_type in _SUMS:
        flow.read(node, 0, ids)
    else:
        flow.share(node, ids)


def reduced_axes(flow: Flow, node: onnx.NodeProto, rank: int) -> set[int]:
    """Axes over which a reduction goes: all of them unless it names some."""
    axes = flow.integers(node, "axes", 1)
    if not axes and attributes(node).get("noop_with_empty_axes"):
        return set()
    return {axis % rank for axis in axes} if axes else set(range(rank))


def _channel_axis(flow: Flow, node: onnx.NodeProto) -> tuple[Ids, Ids]:
    """Identities of the first input laid on axis 1, and the same in 1-D."""
    shape = flow.shape(node.input[0])
    source = flow.of_or_fixed(node.input[0])
    channels = flow.along(source, 1, shape[1], f"{node.op_type} {node.name} treats them as one")
    return on_axis(channels, 1, len(shape)), channels
