"""Profiling a model: from a graph and a device to a cost table."""

import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import onnx

from decig.device.cost.predict import Predictor
from decig.device.cost.sweep import Sweep, Widths, first_designs, next_designs
from decig.device.cost.table import CostTable, NodeCost, Noise
from decig.device.measure.limits import measure_limits
from decig.device.measure.nodes import NodeTimes, measure_nodes
from decig.device.measure.roofline import count_work
from decig.device.run.fingerprint import fingerprint
from decig.device.run.session import DeviceOptions
from decig.errors import BadInputError
from decig.graph.channels import ChannelMap, Port, analyse
from decig.graph.flow import attributes
from decig.graph.model import Model, input_info, shapes
from decig.graph.plan import plan_from_widths
from decig.graph.scoring import magnitude_scores
from decig.graph.slicing import slice_graph

log = logging.getLogger(__name__)

_KERNEL_ATTRIBUTES = ("strides", "dilations", "mode", "blocksize")
_BATCH, _BATCH_ALONE = 4, 7  # designs between two fits
_ODD = 1.04  # times its prediction that a design may take before it is measured again
_WHOLE: dict[str, Any] = {"min_runs": 7, "max_seconds": 6.0}

Prepare = Callable[[onnx.ModelProto], onnx.ModelProto]
Progress = Callable[[int, int], None]


@dataclass(frozen=True)
class Effort:
    """How much is measured.

    Attributes:
        first: designs of widths before anything is known.
        further: most designs for each group after that, where prediction is in most doubt.
        firm: median doubt about plans at which no further design is taken.
        first_alone: designs first measured where a provider hides its kernels; their nodes are
            timed one by one, those of further designs are not.
        firm_alone: `firm` there: such designs are slow to compile, and less is learnt from each.
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
    options: DeviceOptions,
    *,
    effort: Effort,
    prepare: Prepare = _as_it_is,
    progress: Progress = lambda done, total: None,
) -> CostTable:
    """Measure what a model costs on a device, node by node and width by width.

    Args:
        model: the model, in normal form.
        options: the device.
        effort: of the width sweep, which prediction and planning need; there is none where no
            group can be cut.
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
    names = [node.name for node in model.proto.graph.node]
    if groups:
        sweep = Sweep(_slicer(model, channels, prepare), groups, names, options)
        whole, times = sweep.measure_whole(groups, **_WHOLE)
        points = [whole]
    else:
        run = prepare(model.proto)
        times, points = measure_nodes(run, names, options, unprofiled=True, **_WHOLE), []
    if not times.kernel_sum_us:
        raise BadInputError(f"{model.path}: there is nothing in it to run, so nothing to measure")
    table = CostTable(
        device=fingerprint(options),
        model={
            "sha256": model.sha256,
            "path": model.path.name,
            "inputs": {value.name: value.shape for value in input_info(model.proto)},
        },
        latency_us=times.latency,
        kernel_sum_over_latency=times.kernel_sum_us / times.latency.median,
        noise=Noise(times.share, 0.0),
        groups=groups,
        nodes=_node_costs(model.proto, channels, times),
        sweep=points,
        limits=measure_limits(options),
        timed_alone=times.alone,
    )
    if points:
        _take_sweep(table, sweep, effort, progress)
        table = replace(table, noise=Noise(times.share, sweep.unsteadiness))
    else:
        progress(1, 1)
    for doubt in table.doubts:
        log.warning("%s; profile on an idle machine", doubt)
    return table


def _take_sweep(table: CostTable, sweep: Sweep, effort: Effort, progress: Progress) -> None:
    """Append points to the table's sweep, the first ones blindly, then those in most doubt."""
    first, firm, batch = effort.first, effort.firm, _BATCH
    if table.timed_alone:
        first, firm, batch = effort.first_alone, effort.firm_alone, _BATCH_ALONE
    points, total = table.sweep, first + effort.further * len(table.groups)
    for widths in first_designs(table.groups, first)[1:]:
        progress(len(points), total)
        points.append(sweep.measure(widths))
    generator = np.random.default_rng(0)
    while len(points) < total:
        designs, doubt = next_designs(Predictor(table), batch, generator)
        log.debug("doubt after %d designs: %.1f %%", len(points), 100 * doubt)
        if doubt < firm:
            break
        if table.timed_alone:  # no nodes tie it to the others, and all plans are compared with it
            designs = [dict(table.groups), *designs]
        for widths in designs[: total - len(points)]:
            points.append(sweep.measure(widths, alone=False))
            progress(len(points), total)
    _measure_odd_ones_again(table, sweep)
    progress(total, total)


def _measure_odd_ones_again(table: CostTable, sweep: Sweep) -> None:
    """Give designs that took longer than all others would have it a second chance.

    What else the machine does can only add time.
    """
    predictor = Predictor(table)
    for index, point in enumerate(table.sweep):
        if point.latency.median_ms > _ODD * predictor.predict_ms(point.widths):
            again = sweep.measure(point.widths, alone=bool(point.nodes))
            table.sweep[index] = min(point, again, key=lambda each: each.latency.median)


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
