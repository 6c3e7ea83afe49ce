"""Which exact rewrites pay on a device: measured, never assumed."""

from collections.abc import Sequence
from dataclasses import dataclass

import onnx

from decig.deploy.inputs import seeded_feeds
from decig.device.session import DeviceOptions, open_session
from decig.device.timing import Latency, measure_interleaved
from decig.graph import rewrite


@dataclass(frozen=True)
class Choice:
    """The rewrites that pay.

    Attributes:
        proto: the graph with them.
        kept: their rules.
        dropped: rules that matched the graph but made it no faster.
        plain: latency without any of them.
        rewritten: latency of `proto`, timed in turns with `plain`.
    """

    proto: onnx.ModelProto
    kept: list[str]
    dropped: list[str]
    plain: Latency
    rewritten: Latency


def choose_rewrites(proto: onnx.ModelProto, device: DeviceOptions) -> Choice:
    """Apply the device rules to a graph, but for those without which it is as fast.

    First the graph with all rules is timed against the graphs that lack one of them, then what is
    left against the graph without any.
    """
    matched = _rules_of(rewrite.apply(proto, rewrite.DEVICE)[1])
    trials = {"": matched} | {rule: [r for r in matched if r != rule] for rule in matched}
    times = _time({name: _apply(proto, rules) for name, rules in trials.items()}, device)
    kept = [rule for rule in matched if faster(times[""], times[rule])]
    rewritten = _apply(proto, kept)
    times = _time({"plain": proto, "rewritten": rewritten}, device)
    if not faster(times["rewritten"], times["plain"]):
        return Choice(proto, [], matched, times["plain"], times["plain"])
    dropped = [rule for rule in matched if rule not in kept]
    return Choice(rewritten, kept, dropped, times["plain"], times["rewritten"])


def faster(one: Latency, other: Latency) -> bool:
    """Whether `one` is faster than `other` by more than the doubt about both medians."""
    return one.median * (1 + one.uncertainty) < other.median * (1 - other.uncertainty)


def _apply(proto: onnx.ModelProto, rules: Sequence[str]) -> onnx.ModelProto:
    return rewrite.apply(proto, rules)[0]


def _rules_of(applied: Sequence[rewrite.Applied]) -> list[str]:
    return list(dict.fromkeys(step.rule for step in applied))


def _time(graphs: dict[str, onnx.ModelProto], device: DeviceOptions) -> dict[str, Latency]:
    calls = {}
    for name, proto in graphs.items():
        session, feeds = open_session(proto, device), seeded_feeds(proto, None)[0]
        calls[name] = lambda session=session, feeds=feeds: session.run(None, feeds)
    return measure_interleaved(calls)
