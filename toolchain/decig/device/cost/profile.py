"""Profiling a model: from a graph and a device to a cost table."""

import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

import numpy as np
import onnx

from decig.device.cost.designs import first_designs, next_designs
from decig.device.cost.predict import Predictor
from decig.device.cost.sweep import Slicer, Sweep
from decig.device.cost.table import CostTable, NodeCost, Noise, ProfiledModel, SweepPoint, Widths
from decig.device.measure.limits import measure_limits
from decig.device.measure.nodes import NodeTimes, measure_nodes
from decig.device.measure.roofline import count_work
from decig.device.run.device import Device
from decig.device.run.timing import Timing
from decig.errors import BadInputError
from decig.graph.channels import ChannelMap, Port, analyse
from decig.graph.flow import attributes
from decig.graph.model import Model, input_info, shapes
from decig.graph.plan import plan_from_widths
from decig.graph.scoring import magnitude_scores
from decig.graph.slicing import slice_graph

log = logging.getLogger(__name__)

_KERNEL_ATTRIBUTES = ("strides", "dilations", "mode", "blocksize")
"""Attributes by which ONNX Runtime chooses a kernel or its work."""
_BATCH, _BATCH_ALONE = 4, 7
"""Designs between two fits; the second one where only whole graphs are timed."""
_ODD = 1.04
"""How many times its prediction a design may take before it is measured again."""
_WHOLE = Timing(min_runs=7, max_seconds=6.0)
"""How long the whole model is timed."""

Prepare = Callable[[onnx.ModelProto], onnx.ModelProto]
"""Makes the graph that runs of a graph, such as by rewrites."""
Progress = Callable[[int, int], None]
"""Told how many measurements are done, and how many there are."""


@dataclass(frozen=True)
class Effort:
    """How much is measured.

    Attributes:
        first: designs of widths before anything is known.
        further: most designs for each group after that, where the prediction is in most doubt.
        firm: median doubt about plans, as a share of their latency, at which no further design is
            measured.
        first_alone: designs at first where a provider hides its kernels; only their nodes are timed
            one by one, not those of further designs.
        firm_alone: as `firm`, but where a provider hides its kernels: such designs are slow to
            compile, and each of them tells less.
    """

    first: int
    further: int
    firm: float
    first_alone: int
    firm_alone: float


EFFORTS = {
    "quick": Effort(16, 0, 0.0, 8, 0.0),
    "standard": Effort(24, 4, 0.01, 12, 0.035),
    "thorough": Effort(32, 16, 0.005, 24, 0.025),
}


def _as_it_is(proto: onnx.ModelProto) -> onnx.ModelProto:
    return proto


def profile_model(
    model: Model,
    device: Device,
    *,
    effort: Effort,
    prepare: Prepare = _as_it_is,
    progress: Progress = lambda done, total: None,
) -> CostTable:
    """Measure what a model costs on a device, node by node and width by width.

    Args:
        model: the model, in normal form.
        device: the device.
        effort: how much of the width sweep is measured, which prediction and planning need; there
            is none where no group can be cut.
        prepare: rewrites that a graph gets before it runs; every measurement sees the result. Nodes
            that replace a node are named "<node>" or "<node>/<suffix>".
        progress: told how many measurements are done.

    Raises:
        BadInputError: ONNX Runtime refuses the graph, or the graph has nothing to run.
        DecigError: the graph would run elsewhere.
    """
    channels = analyse(model.proto)
    groups = {group.name: group.channels for group in channels.prunable}
    names = [node.name for node in model.proto.graph.node]
    sweep = Sweep(_slicer(model, channels, prepare), groups, names, device) if groups else None
    points: tuple[SweepPoint, ...] = ()
    if sweep is None:
        times = measure_nodes(prepare(model.proto), names, device, _WHOLE, unprofiled=True)
    else:
        whole, times = sweep.measure_whole(groups, _WHOLE)
        points = (whole,)
    if not times.kernel_sum_us:
        raise BadInputError(f"{model.path}: there is nothing in it to run, so nothing to measure")
    table = CostTable(
        device=device.fingerprint(),
        model=_profiled(model),
        latency_us=times.latency,
        kernel_sum_over_latency=times.kernel_sum_us / times.latency.median,
        noise=Noise(times.share, 0.0),
        groups=groups,
        nodes=_node_costs(model.proto, channels, times),
        sweep=points,
        limits=measure_limits(device),
        timed_alone=times.alone,
    )
    if sweep is None:
        progress(1, 1)
    else:
        table = _swept(table, sweep, effort, progress)
        table = replace(table, noise=Noise(times.share, sweep.unsteadiness))
    for doubt in table.doubts:
        log.warning("%s; profile on an idle machine", doubt)
    return table


