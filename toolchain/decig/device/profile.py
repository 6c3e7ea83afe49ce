"""Profiling a model: from a graph and a device to a cost table."""

import logging
from collections.abc import Callable, Mapping

import onnx

from decig.device.fingerprint import fingerprint
from decig.device.limits import measure_limits
from decig.device.measure import NodeTimes, measure_nodes
from decig.device.roofline import count_work
from decig.device.session import DeviceOptions
from decig.device.sweep import ROUNDS, Widths, measure_sweep, width_designs
from decig.device.table import CostTable, NodeCost
from decig.errors import BadInputError
from decig.graph.channels import ChannelMap, Port, analyse
from decig.graph.flow import attributes
from decig.graph.model import Model, input_info, shapes
from decig.graph.plan import plan_from_widths
from decig.graph.scoring import magnitude_scores
from decig.graph.slicing import slice_graph

log = logging.getLogger(__name__)

_KERNEL_ATTRIBUTES = ("strides", "dilations", "mode", "blocksize")
_BUSY = 0.9

Prepare = Callable[[onnx.ModelProto], onnx.ModelProto]
Progress = Callable[[int, int], None]


def _as_it_is(proto: onnx.ModelProto) -> onnx.ModelProto:
    return proto


def profile_model(
    model: Model,
    options: DeviceOptions,
    *,
    sweep: bool = True,
    prepare: Prepare = _as_it_is,
    progress: Progress = lambda done, total: None,
) -> CostTable:
    """Measure what a model costs on a device, node by node and width by width.

    Args:
        model: the model, in normal form.
        options: the device.
        sweep: whether to take the width sweep, which prediction and planning need.
        prepare: rewrites that the graph gets before it runs; every measurement sees its result.
            What it puts in place of a node is named "<node>" or "<node>/<suffix>".
        progress: called with (done, total) measurements.

    Raises:
        BadInputError: the provider is missing, ONNX Runtime refuses the graph, or the graph has
            nothing to run.
        DecigError: the graph would run elsewhere.
    """
    channels = analyse(model.proto)
    groups = {group.name: group.channels for group in channels.prunable}
    designs = width_designs(groups) if sweep and groups else []
    total = 1 + ROUNDS * len(designs)
    names = [node.name for node in model.proto.graph.node]
    times = measure_nodes(
        prepare(model.proto), names, options, unprofiled=True, min_runs=7, max_seconds=8.0
    )
    if not times.kernel_sum_us:
        raise BadInputError(f"{model.path}: there is nothing in it to run, so nothing to measure")
    if times.share < _BUSY:
        log.warning(
            "this machine is busy: the model had only %.0f %% of the processor time it could use, "
            "and its latency is that much too long; profile on an idle machine",
            100 * times.share,
        )
    progress(1, total)
    points = measure_sweep(
        designs,
        _slicer(model, channels, prepare),
        names,
        options,
        progress=lambda done: progress(1 + done, total),
    )
    progress(total, total)
    return CostTable(
        device=fingerprint(options),
        model={
            "sha256": model.sha256,
            "path": model.path.name,
            "inputs": {value.name: value.shape for value in input_info(model.proto)},
        },
        latency_us=times.latency,
        kernel_sum_over_latency=times.kernel_sum_us / times.latency.median,
        processor_share=times.share,
        groups=groups,
        nodes=_node_costs(model.proto, channels, times),
        sweep=points,
        limits=measure_limits(options),
    )


def _slicer(
    model: Model, channels: ChannelMap, prepare: Prepare
) -> Callable[[Widths], onnx.ModelProto]:
    """Slices at any widths: which channels go does not change the cost, only how many."""
    scores = magnitude_scores(model.proto, channels)

    def run_graph(widths: Widths) -> onnx.ModelProto:
        plan = plan_from_widths(channels, widths, scores, model.sha256)
        return prepare(slice_graph(model.proto, channels, plan))

    return run_graph


def _node_costs(proto: onnx.ModelProto, channels: ChannelMap, times: NodeTimes) -> list[NodeCost]:
    kernel_sum = sum(times.nodes.values())
    known = shapes(proto)
    works = count_work(proto, times)
    costs = []
    for node in proto.graph.node:
        share = times.nodes[node.name] / kernel_sum
        costs.append(
            NodeCost(
                name=node.name,
                op=node.op_type,
                latency_us=share * times.latency.median,
                share=share,
                absorbed_by=times.absorbed.get(node.name),
                signature=_signature(node, known, times.kernels[node.name]),
                ports=_ports(channels, node.name),
                macs=works[node.name].macs,
                bytes=works[node.name].bytes,
            )
        )
    return costs


def _ports(channels: ChannelMap, node: str) -> tuple[Port, Port] | None:
    """Ports of a node in which only prunable groups count as groups."""
    if node not in channels.ports:
        return None
    prunable = {group.name for group in channels.prunable}
    incoming, outgoing = (
        Port(
            {name: n for name, n in port.groups.items() if name in prunable},
            port.fixed + sum(n for name, n in port.groups.items() if name not in prunable),
        )
        for port in channels.ports[node]
    )
    return incoming, outgoing


def _signature(node: onnx.NodeProto, known: Mapping[str, tuple[int, ...]], kernels: str) -> str:
    """What decides a node's cost besides its channels: operator, attributes, sizes, kernels."""
    given = attributes(node)
    parts = [f"{key}={_text(given[key])}" for key in _KERNEL_ATTRIBUTES if key in given]
    grouped = ["grouped"] if given.get("group", 1) != 1 else []
    # Data, weight if there is one, result; the first two axes are batch and channels.
    sizes = [known.get(name, ())[2:] for name in (*node.input[:2], *node.output[:1])]
    shown = ["x".join(map(str, size)) or "-" for size in sizes]
    return " ".join([node.op_type, *grouped, *parts, ">".join(shown), kernels])


def _text(value: object) -> str:
    if isinstance(value, list | tuple):
        return "x".join(map(str, value))
    return value.decode() if isinstance(value, bytes) else str(value)
