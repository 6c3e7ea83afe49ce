"""One graph on one device: how long it takes, and how long each of its original nodes takes."""

import tempfile
from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import onnx

from decig.device.measure.alone import time_layers
from decig.device.measure.attribution import Attribution, attribute, kernel_times
from decig.device.measure.quiet import quiet_times
from decig.device.run.device import Device
from decig.device.run.feeds import random_feeds
from decig.device.run.timing import Call, Latency, Timing, measure_interleaved

_COMPANION = "companion"


@dataclass(frozen=True)
class NodeTimes:
    """Time of a graph and of its nodes.

    Attributes:
        latency: of whole runs, without the time that other programs took.
        kernel_sum_us: microseconds of all kernels together by the clock, the median of the
            profiled runs.
        share: share of their time on the clock for which the profiled runs had the processor; 1
            where nothing disturbed them.
        nodes: microseconds of each original node (all of its kernels), without the time that other
            programs took; 0 for a node that was fused into another one or folded.
        absorbed: original node that was fused into another one to the original node that does its
            work.
        kernels: original node to the operators that ran for it, such as "Conv+ReorderInput".
        companion_us: median microseconds of the call that ran in turns with the graph; 0 without
            one.
        alone: whether nodes were timed one by one, or not at all: only the proportions of their
            times hold, roughly.
    """

    latency: Latency
    kernel_sum_us: float
    share: float
    nodes: dict[str, float]
    absorbed: dict[str, str]
    kernels: dict[str, str]
    companion_us: float
    alone: bool = False


def measure_nodes(
    run: onnx.ModelProto,
    original: Iterable[str],
    device: Device,
    timing: Timing | None = None,
    *,
    unprofiled: bool = False,
    alone: bool = True,
    companion: Call | None = None,
) -> NodeTimes:
    """Profile a graph at full optimisation and charge its kernels to the original nodes.

    Where the provider hides its kernels, layers are timed one by one (`NodeTimes.alone`).

    Args:
        run: the graph to run: the original one, sliced, rewritten or both.
        original: names of the original nodes; see `decig.device.measure.attribution.attribute`.
        device: the device.
        timing: how long; the defaults of `Timing` where None.
        unprofiled: take the latency from a second session without the profiler, which runs in
            turns with the first; else from the profile.
        alone: where the provider hides its kernels, whether to time the layers one by one.
        companion: a call to run in turns with the graph, which shows the machine's pace.

    Raises:
        BadInputError, DecigError: as for `Device.open`.
    """
    original, timing = list(original), timing or Timing()
    beside = {} if companion is None else {_COMPANION: companion}
    if device.opaque:
        as_whole = _measure_whole(run, device, timing, beside)
        return _add_layers(as_whole, run, original, device) if alone else as_whole
    with tempfile.TemporaryDirectory(prefix="decig-") as name:
        folder = Path(name)
        session = device.open(
            run, profile_prefix=folder / "profile", optimised_path=folder / "optimised.onnx"
        )
        feeds = random_feeds(session)
        profiled = _ObservedRun(device.prepare(session, feeds), device)
        calls: dict[str, Call] = {"profiled": profiled}
        if unprofiled:
            calls["plain"] = device.undisturbed(device.prepare(device.open(run), feeds))
        timed = measure_interleaved(calls | beside, timing)
        profile = Path(session.end_profiling())
        times, whole = kernel_times(profile, skip_runs=timing.warm_up)
        optimised = onnx.load(folder / "optimised.onnx", load_external_data=False)
    attribution = attribute(original, run, optimised)
    times = {kernel: us for kernel, us in times.items() if kernel in attribution.owner}
    share = np.array(profiled.shares)
    own = share if device.tells_disturbance else np.ones_like(share)
    charged = attribution.charge(quiet_times(times, whole, own))
    return NodeTimes(
        timed.get("plain") or Latency.from_samples(whole * own),
        float(np.median(np.sum(list(times.values()), axis=0))),
        float(np.median(share)),
        {name: charged.get(name, 0.0) for name in original},
        attribution.absorbed,
        _operators(original, attribution, optimised),
        _companion_us(timed),
    )


def _measure_whole(
    run: onnx.ModelProto, device: Device, timing: Timing, beside: dict[str, Call]
) -> NodeTimes:
    """Time a graph whose nodes cannot be seen."""
    session = device.open(run)
    call = _ObservedRun(device.prepare(session, random_feeds(session)), device)
    timed = measure_interleaved({"whole": call} | beside, timing)
    whole, share = timed["whole"], float(np.median(call.shares))
    latency = whole.scaled(share if device.tells_disturbance else 1.0)
    return NodeTimes(latency, 0.0, share, {}, {}, {}, _companion_us(timed), alone=True)


def _add_layers(
    whole: NodeTimes, run: onnx.ModelProto, original: list[str], device: Device
) -> NodeTimes:
    """Add the times of the layers, measured one by one, to the time of the whole graph."""
    attribution = attribute(original, run, run)
    owner = attribution.owner
    layers = time_layers(run, owner, device)
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


def _companion_us(timed: dict[str, Latency]) -> float:
    return timed[_COMPANION].median if _COMPANION in timed else 0.0


class _ObservedRun:
    """A run that notes for which share of each timed run it had the processor.

    Attributes:
        shares: shares of the timed runs, in order.
    """

    def __init__(self, run: Call, device: Device) -> None:
        self._run, self._device = run, device
        self.shares: list[float] = []

    def __call__(self) -> object:
        """Run once, untimed."""
        return self._run()

    def time_us(self) -> float:
        """Run once, note the share, and return the microseconds of the clock."""
        us, share = self._device.observe(self._run)
        self.shares.append(share)
        return us


def _operators(
    original: list[str], attribution: Attribution, optimised: onnx.ModelProto
) -> dict[str, str]:
    """Operators that ran for each original node, in the order of the alphabet."""
    used: dict[str, set[str]] = {name: set() for name in original}
    for node in optimised.graph.node:
        if node.name in attribution.owner:
            used[attribution.owner[node.name]].add(node.op_type)
    return {name: "+".join(sorted(operators)) for name, operators in used.items()}
