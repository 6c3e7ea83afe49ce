"""The cost table of a model as it would be deployed, with the exact rewrites that pay.

Rewrites change what a width costs: written as phases, a wide head to RGB takes a third of its time.
A plan made from the graph as it is would cut in the wrong place, so the sweep sees the rewrites.
"""

import logging
from collections.abc import Callable
from dataclasses import replace

import onnx

from decig.device.cost.profile import EFFORTS, Effort, profile_model
from decig.device.cost.table import CostTable
from decig.device.measure.rewriting import (
    canonical_rules,
    choose_rewrites,
    matching,
    time_graphs,
)
from decig.device.run.device import Device
from decig.device.run.timing import Latency, Timing
from decig.errors import DecigError
from decig.graph import rewrite
from decig.graph.channels import analyse
from decig.graph.model import Model
from decig.graph.plan import plan_from_widths, uniform_widths
from decig.graph.scoring import magnitude_scores
from decig.graph.slicing import slice_graph

log = logging.getLogger(__name__)

_RATIO = Timing(max_seconds=3.0)
"""How long the model is timed in turns with and without rewrites."""
_SHARES = (1 / 2, 1 / 8)
"""Shares of the widths at which rewrites are tried."""


def profile_as_deployed(
    model: Model,
    device: Device,
    progress: Callable[[int, int], None],
    effort: Effort = EFFORTS["standard"],
) -> CostTable:
    """Profile a model with the rewrites that pay on the device.

    The table also says which rewrites these are, and how long the model takes without them.

    Args:
        model: the model, in normal form.
        device: the device.
        progress: told how many measurements are done, and how many there are.
        effort: how much is measured.

    Raises:
        BadInputError, DecigError: as `profile_model`.
    """
    rules = _rules_that_pay(model, device)

    def prepare(proto: onnx.ModelProto) -> onnx.ModelProto:
        return rewrite.apply(proto, rules)[0]

    table = profile_model(model, device, effort=effort, prepare=prepare, progress=progress)
    as_it_is = _as_it_is(table, model.proto, prepare(model.proto), device)
    entry = replace(table.model, rewrites=tuple(rules), as_it_is_latency_us=as_it_is)
    return replace(table, model=entry)


def _as_it_is(
    table: CostTable, plain: onnx.ModelProto, prepared: onnx.ModelProto, device: Device
) -> Latency | None:
    """Latency of the model without rewrites, at the pace of its table.

    None, with a warning, where the device runs it only with rewrites.
    """
    try:
        times = time_graphs({"as it is": plain, "deployed": prepared}, device, _RATIO)
    except DecigError as error:
        log.warning("not timed without rewrites: %s", error)
        return None
    # The ratio of one run carries over to the table; milliseconds of two runs do not compare.
    return times["as it is"].scaled(table.latency_us.median / times["deployed"].median)


def _rules_that_pay(model: Model, device: Device) -> list[str]:
    """Choose rewrites at half the widths, which is nearer to what plans keep than the whole model.

    Some rewrites find work only where less is kept, such as at a stem of few channels: those that
    do not match at half the widths are tried at an eighth.
    """
    any_size = model.axes is not None
    half, narrow = (_sliced(model, share) for share in _SHARES)
    choice = choose_rewrites(half, device, any_size=any_size)
    pays, tried = {*choice.kept}, {*choice.kept, *choice.dropped}
    canonical = canonical_rules(any_size=any_size)
    rules = () if any_size else [r for r in rewrite.DEVICE if r in pays or r not in tried]
    further = {*matching(narrow, [*canonical, *rules])}.difference(canonical, tried)
    if further:
        pays |= further.intersection(choose_rewrites(narrow, device, rules=rules).kept)
    return [*canonical, *(rule for rule in rewrite.DEVICE if rule in pays)]


def _sliced(model: Model, share: float) -> onnx.ModelProto:
    channels = analyse(model.proto)
    scores = magnitude_scores(model.proto, channels)
    widths = uniform_widths(channels, share)
    return slice_graph(
        model.proto, channels, plan_from_widths(channels, widths, scores, model.sha256)
    )
