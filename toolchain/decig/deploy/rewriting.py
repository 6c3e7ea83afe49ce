"""Which exact rewrites pay on a device: measured, never assumed."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import onnx

from decig.deploy.inputs import seeded_feeds
from decig.device.runs import QuietRun, prepare_run
from decig.device.session import DeviceOptions, open_session
from decig.device.timing import Latency, measure_interleaved
from decig.graph import rewrite

_SECONDS = 6.0  # of timing a comparison, beyond the fewest runs


@dataclass(frozen=True)
class Choice:
    """The rewrites that pay.

    Attributes:
        proto: the graph with them.
        canonical: how often each rule was applied that is better on any device.
        kept: device rules that pay.
        dropped: device rules that matched the graph but made it no faster.
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
    proto: onnx.ModelProto, device: DeviceOptions, *, any_size: bool = False
) -> Choice:
    """Apply the canonical rules to a graph, and those device rules without which it is slower.

    First the graph with all rules is timed against the graphs that lack one of them, then what is
    left against the graph as it is. A rule may find work only where another one is dropped, and is
    tried then. The device rules hold at the size of the graph only, so with `any_size` there are
    none.
    """
    rules = () if any_size else rewrite.DEVICE
    canonical, applied = rewrite.apply(proto, canonical_rules(any_size=any_size))
    counts = Counter(step.rule for step in applied)
    kept: list[str] = []
    dropped: list[str] = []
    while True:
        left = [rule for rule in rules if rule not in dropped]
        matched = list(dict.fromkeys(step.rule for step in rewrite.apply(canonical, left)[1]))
        if set(matched) <= set(kept):
            break
        kept = _paying(canonical, matched, left, device)
        dropped += [rule for rule in matched if rule not in kept]
    final = _apply(canonical, kept)
    times = time_graphs({"plain": proto, "canonical": canonical, "rewritten": final}, device)
    if not faster(times["rewritten"], times["canonical"]):
        return Choice(canonical, counts, [], dropped + kept, times["plain"], times["canonical"])
    return Choice(final, counts, kept, dropped, times["plain"], times["rewritten"])


def _paying(
    proto: onnx.ModelProto, matched: Sequence[str], rules: Sequence[str], device: DeviceOptions
) -> list[str]:
    """Of the rules that match a graph, those without which it is slower."""
    trials = {"": rules} | {rule: [r for r in rules if r != rule] for rule in matched}
    times = time_graphs({name: _apply(proto, trial) for name, trial in trials.items()}, device)
    return [rule for rule in matched if faster(times[""], times[rule])]


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
    calls = {}
    for name, proto in graphs.items():
        session, feeds = open_session(proto, device), seeded_feeds(proto, None)[0]
        calls[name] = QuietRun(prepare_run(session, feeds, device), device)
    return measure_interleaved(calls, max_seconds=max_seconds)
