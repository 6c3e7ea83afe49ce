"""`decig profile`: the cost table of a model as `decig export` would deploy it.

Exact rewrites change what a width costs: as phases, a wide head to RGB takes a third of its time.
A plan made from the graph as it is would cut in the wrong place, so the sweep sees the rewrites.
"""

from collections.abc import Callable
from dataclasses import replace

import onnx

from decig.device.cost.profile import EFFORTS, Effort, profile_model
from decig.device.cost.table import CostTable
from decig.device.measure.rewriting import (
    canonical_rules,
    choose_rewrites,
    matching,
    rule_names,
    time_graphs,
)
from decig.device.run.session import DeviceOptions
from decig.device.run.timing import Latency
from decig.graph import rewrite
from decig.graph.channels import analyse
from decig.graph.model import Model
from decig.graph.plan import plan_from_widths, uniform_widths
from decig.graph.scoring import magnitude_scores
from decig.graph.slicing import slice_graph

AS_IT_IS = "as_it_is_latency_us"
REWRITES = "rewrites"
_RATIO_SECONDS = 3.0
_SHARES = (1 / 2, 1 / 8)
"""Of the widths, at which rewrites are tried."""


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


def _sliced(model: Model, share: float) -> onnx.ModelProto:
    channels = analyse(model.proto)
    scores = magnitude_scores(model.proto, channels)
    widths = uniform_widths(channels, share)
    return slice_graph(
        model.proto, channels, plan_from_widths(channels, widths, scores, model.sha256)
    )
