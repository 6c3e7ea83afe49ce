"""Predicted latency of a model at widths that were never measured."""

from collections import defaultdict
from collections.abc import Callable, Iterator
from functools import cached_property, partial
from operator import attrgetter

import numpy as np
from scipy.optimize import nnls

from decig.device.cost.surface import Surface
from decig.device.cost.table import CostTable, NodeCost, Widths
from decig.device.cost.terms import LatencyTerm
from decig.device.cost.whole_graphs import KindInPlans, WholeGraphCorrection
from decig.errors import BadInputError
from decig.graph.channels import Port
from decig.graph.plan import FLOOR

_NO_CHANNELS = Port({}, 1)
"""Port of a node without channels: its cost depends on no group."""
_FINE = 128
"""How many widths of a group are looked at, about."""
_BLOCK = 16
"""Channels that kernels work on at a time, at most."""
_AT_ONCE = 4_000
"""Points of a surface that are worked out together; each is compared with all measured ones."""
_WORTH = 0.999
"""A width is worth planning with if it takes less than this share of any wider one's time."""
_RIDGE = 1e-4
"""Pull of the constant towards zero, as a share of that of all points together."""
_ROUNDING = 1e-6
"""Channels by which a product of shares may miss a whole number."""
_CONTEXTS = (1.0, 0.5, 0.25, 0.125, 0.0)
"""Shares of the other groups, down to the floor; a width must be worth planning with at one."""


