"""Which exact rewrites pay on a device: measured, never assumed."""

import logging
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import chain

import onnx

from decig.data.inputs import seeded_feeds
from decig.device.run.device import Device
from decig.device.run.runs import UndisturbedRun
from decig.device.run.timing import Latency, Timing, measure_interleaved
from decig.errors import DecigError
from decig.graph import rewrite

log = logging.getLogger(__name__)

COMPARISON = Timing(max_seconds=4.0)
"""How long graphs are compared where nothing else is asked."""


@dataclass(frozen=True)
class Choice:
    """The rewrites that pay.

    Attributes:
        proto: the graph with these rewrites.
        canonical: name of each rule that is better on any device to how often it was applied.
        kept: device rules that pay.
        dropped: device rules that match the graph but make it no faster, or whose result the
            device cannot run.
    """

    proto: onnx.ModelProto
    canonical: dict[str, int]
    kept: list[str]
    dropped: list[str]


def choose_rewrites(
    proto: onnx.ModelProto,
    device: Device,
    *,
    any_size: bool = False,
    rules: Sequence[str] = rewrite.DEVICE,
    known: Sequence[str] = (),
    timing: Timing | None = None,
) -> Choice:
    """Apply the canonical rules to a graph, and those device rules without which it is slower.

    Rules are dropped one at a time, and those that are left are timed again: of two rules for the
    same node, each looks needless while the other one is there. A rule may find work only where
    another one was dropped, and is tried then. At the end the chosen rules are timed in turns with
    the canonical rules alone, and with the known set. Device rules hold only at the size of the
    graph, so with `any_size` there are none. A rule whose result the provider cannot run is left
    out.

    Args:
        proto: the graph.
        device: where it is timed.
        any_size: whether the graph must serve any size.
        rules: device rules to try.
        known: rules that the cost table kept for a graph like this one: a plan was made for them,
            and a noisy minute must not lose what the plan was measured with.
        timing: how long graphs are compared, each time; `COMPARISON` where None.

    Raises:
        BadInputError, DecigError: as for `Device.open`, for the graph without device rules.
    """
    rules = () if any_size else rules
    canonical, applied = rewrite.apply(proto, canonical_rules(any_size=any_size))
    counts = Counter(step.rule for step in applied)
    accepted = rules if device.is_cpu else _accepted(canonical, rules, device)
    planned = matching(canonical, [rule for rule in accepted if rule in known])
    sets: dict[str, list[str]] = {"canonical": []}
    for name, kept in (
        ("chosen", _paying(canonical, accepted, device, timing)),
        ("planned", planned),
    ):
        if kept not in sets.values():
            sets[name] = kept
    graphs = {name: _apply(canonical, kept) for name, kept in sets.items()}
    best = _fastest(sets, time_graphs(graphs, device, timing))
    found = dict.fromkeys(chain(matching(canonical, rules), *sets.values()))
    dropped = [rule for rule in found if rule not in sets[best]]
    return Choice(graphs[best], counts, sets[best], dropped)


def known_rewrites(
    proto: onnx.ModelProto, known: Sequence[str], *, any_size: bool = False
) -> Choice:
    """Apply the canonical rules and known device rules to a graph; nothing is measured.

    Args:
        proto: the graph.
        known: rules that paid on the device that the graph is for, by its cost table.
        any_size: whether the graph must serve any size; there are no device rules then.
    """
    canonical, applied = rewrite.apply(proto, canonical_rules(any_size=any_size))
    device_rules = [] if any_size else [rule for rule in rewrite.DEVICE if rule in known]
    kept = matching(canonical, device_rules)
    counts = Counter(step.rule for step in applied)
    return Choice(_apply(canonical, kept), counts, kept, [])


def _accepted(proto: onnx.ModelProto, rules: Sequence[str], device: Device) -> list[str]:
    """Rules whose results the device runs, each rule alone; none if it does not run them together.

    The result of one rule must not need another rule to mend it: at other widths that other rule
    may find no work.

    Raises:
        DecigError: the device does not run the graph without them either.
    """
    timed_run(proto, device)()
    accepted = list(rules)
    for rule in matching(proto, rules):
        if reason := _refusal(_apply(proto, [rule]), device):
            log.info("without the rewrite %s: %s", rule, reason)
            accepted.remove(rule)
    return [] if _refusal(_apply(proto, accepted), device) else accepted


def _refusal(proto: onnx.ModelProto, device: Device) -> str:
    """The reason why a device cannot run a graph; "" if it can."""
    try:
        timed_run(proto, device)()
    except DecigError as error:
        return str(error)
    return ""


def _paying(
    proto: onnx.ModelProto, rules: Sequence[str], device: Device, timing: Timing | None
) -> list[str]:
    """Those of the matching rules without which a graph is slower."""
    left, paying = list(rules), set[str]()
    while doubtful := [rule for rule in matching(proto, left) if rule not in paying]:
        trials = {"": left} | {rule: [r for r in left if r != rule] for rule in doubtful}
        graphs = {name: _apply(proto, trial) for name, trial in trials.items()}
        times = time_graphs(graphs, device, timing)
        needless = [rule for rule in doubtful if not faster(times[""], times[rule])]
        paying |= set(doubtful) - set(needless)
        if needless:
            left.remove(min(needless, key=lambda rule: times[rule].median))
    return matching(proto, left)


def matching(proto: onnx.ModelProto, rules: Sequence[str]) -> list[str]:
    """Those of the rules that find work in a graph, in the order of their first use."""
    return list(dict.fromkeys(step.rule for step in rewrite.apply(proto, rules)[1]))


def _fastest(sets: dict[str, list[str]], times: dict[str, Latency]) -> str:
    """Name of the set of rules to deploy: the shortest set, unless a longer one is faster."""
    best, *others = sorted(sets, key=lambda name: len(sets[name]))
    for name in others:
        if faster(times[name], times[best]):
            best = name
    return best


def canonical_rules(*, any_size: bool) -> tuple[str, ...]:
    """Rules that are better on any device, for graphs of one size or of any size."""
    return rewrite.ANY_SIZE if any_size else rewrite.CANONICAL


def faster(one: Latency, other: Latency) -> bool:
    """Whether `one` is faster than `other` by more than the doubt about both medians."""
    return one.median * (1 + one.uncertainty) < other.median * (1 - other.uncertainty)


def _apply(proto: onnx.ModelProto, rules: Sequence[str]) -> onnx.ModelProto:
    return rewrite.apply(proto, rules)[0]


def time_graphs(
    graphs: dict[str, onnx.ModelProto], device: Device, timing: Timing | None = None
) -> dict[str, Latency]:
    """Time graphs in turns on noise, without the time that other programs took where it is known.

    Args:
        graphs: the graphs by name.
        device: the device.
        timing: how long; `COMPARISON` where None.
    """
    calls = {name: timed_run(proto, device) for name, proto in graphs.items()}
    return measure_interleaved(calls, timing or COMPARISON)


def timed_run(
    proto: onnx.ModelProto, device: Device, sized: onnx.ModelProto | None = None
) -> UndisturbedRun:
    """Make a run of a graph on noise, without the time that other programs took if it is known.

    Args:
        proto: the graph.
        device: the device.
        sized: the graph at one size, by which the noise is made; needed where `proto` has dynamic
            axes.
    """
    session, feeds = device.open(proto), seeded_feeds(sized or proto, None)[0]
    return device.undisturbed(device.prepare(session, feeds))
