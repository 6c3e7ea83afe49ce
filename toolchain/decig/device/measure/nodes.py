"""One graph on one device: how long it takes, and how long each of its original nodes takes."""

import tempfile
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx

from decig.device.measure.alone import time_layers
from decig.device.measure.attribution import Attribution, attribute, kernel_times
from decig.device.measure.quiet import quiet_times
from decig.device.run.feeds import random_feeds
from decig.device.run.providers import find
from decig.device.run.runs import QuietRun, observe, prepare_run
from decig.device.run.session import DeviceOptions, open_session
from decig.device.run.timing import Latency, measure_interleaved

_WARM_UP = 2
_BESIDE = "beside"


@dataclass(frozen=True)
class NodeTimes:
    """Time of a graph and of its nodes.

    Attributes:
        latency: whole runs, freed of what other programs took.
        kernel_sum_us: median over profiled runs of all kernels together, as the clock saw it.
        share: of their wall time, what the profiled runs had of the processor; 1 if undisturbed.
        nodes: microseconds of each original node (its kernels added up), freed of what other
            programs took; 0 for one that was fused away or folded.
        absorbed: original node that was fused away to the original node that does its work.
        kernels: original node to the operators that ran for it, such as Conv+ReorderInput.
        beside_us: median of the call that ran beside it; 0 without one.
        alone: whether nodes, if timed at all, were so one by one: only their proportions hold,
            roughly.
    """

    latency: Latency
    kernel_sum_us: float
    share: float
    nodes: dict[str, float]
    absorbed: dict[str, str]
    kernels: dict[str, str]
    beside_us: float
    alone: bool = False


def measure_nodes(
    run: onnx.ModelProto,
    original: Iterable[str],
    options: DeviceOptions,
    *,
    unprofiled: bool = False,
    alone: bool = True,
    beside: QuietRun | None = None,
    **limits: Any,
) -> NodeTimes:
    """Profile a graph at full optimisation and charge its kernels to the original nodes.

    Where the provider hides its kernels, layers are timed one by one (`NodeTimes.alone`).

    Args:
        run: the graph to run: the original one, sliced, rewritten or both.
        original: names of the original nodes; see `decig.device.measure.attribution.attribute`.
        options: the device.
        unprofiled: take the latency from a second session without the profiler, run in turns
            with the first; else from the profile.
        alone: where the provider hides its kernels, time the nodes at all.
        beside: call to run in turns with them, to see the machine's pace.
        limits: of the timing; see `decig.device.run.timing.measure_interleaved`.

    Raises:
        BadInputError, DecigError: as `open_session`.
    """
    original = list(original)
    if find(options.provider).opaque:
        as_whole = _measure_whole(run, options, beside, limits)
        return _add_layers(as_whole, run, original, options) if alone else as_whole
    with tempfile.TemporaryDirectory(prefix="decig-") as name:
        folder = Path(name)
        session = open_session(
            run,
            options,
            profile_prefix=folder / "profile",
            optimised_path=folder / "optimised.onnx",
        )
        feeds = random_feeds(session)
        profiled = _Noted(prepare_run(session, feeds, options), options)
        calls: dict[str, Callable[[], object]] = {"profiled": profiled}
        if unprofiled:
            plain = prepare_run(open_session(run, options), feeds, options)
            calls["plain"] = QuietRun(plain, options)
        timed = measure_interleaved(_with(calls, beside), warm_up=_WARM_UP, **limits)
        times, whole = kernel_times(Path(session.end_profiling()), skip_runs=_WARM_UP)
        optimised = onnx.load(folder / "optimised.onnx", load_external_data=False)
    attribution = attribute(original, run, optimised)
    times = {kernel: us for kernel, us in times.items() if kernel in attribution.owner}
    share = np.array(profiled.shares)
    charged = attribution.charge(quiet_times(times, whole, share))
    return NodeTimes(
        timed.get("plain") or Latency.from_samples(whole * share),
        float(np.median(np.sum(list(times.values()), axis=0))),
        float(np.median(share)),
        {name: charged.get(name, 0.0) for name in original},
        attribution.absorbed,
        _operators(original, attribution, optimised),
        _beside_us(timed),
    )


def _measure_whole(
    run: onnx.ModelProto,
    options: DeviceOptions,
    beside: QuietRun | None,
    limits: dict[str, Any],
) -> NodeTimes:
    """Time a graph whose nodes cannot be seen."""
    session = open_session(run, options)
    call = _Noted(prepare_run(session, random_feeds(session), options), options)
    timed = measure_interleaved(_with({"whole": call}, beside), warm_up=_WARM_UP, **limits)
    whole, share = timed["whole"], float(np.median(call.shares))
    latency = Latency(whole.median * share, whole.mad * share, whole.p90 * share, whole.runs)
    return NodeTimes(latency, 0.0, share, {}, {}, {}, _beside_us(timed), alone=True)


def _add_layers(
    whole: NodeTimes, run: onnx.ModelProto, original: list[str], options: DeviceOptions
) -> NodeTimes:
    """Add what the layers take one by one."""
    attribution = attribute(original, run, run)
    owner = attribution.owner
    layers = time_layers(run, owner, options)
    charged = attribution.charge(layers.nodes)
    return replace(
        whole,
        kernel_sum_us=sum(charged.values()),
        nodes={name: charged.get(name, 0.0) for name in original},
        absorbed={
            owner[name]: owner[host]
            for name, host in layers.absorbed.items()
            if owner[name] != owner[host]
        },
        kernels=dict.fromkeys(original, "")
        | {owner[name]: operators for name, operators in layers.kernels.items()},
    )


def _with(
    calls: dict[str, Callable[[], object]], beside: QuietRun | None
) -> dict[str, Callable[[], object]]:
    return calls if beside is None else calls | {_BESIDE: beside}


def _beside_us(timed: dict[str, Latency]) -> float:
    return timed[_BESIDE].median if _BESIDE in timed else 0.0


class _Noted:
    """Timed runs, with the share of the processor that each had; on a GPU by its own clock.

    Attributes:
        shares: of the timed runs in order.
    """

    def __init__(self, run: Callable[[], object], options: DeviceOptions) -> None:
        self._run, self._options = run, options
        self.shares: list[float] = []

    def __call__(self) -> object:
        """Run once, untimed."""
        return self._run()

    def time_us(self) -> float:
        """Run once, note the share, and return the microseconds of the clock."""
        us, share = observe(self._run, self._options)
        self.shares.append(share)
        return us


def _operators(
    original: list[str], attribution: Attribution, optimised: onnx.ModelProto
) -> dict[str, str]:
    used: dict[str, set[str]] = {name: set() for name in original}
    for node in optimised.graph.node:
        if node.name in attribution.owner:
            used[attribution.owner[node.name]].add(node.op_type)
    return {name: _joined(operators) for name, operators in used.items()}


def _joined(operators: Iterable[str]) -> str:
    return "+".join(sorted(operators))
