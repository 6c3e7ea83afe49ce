"""`decig profile`: the cost table of a model as `decig export` would deploy it.

Exact rewrites change what a width costs: as phases, a wide head to RGB takes a third of its time.
A plan made from the graph as it is would cut in the wrong place, so the sweep sees the rewrites.
"""

import logging
from collections.abc import Callable
from dataclasses import replace
from functools import cache
from typing import Any

import onnx

from decig.device.cost.profile import EFFORTS, Effort, profile_model
from decig.device.cost.table import CostTable
from decig.device.measure.nodes import measure_nodes
from decig.device.measure.pace import latency_at_pace
from decig.device.measure.rewriting import (
    canonical_rules,
    choose_rewrites,
    matching,
    rule_names,
    time_graphs,
    timed_run,
)
from decig.device.measure.roofline import compare, measure_roofline, roofline_of
from decig.device.run.fingerprint import difference, fingerprint
from decig.device.run.providers import find
from decig.device.run.runs import QuietRun
from decig.device.run.session import DeviceOptions
from decig.device.run.timing import Latency
from decig.errors import BadInputError
from decig.graph import rewrite
from decig.graph.channels import analyse
from decig.graph.model import Model
from decig.graph.plan import plan_from_widths, uniform_widths
from decig.graph.scoring import magnitude_scores
from decig.graph.slicing import slice_graph

log = logging.getLogger(__name__)

AS_IT_IS = "as_it_is_latency_us"
REWRITES = "rewrites"
_RATIO_SECONDS = 3.0
_SHARES = (1 / 2, 1 / 8)
"""Of the widths, at which rewrites are tried."""
_TRIAL: dict[str, Any] = {"min_runs": 4, "max_runs": 30, "max_seconds": 0.5, "firm": 0.005}


def profile_as_deployed(
    model: Model,
    device: DeviceOptions,
    progress: Callable[[int, int], None],
    effort: Effort = EFFORTS["standard"],
) -> CostTable:
    """Profile a model with the rewrites that pay on the device.

    The table's `model` also holds the names of the rewrites, and the latency of the model without
    them.

    Raises:
        BadInputError, DecigError: as `profile_model`.
    """
    rules = _rules_that_pay(model, device)

    def prepare(proto: onnx.ModelProto) -> onnx.ModelProto:
        return rewrite.apply(proto, rules)[0]

    table = profile_model(model, device, effort=effort, prepare=prepare, progress=progress)
    graphs = {"as it is": model.proto, "deployed": prepare(model.proto)}
    times = time_graphs(graphs, device, max_seconds=_RATIO_SECONDS)
    # The ratio of one run carries over to the table; milliseconds of two runs do not compare.
    slower = times["as it is"].median / times["deployed"].median
    as_it_is = replace(times["as it is"], median=table.latency_us.median * slower)
    entries = {REWRITES: rules, AS_IT_IS: as_it_is.to_dict()}
    return replace(table, model=table.model | entries)