class Predictor:
    """Latency over the widths of a model's channel groups, from the sweep of its cost table.

    Nodes with one signature share a cost surface (`decig.device.cost.surface`), fitted to the costs
    of all of them at all swept widths. The latency of the model is

        us = a * (sum of its nodes) + b,        a, b >= 0

    with a and b fitted to the swept latencies (b is spent between the nodes), and all of it scaled
    so that the model at full width takes what was measured. Where nodes were timed alone, the
    latencies also correct the surfaces (`decig.device.cost.whole_graphs`).

    Attributes:
        groups: channels of every group; the order of the columns of `predict_many`.
        baseline_ms: measured latency of the whole model.
        scale: factor of the sweep's latencies with which the whole model takes that long.
    """

    def __init__(self, table: CostTable) -> None:
        """Fit the surfaces.

        Args:
            table: a table with a sweep.

        Raises:
            BadInputError: the table has no sweep.
        """
        if not any(point.nodes for point in table.sweep):
            raise BadInputError("the cost table has no width sweep; profile the model again")
        self.groups = dict(table.groups)
        self.baseline_ms = table.latency_us.median_ms
        self._full = np.array(list(table.groups.values()), float)
        self._kinds = _fit_kinds(table)
        self.scale = 1.0
        self._whole_graphs = self._fit_whole_graphs(table) if table.timed_alone else None
        if not table.timed_alone:
            self._slope, self._between = _fit_total(_summed_nodes(table), _latencies(table))
        self.scale = table.latency_us.median / float(self.predict_many(self._full[None])[0])

    def predict_ms(self, widths: Widths) -> float:
        """Predicted milliseconds; groups that `widths` leaves out keep all their channels."""
        row = [widths.get(name, full) for name, full in self.groups.items()]
        return float(self.predict_many(np.array([row]))[0]) / 1000.0

    def predict_many(self, widths: np.ndarray) -> np.ndarray:
        """Predicted microseconds of many plans at once.

        Args:
            widths: [plans, groups], in the order of `groups`.

        Returns:
            Microseconds, [plans].
        """
        kernels = self._kernels(widths / self._full)
        result: np.ndarray = (self._slope * kernels + self._between) * self.scale
        return result

    def node_us(self, widths: Widths) -> dict[str, float]:
        """Predicted microseconds of every node that takes time; widths as for `predict_ms`.

        What is spent between the nodes belongs to none of them.
        """
        row = np.array([[widths.get(name, full) for name, full in self.groups.items()]])
        factor = self._slope * self.scale
        return {
            name: float(us * factor)
            for kind in self._kinds
            for name, us in zip(kind.names, kind.spent(row / self._full)[0], strict=True)
        }

    def terms(self) -> Iterator[LatencyTerm]:
        """Yield `predict_many` as a sum over nodes, each of which depends on few groups."""
        factor = self._slope * self.scale
        for kind in self._kinds:
            yield from kind.terms(self._full, factor)
        yield LatencyTerm((), lambda widths: np.full(len(widths), self._between * self.scale))

    def doubt(self, widths: np.ndarray) -> np.ndarray:
        """Standard deviation of predictions, as a share of them.

        Nodes of one signature err together, those of different signatures independently. Where
        nodes were timed alone, it is the doubt that the latencies of whole graphs leave.

        Args:
            widths: [plans, groups], in the order of `groups`.

        Returns:
            Shares, [plans].
        """
        share = widths / self._full
        if self._whole_graphs is not None:
            return self._whole_graphs.doubt(self._in_plans(share))
        variance = sum((kind.error(share) ** 2 for kind in self._kinds), np.zeros(len(share)))
        result: np.ndarray = (
            np.sqrt(variance) * self._slope * self.scale / self.predict_many(widths)
        )
        return result

    def _fit_whole_graphs(self, table: CostTable) -> WholeGraphCorrection:
        """Fit slope, constant and whatever else the swept latencies say; correct the surfaces."""
        rows = [[p.widths.get(name, n) for name, n in self.groups.items()] for p in table.sweep]
        share, latency = np.array(rows) / self._full, _latencies(table)
        self._slope, self._between = _fit_total(self._kernels(share), latency)
        errors = latency * [point.latency_us.uncertainty for point in table.sweep]
        correction = WholeGraphCorrection(self._in_plans(share), self._between, latency, errors)
        for index, kind in enumerate(self._kinds):
            kind.correct(partial(correction.factor, index))
        return correction

    def _kernels(self, share: np.ndarray) -> np.ndarray:
        """Sum of the nodes, [plans], for kept shares [plans, groups]."""
        return sum((kind.spent(share).sum(axis=1) for kind in self._kinds), np.zeros(len(share)))

    def _in_plans(self, share: np.ndarray) -> list[KindInPlans]:
        """The nodes of each kind in plans; their times are not scaled to the whole model's yet."""
        return [kind.in_plans(share, self._slope) for kind in self._kinds]

    @cached_property
    def candidates(self) -> dict[str, list[int]]:
        """Widths of each group worth planning with, ascending; the last one is the whole group.

        Of wide groups only every second to sixteenth width is looked at (`_looked_at`). A width is
        left out where a wider group would not cost more: inside a stair.
        """
        return {name: self._stair_ends(index) for index, name in enumerate(self.groups)}

    def _stair_ends(self, index: int) -> list[int]:
        full = int(self._full[index])
        widths = sorted({min(FLOOR, full), *_looked_at(full), full})
        worth = np.zeros(len(widths), bool)
        for share in _CONTEXTS:
            others = np.maximum(np.ceil(self._full * share), np.minimum(FLOOR, self._full))
            plans = np.tile(others, (len(widths), 1))
            plans[:, index] = widths
            cost = self.predict_many(plans)
            cheapest_wider = np.minimum.accumulate(cost[::-1])[::-1][1:]
            worth[:-1] |= cost[:-1] < cheapest_wider * _WORTH
        worth[-1] = True
        return [width for width, keep in zip(widths, worth, strict=True) if keep]


