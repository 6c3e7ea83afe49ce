"""Slimmer versions of a model, measured on this machine as they would be deployed."""

import logging
import time
from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import Any, Protocol

import onnx

from decig.device.cost.table import CostTable
from decig.device.measure.nodes import measure_nodes
from decig.device.measure.pace import latency_at_pace
from decig.device.measure.rewriting import choose_rewrites, timed_run
from decig.device.measure.roofline import compare, measure_roofline
from decig.device.run.device import Device
from decig.device.run.runs import UndisturbedRun
from decig.device.run.timing import Latency, Timing
from decig.graph import rewrite
from decig.graph.cost import count
from decig.graph.model import Model

_log = logging.getLogger(__name__)

PAUSE_SECONDS = 5.0
"""How long to wait before a plan is measured again: other work may have ended."""
_NODES = Timing(min_runs=4, max_runs=30, max_seconds=0.5, firm=0.005)
"""How long the nodes of a plan are timed."""
_REWRITES = Timing(min_runs=5, max_seconds=1.0)
"""How long rewrites of a plan are compared: a plan is one of several, and `decig export` compares
those of the result for longer."""
_ALIKE = 1.25
"""Ratio of multiply-accumulates up to which the same rewrites are taken to pay in two graphs."""


class Bench(Protocol):
    """Measures slimmer versions of one model on one device."""

    @property
    def learns(self) -> bool:
        """Whether `node_us` may be asked, so that prediction can learn from a measured plan."""
        ...

    @property
    def doubts(self) -> Sequence[str]:
        """Why latencies that were measured so far may be off, one line each."""
        ...

    def rewrites(self, proto: onnx.ModelProto) -> tuple[str, ...]:
        """Names of the exact rewrites with which a sliced graph would be deployed."""
        ...

    def latency(self, proto: onnx.ModelProto) -> Latency:
        """Latency of a sliced graph as it would be deployed."""
        ...

    def file_latency(self, written: onnx.ModelProto, sized: onnx.ModelProto) -> Latency:
        """Latency of a sliced graph as it is in a file, without rewrites.

        Args:
            written: the graph, which may have dynamic axes.
            sized: the same graph at the size of the cost table.
        """
        ...

    def pause(self) -> None:
        """Wait until whatever disturbed a measurement may have passed."""
        ...

    def node_us(self, proto: onnx.ModelProto) -> Mapping[str, float]:
        """Microseconds of each original node in a sliced graph, at any pace of the machine.

        Empty where the provider hides its kernels and only whole graphs can be timed.
        """
        ...

    def roofline(self, proto: onnx.ModelProto) -> dict[str, Any] | None:
        """Model and sliced graph next to the limits of the device; None without known limits."""
        ...


class DeployedBench:
    """Measures sliced graphs here, with the exact rewrites that pay in them.

    Attributes:
        doubts: why latencies that were measured so far may be off, one line each.
    """

    def __init__(self, table: CostTable, model: Model) -> None:
        """Prepare; nothing is measured yet.

        Args:
            table: taken of the model on this machine (`Device.elsewhere` gives None).
            model: the whole model.
        """
        self._table, self._model = table, model
        self._device = Device.described_by(table.device)
        self._paying = [(count(model.proto).macs, table.rewrites)]
        self.doubts: list[str] = []

    @property
    def learns(self) -> bool:
        """Whether the table's nodes were measured by the method that `node_us` uses."""
        return self._table.timed_alone or not self._device.opaque

    def rewrites(self, proto: onnx.ModelProto) -> tuple[str, ...]:
        """Names of the exact rewrites that pay in a sliced graph, as `decig export` chooses them.

        At other widths than the model's, others may pay. They are measured once for graphs of
        about the same work: plans for one latency are alike.
        """
        macs = count(proto).macs
        apart = [max(macs, work) / max(1, min(macs, work)) for work, _ in self._paying]
        if min(apart) <= _ALIKE:
            return self._paying[apart.index(min(apart))][1]
        known = self._table.rewrites
        kept = choose_rewrites(proto, self._device, known=known, timing=_REWRITES).kept
        rules = (*(rule for rule in known if rule not in rewrite.DEVICE), *kept)
        self._paying.append((macs, rules))
        return rules

    def latency(self, proto: onnx.ModelProto) -> Latency:
        """Latency of a sliced graph, timed between runs of the whole model.

        Whatever else the machine does slows both, so the result holds at the table's pace.
        """
        slim = timed_run(self._deployed(proto), self._device)
        return self._at_pace(slim)

    def file_latency(self, written: onnx.ModelProto, sized: onnx.ModelProto) -> Latency:
        """Latency of a sliced graph as it is in a file, timed like `latency`."""
        run = timed_run(written, self._device, sized)
        return self._at_pace(run)

    def _at_pace(self, run: UndisturbedRun) -> Latency:
        whole_us = self._table.latency_us.median
        return latency_at_pace(run, self._whole, whole_us, off_pace=self._doubt)

    def _doubt(self, times: float) -> None:
        """Note that the machine was at another pace than the table's; said once."""
        if not self.doubts:
            self.doubts.append(
                f"while plans were measured, the machine was {times:.1f} times off the pace at "
                "which the cost table was taken: measured latencies are estimates; profile MODEL "
                "anew if it stays so"
            )
            _log.warning("%s", self.doubts[0])

    def pause(self) -> None:
        """Wait for `PAUSE_SECONDS`."""
        time.sleep(PAUSE_SECONDS)

    def node_us(self, proto: onnx.ModelProto) -> dict[str, float]:
        """Microseconds of each original node; empty where the provider hides its kernels.

        There the nodes of the table were timed one by one, which takes too long for every plan.
        """
        if self._device.opaque:
            return {}
        original = [node.name for node in self._model.proto.graph.node]
        return measure_nodes(self._deployed(proto), original, self._device, _NODES).nodes

    def roofline(self, proto: onnx.ModelProto) -> dict[str, Any] | None:
        """Both graphs under the roof of the device (`decig.device.measure.roofline.compare`)."""
        whole = self._table.roofline
        if whole is None:
            return None
        slim = self._deployed(proto)
        return compare(whole, measure_roofline(proto, slim, self._device, whole.limits))

    def _deployed(self, proto: onnx.ModelProto) -> onnx.ModelProto:
        return rewrite.apply(proto, self.rewrites(proto))[0]

    @cached_property
    def _whole(self) -> UndisturbedRun:
        """Runs the whole model. It is opened when needed: a plan by shares is not measured."""
        return timed_run(self._deployed(self._model.proto), self._device)