def _rules_that_pay(model: Model, device: DeviceOptions) -> list[str]:
    """Choose rewrites at half the widths, nearer to what plans will keep than the whole model is.

    Some find work only where less is kept, as at a stem of few channels: those that did not match
    at half the widths are tried at an eighth.
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


def rewrites_of(table: CostTable) -> list[str]:
    """Names of the exact rewrites that a table's graph was measured with.

    Raises:
        BadInputError: the table's list is damaged.
    """
    return rule_names(table.model.get(REWRITES, []), f"cost table: model.{REWRITES}")


def as_it_is_ms(table: CostTable) -> float:
    """Latency of the model without any rewrite: what a speedup is counted from.

    Raises:
        BadInputError: the table's figure is damaged.
    """
    found = table.model.get(AS_IT_IS)
    if found is None:
        return table.latency_us.median_ms
    return Latency.from_dict(found, f"cost table: model.{AS_IT_IS}").median_ms


def accept_device(table: CostTable, *, force: bool) -> list[str]:
    """Check that a table holds for this machine and this ONNX Runtime.

    Args:
        table: of some device.
        force: plan with it all the same: its milliseconds are predicted, but not measured.

    Returns:
        Warnings for the report, one line each; each was logged too.

    Raises:
        BadInputError: it belongs to another device, and `force` is false.
    """
    warnings = table.doubts
    if reason := _elsewhere(table):
        text = f"the cost table belongs to another device: {reason}"
        if not force:
            raise BadInputError(f"{text}; profile MODEL here, or plan for that device with --force")
        warnings.append(f"{text}; the latency is predicted and was not measured")
    for warning in warnings:
        log.warning("%s", warning)
    return warnings


def deployed_latency(table: CostTable, model: Model) -> Callable[[onnx.ModelProto], float] | None:
    """Return how to measure a slimmer version of a model as it would be deployed, in ms.

    It is timed between runs of the model itself, at the table's pace: whatever else the machine
    does slows both. None on another device than the table's.
    """
    if _elsewhere(table) is not None:
        return None
    here, rules = _options(table), rewrites_of(table)

    @cache  # sessions are not cheap, and a plan by shares needs none
    def whole() -> QuietRun:
        return timed_run(rewrite.apply(model.proto, rules)[0], here)

    def measure(proto: onnx.ModelProto) -> float:
        slim = timed_run(rewrite.apply(proto, rules)[0], here)
        return latency_at_pace(slim, whole(), table.latency_us.median).median_ms

    return measure


def deployed_nodes(
    table: CostTable, model: Model
) -> Callable[[onnx.ModelProto], dict[str, float]] | None:
    """Return how to profile a slimmer version of a model as it would be deployed.

    What that gives is the microseconds of each original node, at whatever pace the machine has;
    nothing where the provider hides its kernels: layers timed one by one would take too long.
    None on another device than the table's, or where that has profiles by another method.
    """
    if _elsewhere(table) is not None:
        return None
    if find(_options(table).provider).opaque:
        return (lambda proto: {}) if table.timed_alone else None
    here, rules = _options(table), rewrites_of(table)
    original = [node.name for node in model.proto.graph.node]

    def profile(proto: onnx.ModelProto) -> dict[str, float]:
        return measure_nodes(rewrite.apply(proto, rules)[0], original, here, **_TRIAL).nodes

    return profile


def deployed_roofline(table: CostTable) -> Callable[[onnx.ModelProto], dict[str, Any]] | None:
    """Return how to set a slimmer version of a table's model beside it under the device's roof.

    Both as they would be deployed; see `decig.device.measure.roofline.compare`. None on another
    device than the table's, and where the table has no limits.
    """
    whole = roofline_of(table)
    if whole is None or _elsewhere(table) is not None:
        return None
    here, rules = _options(table), rewrites_of(table)

    def measure(proto: onnx.ModelProto) -> dict[str, Any]:
        slim = rewrite.apply(proto, rules)[0]
        return compare(whole, measure_roofline(proto, slim, here, whole.limits))

    return measure


def _options(table: CostTable) -> DeviceOptions:
    """How the table's device ran models."""
    kinds = {"provider": str, "provider_options": dict, "threads": int}
    for key, kind in kinds.items():
        if not isinstance(table.device[key], kind):
            raise TypeError(key)
    return DeviceOptions(*(table.device[key] for key in kinds))


def _elsewhere(table: CostTable) -> str | None:
    """What sets the table's device apart from this one; None if it is this one."""
    try:
        return difference(fingerprint(_options(table)), table.device)
    except BadInputError as error:  # its provider is not installed here
        return str(error)
    except (KeyError, TypeError) as error:
        raise BadInputError(f"cost table: device: {error} is missing or damaged") from error


def _sliced(model: Model, share: float) -> onnx.ModelProto:
    channels = analyse(model.proto)
    scores = magnitude_scores(model.proto, channels)
    widths = uniform_widths(channels, share)
    return slice_graph(
        model.proto, channels, plan_from_widths(channels, widths, scores, model.sha256)
    )