class _Kind:
    """All nodes of one signature.

    Attributes:
        names: of the nodes.
    """

    def __init__(self, nodes: list[NodeCost], surface: Surface, groups: list[str]) -> None:
        self.names = [node.name for node in nodes]
        self._surface = surface
        self._sides = []
        for side in (0, 1):
            ports = [node.ports[side] if node.ports else _NO_CHANNELS for node in nodes]
            reach = np.array([[port.groups.get(name, 0) for port in ports] for name in groups])
            self._sides.append((reach, np.array([port.fixed for port in ports])))
        self._most = [int((reach.sum(axis=0) + fixed).max()) + 1 for reach, fixed in self._sides]
        self.correct(lambda x, y: np.ones(x.shape))

    def correct(self, factor: Callable[[np.ndarray, np.ndarray], np.ndarray]) -> None:
        """Multiply the surface by `factor`, a function of input and output channels."""
        self._correction = factor
        # Costs that were worked out once: planning asks for the same few widths again and again.
        self._known = np.full(self._most, np.nan, np.float32)

    def in_plans(self, share: np.ndarray, slope: float) -> KindInPlans:
        """The nodes in plans [plans, groups] of kept shares; their microseconds times `slope`."""
        x, y = self._channels(share)
        return KindInPlans(x, y, slope * self.at(x, y))

    def spent(self, share: np.ndarray) -> np.ndarray:
        """Microseconds, [plans, nodes], for kept shares [plans, groups]."""
        return self.at(*self._channels(share))

    def terms(self, full: np.ndarray, factor: float) -> Iterator[LatencyTerm]:
        """Yield the nodes, their time multiplied; `full` has the channels of every group."""
        sides = [(reach / full[:, None], fixed) for reach, fixed in self._sides]
        for node in range(len(sides[0][1])):
            at = np.flatnonzero(sides[0][0][:, node] + sides[1][0][:, node])
            own = [(reach[at, node], fixed[node]) for reach, fixed in sides]
            yield LatencyTerm(tuple(map(int, at)), partial(self._own_us, own, factor))

    def _own_us(
        self, sides: list[tuple[np.ndarray, float]], factor: float, widths: np.ndarray
    ) -> np.ndarray:
        x, y = (_whole(widths @ reach + fixed) for reach, fixed in sides)
        return factor * self.at(x, y)

    def error(self, share: np.ndarray) -> np.ndarray:
        """Standard deviation of the sum of `spent`, [plans]."""
        x, y = self._channels(share)
        doubt = self._surface.doubt(x.ravel(), y.ravel()).reshape(x.shape)
        result: np.ndarray = (self.at(x, y) * doubt).sum(axis=1)
        return result

    def at(self, x: np.ndarray, y: np.ndarray) -> np.ndarray:
        """Microseconds at whole numbers of channels."""
        missing = np.isnan(self._known[x, y])
        if missing.any():
            places = np.unique(np.ravel_multi_index((x[missing], y[missing]), self._known.shape))
            for some in np.array_split(places, len(places) // _AT_ONCE + 1):
                fresh = np.unravel_index(some, self._known.shape)
                self._known[fresh] = self._surface(*fresh) * self._correction(*fresh)
        result: np.ndarray = self._known[x, y].astype(float)
        return result

    def _channels(self, share: np.ndarray) -> Iterator[np.ndarray]:
        return (_whole(share @ reach + fixed) for reach, fixed in self._sides)


def _whole(channels: np.ndarray) -> np.ndarray:
    """Whole numbers of channels, as `Port.width` counts them: half a channel is none.

    A product of floats may come out just below the whole number that it stands for.
    """
    result: np.ndarray = np.floor(channels + _ROUNDING).astype(int)
    return result


def _fit_kinds(table: CostTable) -> list[_Kind]:
    """Fit one surface for each signature that has kernels anywhere in the sweep."""
    alike: dict[str, list[NodeCost]] = defaultdict(list)
    for node in table.nodes:
        alike[node.signature].append(node)
    kinds = []
    for nodes in alike.values():
        rows = []
        for node in nodes:
            ports = node.ports or (_NO_CHANNELS, _NO_CHANNELS)
            for point in filter(attrgetter("nodes"), table.sweep):
                x, y = (port.width(point.widths, table.groups) for port in ports)
                rows.append((x, y, point.nodes.get(node.name, 0.0)))
        x, y, us = np.array(rows, float).T
        if us.any():
            kinds.append(_Kind(nodes, Surface(x, y, us), list(table.groups)))
    return kinds


def _summed_nodes(table: CostTable) -> np.ndarray:
    return np.array([sum(point.nodes.values()) for point in table.sweep])


def _latencies(table: CostTable) -> np.ndarray:
    return np.array([point.latency_us.median for point in table.sweep])


def _fit_total(nodes: np.ndarray, latency: np.ndarray) -> tuple[float, float]:
    """Slope and constant from the sum of a point's nodes to its latency, by relative error.

    The constant is held towards zero, so slightly that it shows only where the points do not tell
    the two apart, as a single one does: all of the time is then the nodes'.
    """
    least = latency.min()
    rows = np.stack([nodes / latency, least / latency], axis=1)
    ridge = [0.0, _RIDGE * len(rows) ** 0.5]
    (slope, between), _ = nnls(np.vstack([rows, ridge]), np.append(np.ones(len(rows)), 0.0))
    return float(slope), float(between * least)


def _looked_at(full: int) -> range:
    """Widths below that of a group among which stairs are looked for.

    Steps are powers of two up to 16, so that whatever the number of channels is, multiples of 16
    are among the widths: kernels work on 4, 8 or 16 channels at a time, and stairs end there.
    """
    step = 1
    while step < min(full // _FINE, _BLOCK):
        step *= 2
    return range(max(FLOOR, step), full, step)