def _profiled(model: Model) -> ProfiledModel:
    inputs = {value.name: tuple(value.shape) for value in input_info(model.proto)}
    return ProfiledModel(model.sha256, model.path.name, inputs)


def _swept(table: CostTable, sweep: Sweep, effort: Effort, progress: Progress) -> CostTable:
    """Add points to a table's sweep: the first ones blindly, then those in most doubt."""
    first, firm, batch = effort.first, effort.firm, _BATCH
    if table.timed_alone:
        first, firm, batch = effort.first_alone, effort.firm_alone, _BATCH_ALONE
    points, total = table.sweep, first + effort.further * len(table.groups)
    for widths in first_designs(table.groups, first)[1:]:
        progress(len(points), total)
        points = (*points, sweep.measure(widths))
    generator = np.random.default_rng(0)
    while len(points) < total:
        predictor = Predictor(replace(table, sweep=points))
        designs, doubt = next_designs(predictor, batch, generator)
        log.debug("doubt after %d designs: %.1f %%", len(points), 100 * doubt)
        if doubt < firm:
            break
        if table.timed_alone:  # no nodes tie it to the others, and all plans are compared with it
            designs = [dict(table.groups), *designs]
        for widths in designs[: total - len(points)]:
            points = (*points, sweep.measure(widths, alone=False))
            progress(len(points), total)
    table = _odd_ones_again(replace(table, sweep=points), sweep)
    progress(total, total)
    return table


def _odd_ones_again(table: CostTable, sweep: Sweep) -> CostTable:
    """Measure designs again that took longer than all others would have it.

    The quicker time counts: whatever else the machine does can only add time.
    """
    predictor = Predictor(table)
    points = list(table.sweep)
    for index, point in enumerate(points):
        if point.latency_us.median_ms > _ODD * predictor.predict_ms(point.widths):
            again = sweep.measure(point.widths, alone=bool(point.nodes))
            points[index] = min(point, again, key=lambda each: each.latency_us.median)
    return replace(table, sweep=tuple(points))


def _slicer(model: Model, channels: ChannelMap, prepare: Prepare) -> Slicer:
    """Make what slices at any widths: how many channels go changes the cost, not which ones."""
    scores = magnitude_scores(model.proto, channels)

    def run_graph(widths: Widths) -> onnx.ModelProto:
        plan = plan_from_widths(channels, widths, scores, model.sha256)
        return prepare(slice_graph(model.proto, channels, plan))

    return run_graph


def _node_costs(
    proto: onnx.ModelProto, channels: ChannelMap, times: NodeTimes
) -> tuple[NodeCost, ...]:
    """Share the latency out between the nodes, in proportion to their times."""
    kernel_sum = sum(times.nodes.values())
    known = shapes(proto)
    works = count_work(proto, times)
    costs = []
    for node in proto.graph.node:
        share = times.nodes[node.name] / kernel_sum if kernel_sum else 1 / len(proto.graph.node)
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
    return tuple(costs)


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
    """All that decides a node's cost besides its channels: operator, attributes, sizes, kernels."""
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
