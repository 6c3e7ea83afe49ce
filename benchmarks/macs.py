"""Multiply-accumulates as the cost of widths: what planning without a device goes by."""

from collections.abc import Iterator
from functools import partial

import numpy as np
import onnx

from decig.device.cost.table import CostTable
from decig.device.cost.terms import LatencyTerm
from decig.graph.cost import count
from decig.graph.flow import attributes
from decig.graph.plan import FLOOR

_WIDTHS, _EVERY = 64, 16


class MacsCost:
    """Stands where `decig.device.cost.predict.Predictor` does; a multiply-accumulate is its time.

    Attributes:
        groups: channels of every group.
        candidates: 64 widths of each group, evenly spaced, with all below 16: there are no stairs
            to multiply-accumulates.
        baseline_ms: of the whole model, as the table has it.
    """

    def __init__(self, proto: onnx.ModelProto, table: CostTable) -> None:
        self.groups = dict(table.groups)
        self.candidates = {name: _any_width(full) for name, full in self.groups.items()}
        self.baseline_ms = table.latency_us.median_ms
        self._full = np.array(list(self.groups.values()), float)
        macs = count(proto).by_node
        grouped = {n.name for n in proto.graph.node if attributes(n).get("group", 1) != 1}
        nodes = [node for node in table.nodes if node.name in macs and node.ports]
        self._macs = np.array([macs[node.name] for node in nodes], float)
        self._constant = float(sum(macs.values()) - self._macs.sum())
        self._dense = np.array([node.name not in grouped for node in nodes])
        self._sides = []
        for side in (0, 1):
            ports = [node.ports[side] for node in nodes]
            reach = np.array([[p.groups.get(name, 0) for p in ports] for name in self.groups])
            fixed = np.array([p.fixed for p in ports])
            whole = reach.sum(axis=0) + fixed
            self._sides.append((reach / whole, fixed / whole))
        self._us = 1.0
        self.calibrate(self.groups, self.baseline_ms)

    def terms(self) -> Iterator[LatencyTerm]:
        """Yield `predict_many` as a sum over nodes."""
        for node, macs in enumerate(self._macs):
            sides = [(reach[:, node] / self._full, fixed[node]) for reach, fixed in self._sides]
            at = np.flatnonzero(sides[0][0] + sides[1][0])
            own = [(reach[at], fixed) for reach, fixed in sides]
            yield LatencyTerm(
                tuple(map(int, at)), partial(self._own_us, own, node, macs * self._us)
            )
        yield LatencyTerm((), lambda widths: np.full(len(widths), self._constant * self._us))

    def _own_us(
        self, sides: list[tuple[np.ndarray, float]], node: int, us: float, widths: np.ndarray
    ) -> np.ndarray:
        x, y = (widths @ reach + fixed for reach, fixed in sides)
        found: np.ndarray = (x if self._dense[node] else 1.0) * y * us
        return found

    def calibrate(self, widths: dict[str, int], measured_ms: float) -> None:
        """Say how long a plan took, so that the next one is looked for from there."""
        self._us *= measured_ms / self.predict_ms(widths)

    def predict_ms(self, widths: dict[str, int]) -> float:
        """Multiply-accumulates of widths in what has been measured of them, ms."""
        return float(self.predict_many(np.array([[widths[n] for n in self.groups]]))[0]) / 1000.0

    def predict_many(self, widths: np.ndarray) -> np.ndarray:
        """The same, in microseconds, of many plans [plans, groups]: [plans]."""
        share = widths / self._full
        x, y = (share @ reach + fixed for reach, fixed in self._sides)
        result: np.ndarray = (np.where(self._dense, x, 1.0) * y) @ self._macs + self._constant
        return result * self._us


def _any_width(full: int) -> list[int]:
    step = max(1, full // _WIDTHS)
    narrowest = min(FLOOR, full)
    spaced = {*range(narrowest, min(_EVERY, full)), *range(step, full, step), full}
    return sorted(width for width in spaced if width >= narrowest)
