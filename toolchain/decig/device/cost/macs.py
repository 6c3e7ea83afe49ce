"""Multiply-accumulates at any widths: what is planned by where no device is named.

They follow from the graph alone, so nothing has to be measured for them. They say little of how
long a model takes: stairs of kernels, memory and launches are not in them.
"""

from collections.abc import Iterator, Mapping
from functools import partial

import numpy as np
import onnx

from decig.device.cost.terms import LatencyTerm
from decig.graph.channels import ChannelMap
from decig.graph.cost import count
from decig.graph.flow import attributes
from decig.graph.plan import FLOOR

MACS_PER_MS = 1_000_000
"""Multiply-accumulates that stand where a predictor of latency has a millisecond."""
_WIDTHS, _EVERY = 64, 16
"""Widths of a group that plans may take, about so many evenly spaced, and all below the second."""
_ROUNDING = 1e-6
"""Channels by which a product of shares may miss a whole number."""


class MacsPredictor:
    """Stands where `decig.device.cost.predict.Predictor` does; see `MACS_PER_MS` for its unit.

    Attributes:
        groups: channels of every group; the order of the columns of `predict_many`.
        candidates: widths of each group that plans may take, ascending; the last one is the whole
            group. There are no stairs to multiply-accumulates, so these are evenly spaced.
        baseline_ms: millions of multiply-accumulates of the whole model.
        by_node: multiply-accumulates of each node of the whole model that has any.
    """

    def __init__(self, proto: onnx.ModelProto, channels: ChannelMap) -> None:
        """Count the whole model.

        Args:
            proto: its graph, with inferred shapes.
            channels: its channel groups.
        """
        self.groups = {group.name: group.channels for group in channels.prunable}
        self.candidates = {name: _spaced(full) for name, full in self.groups.items()}
        self.by_node: Mapping[str, int] = count(proto).by_node
        self._full = np.array(list(self.groups.values()), float)
        grouped = {n.name for n in proto.graph.node if attributes(n).get("group", 1) != 1}
        nodes = [name for name in self.by_node if name in channels.ports]
        self._macs = np.array([self.by_node[name] for name in nodes], float)
        self._constant = float(sum(self.by_node.values()) - self._macs.sum())
        self._dense = np.array([name not in grouped for name in nodes], bool)
        self._sides = [self._side(channels, nodes, side) for side in (0, 1)]
        self.baseline_ms = self.predict_ms(self.groups)

    def _side(
        self, channels: ChannelMap, nodes: list[str], side: int
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Channels of nodes on one side: of each group [groups, nodes], fixed, and all, [nodes]."""
        ports = [channels.ports[name][side] for name in nodes]
        shape = (len(self.groups), len(nodes))
        reach = np.array([[p.groups.get(g, 0) for p in ports] for g in self.groups], float)
        reach = reach.reshape(shape)
        whole = np.array([p.fixed + sum(p.groups.values()) for p in ports], float)
        return reach, whole - reach.sum(axis=0), whole

    def predict_ms(self, widths: Mapping[str, int]) -> float:
        """Millions of multiply-accumulates; groups that `widths` leaves out keep all channels."""
        row = [widths.get(name, full) for name, full in self.groups.items()]
        return float(self.predict_many(np.array([row]))[0]) / 1000.0

    def predict_many(self, widths: np.ndarray) -> np.ndarray:
        """Thousands of multiply-accumulates, [plans], of widths [plans, groups]."""
        share = widths / self._full
        x, y = (_whole(share @ reach + fixed) / all_ for reach, fixed, all_ in self._sides)
        macs = (np.where(self._dense, x, 1.0) * y) @ self._macs + self._constant
        result: np.ndarray = macs / (MACS_PER_MS / 1000)
        return result

    def terms(self) -> Iterator[LatencyTerm]:
        """Yield `predict_many` as a sum over nodes, each of which depends on few groups."""
        for node, macs in enumerate(self._macs):
            sides = [
                (reach[:, node] / self._full, fixed[node], all_[node])
                for reach, fixed, all_ in self._sides
            ]
            at = np.flatnonzero(sides[0][0] + sides[1][0])
            own = [(reach[at], fixed, all_) for reach, fixed, all_ in sides]
            cost = partial(_of_node, own, bool(self._dense[node]), macs / (MACS_PER_MS / 1000))
            yield LatencyTerm(tuple(map(int, at)), cost)
        constant = self._constant / (MACS_PER_MS / 1000)
        yield LatencyTerm((), lambda widths: np.full(len(widths), constant))


def _of_node(
    sides: list[tuple[np.ndarray, float, float]], dense: bool, cost: float, widths: np.ndarray
) -> np.ndarray:
    x, y = (_whole(widths @ reach + fixed) / all_ for reach, fixed, all_ in sides)
    found: np.ndarray = (x if dense else 1.0) * y * cost
    return found


def _whole(channels: np.ndarray) -> np.ndarray:
    """Whole numbers of channels: half a channel is none."""
    result: np.ndarray = np.floor(channels + _ROUNDING)
    return result


def _spaced(full: int) -> list[int]:
    step = max(1, full // _WIDTHS)
    narrowest = min(FLOOR, full)
    spaced = {*range(narrowest, min(_EVERY, full)), *range(step, full, step), full}
    return sorted(width for width in spaced if width >= narrowest)
