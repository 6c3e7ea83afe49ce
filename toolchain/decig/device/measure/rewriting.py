"""Which exact rewrites pay on a device: measured, never assumed."""

import logging
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import chain

import onnx

from decig.data.inputs import seeded_feeds
from decig.device.run.runs import QuietRun, prepare_run
from decig.device.run.session import DeviceOptions, open_session, runs_on_cpu
from decig.device.run.timing import Latency, measure_interleaved
from decig.errors import BadInputError, DecigError
from decig.graph import rewrite

log = logging.getLogger(__name__)

_SECONDS = 4.0  # of timing a comparison, beyond the fewest runs


@dataclass(frozen=True)
class Choice:
    """The rewrites that pay.

    Attributes:
        proto: the graph with them.
        canonical: how often each rule was applied that is better on any device.
        kept: device rules that pay.
        dropped: device rules that matched the graph but made it no faster, or one that the device
            cannot run.
        plain: latency of the graph as it was.
        rewritten: latency of `proto`, timed in turns with `plain`.
    """

    proto: onnx.ModelProto
    canonical: dict[str, int]
    kept: list[str]
    dropped: list[str]
    plain: Latency
    rewritten: Latency


def choose_rewrites(
    proto: onnx.ModelProto,
    device: DeviceOptions,
    *,
    any_size: bool = False,
    rules: Sequence[str] = rewrite.DEVICE,
    known: Sequence[str] = (),
) -> Choice:
    """Apply the canonical rules to a graph, and those device rules without which it is slower.

    Rules are dropped one at a time, and what is left is timed again: of two rules for the same
    node, each looks needless while the other is there. A rule may find work only where another
    one was dropped, and is tried then. In the end what was chosen is timed in turns with the
    graph as it is, with the canonical rules, and with the known set. The device rules hold at the
    size of the graph only, so with `any_size` there are none. A provider that cannot run what a
    rule makes goes without that rule.

    Args:
        proto: the graph.
        device: where it is timed.
        any_size: whether the graph must serve any size.
        rules: device rules to try.
        known: rules that were kept for a graph like this one, by its cost table: a plan was made
            for them, and a noisy minute must not lose what it was measured with.
    """
    rules = () if any_size else rules
    canonical, applied = rewrite.apply(proto, canonical_rules(any_size=any_size))
    counts = Counter(step.rule for step in applied)
    accepted = rules if runs_on_cpu(device) else _accepted(canonical, rules, device)
    planned = matching(canonical, [rule for rule in accepted if rule in known])
    sets: dict[str, list[str]] = {"canonical": []}
    for name, kept in (("chosen", _paying(canonical, accepted, device)), ("planned", planned)):
        if kept not in sets.values():
            sets[name] = kept
    graphs = {name: _apply(canonical, kept) for name, kept in sets.items()}
    times = time_graphs({"plain": proto} | graphs, device)
    best = _fastest(sets, times)
    found = dict.fromkeys(chain(matching(canonical, rules), *sets.values()))
    dropped = [rule for rule in found if rule not in sets[best]]
    return Choice(graphs[best], counts, sets[best], dropped, times["plain"], times[best])


def _accepted(proto: onnx.ModelProto, rules: Sequence[str], device: DeviceOptions) -> list[str]:
    """Those of the rules whose work the device runs, each on its own; none if not together too.

    What one rule makes must not need another rule that mends it: at other widths that one may find
    no work.

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


def _refusal(proto: onnx.ModelProto, device: DeviceOptions) -> str:
    """Why a device cannot run a graph; "" if it can."""
    try:
        timed_run(proto, device)()
    except DecigError as error:
        return str(error)
    return ""


def _paying(proto: onnx.ModelProto, rules: Sequence[str], device: DeviceOptions) -> list[str]:
    """Of the rules that match a graph, those without which it is slower."""
    left, paying = list(rules), set[str]()
    while doubtful := [rule for rule in matching(proto, left) if rule not in paying]:
        trials = {"": left} | {rule: [r for r in left if r != rule] for rule in doubtful}
        times = time_graphs({name: _apply(proto, trial) for name, trial in trials.items()}, device)
        needless = [rule for rule in doubtful if not faster(times[""], times[rule])]
        paying |= set(doubtful) - set(needless)
        if needless:
            left.remove(min(needless, key=lambda rule: times[rule].median))
    return matching(proto, left)


def rule_names(value: object, where: str) -> list[str]:
    """Read a list of rules out of JSON; BadInputError, naming `where`, if it is none."""
    if not isinstance(value, list) or not all(isinstance(name, str) for name in value):
        raise BadInputError(f"{where}: not a list of names")
    return value


def matching(proto: onnx.ModelProto, rules: Sequence[str]) -> list[str]:
    """Those of the rules that find work in a graph."""
    return list(dict.fromkeys(step.rule for step in rewrite.apply(proto, rules)[1]))


def _fastest(sets: dict[str, list[str]], times: dict[str, Latency]) -> str:
    """Name of the set of rules to deploy: the shortest, unless a longer one is faster."""
    best, *others = sorted(sets, key=lambda name: len(sets[name]))
    for name in others:
        if faster(times[name], times[best]):
            best = name
    return best


def canonical_rules(*, any_size: bool) -> tuple[str, ...]:
    """Rules that are better on any device, for graphs of one size or of any."""
    return rewrite.ANY_SIZE if any_size else rewrite.CANONICAL


def faster(one: Latency, other: Latency) -> bool:
    """Whether `one` is faster than `other` by more than the doubt about both medians."""
    return one.median * (1 + one.uncertainty) < other.median * (1 - other.uncertainty)


def _apply(proto: onnx.ModelProto, rules: Sequence[str]) -> onnx.ModelProto:
    return rewrite.apply(proto, rules)[0]


def time_graphs(
    graphs: dict[str, onnx.ModelProto], device: DeviceOptions, max_seconds: float = _SECONDS
) -> dict[str, Latency]:
    """Time graphs in turns, on noise, without what other programs took where that is known."""
    calls = {name: timed_run(proto, device) for name, proto in graphs.items()}
    return measure_interleaved(calls, max_seconds=max_seconds)


def timed_run(proto: onnx.ModelProto, device: DeviceOptions) -> QuietRun:
    """Return a run of a graph on noise, without what other programs take where that is known."""
    session, feeds = open_session(proto, device), seeded_feeds(proto, None)[0]
    return QuietRun(prepare_run(session, feeds, device), device)
