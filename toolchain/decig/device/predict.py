"""Predicted latency of a model at widths that were never measured."""

from collections import defaultdict
from collections.abc import Callable, Mapping
from functools import cached_property

import numpy as np

from decig.device.surface import Mixture, Shape, Surface, fit_surface
from decig.device.sweep import FLOOR
from decig.device.table import CostTable, NodeCost
from decig.errors import BadInputError
from decig.graph.channels import Port

_NO_CHANNELS = Port({}, 1)
_ALIGN = 4
_WORTH = 0.999
# Shares of the other groups at which a width must pay off to be worth planning with.
_CONTEXTS = (1.0, 0.5, 0.25)


class Predictor:
    """Latency over the widths of a model's channel groups, from the sweep of its cost table.

    Nodes with one signature share a cost surface (`decig.device.surface`), fitted to what all of
    them cost at all swept widths. The model is the sum of its nodes, calibrated so that the whole
    of it takes what was measured without the profiler.

    Attributes:
        groups: channels of every group; the order of the columns of `predict_many`.
        baseline_ms: measured latency of the whole model.
    """

    def __init__(self, table: CostTable) -> None:
        """Fit the surfaces.

        Raises:
            BadInputError: the table has no sweep.
        """
        if not table.sweep:
            raise BadInputError("the cost table has no width sweep; profile the model again")
        self.groups = dict(table.groups)
        self.baseline_ms = table.latency_us.median_ms
        self._full = np.array(list(table.groups.values()), float)
        self._surfaces = _fit_surfaces(table)
        nodes = [node for node in table.nodes if node.signature in self._surfaces]
        self._signature = {node.name: node.signature for node in nodes}
        self._batches = [
            _Batch(members, self._surfaces, list(self.groups))
            for members in self._alike(nodes).values()
        ]
        self._scale = 1.0
        self._scale = table.latency_us.median / float(self.predict_many(self._full[None])[0])

    def node_us(self, name: str, incoming: int, outgoing: int) -> float:
        """Predicted microseconds of a node at these channel counts; 0 for one without kernels."""
        if name not in self._signature:
            return 0.0
        surface = self._surfaces[self._signature[name]]
        at = np.array([[incoming], [outgoing]], float)
        return float(surface(*at)[0]) * self._scale

    def predict_ms(self, widths: Mapping[str, int]) -> float:
        """Predicted milliseconds; groups that `widths` leaves out keep all their channels."""
        row = [widths.get(name, full) for name, full in self.groups.items()]
        return float(self.predict_many(np.array([row]))[0]) / 1000.0

    def predict_many(self, widths: np.ndarray) -> np.ndarray:
        """Predicted microseconds of many plans at once.

        Args:
            widths: [plans, groups], in the order of `groups`.

        Returns:
            [plans].
        """
        share = widths / self._full
        total: np.ndarray = np.sum([batch.spent(share) for batch in self._batches], axis=0)
        return total * self._scale

    @cached_property
    def candidates(self) -> dict[str, list[int]]:
        """Widths of each group worth planning with, ascending; the last is the whole group.

        Left out is what a wider group would not cost more than: the inside of a stair.
        """
        return {name: self._stair_ends(index) for index, name in enumerate(self.groups)}

    def _alike(self, nodes: list[NodeCost]) -> dict[Shape | Mixture, list[NodeCost]]:
        """Nodes that can be evaluated together: surfaces of one shape, or one mixture."""
        batches: dict[Shape | Mixture, list[NodeCost]] = defaultdict(list)
        for node in nodes:
            surface = self._surfaces[node.signature]
            batches[surface if isinstance(surface, Mixture) else surface.shape].append(node)
        return batches

    def _stair_ends(self, index: int) -> list[int]:
        full = int(self._full[index])
        widths = sorted({*range(FLOOR, full, _ALIGN), full})
        worth = np.zeros(len(widths), bool)
        for share in _CONTEXTS:
            plans = np.tile(np.ceil(self._full * share), (len(widths), 1))
            plans[:, index] = widths
            cost = self.predict_many(plans)
            cheapest_wider = np.minimum.accumulate(cost[::-1])[::-1][1:]
            worth[:-1] |= cost[:-1] < cheapest_wider * _WORTH
        worth[-1] = True
        return [width for width, keep in zip(widths, worth, strict=True) if keep]


class _Batch:
    """Nodes that are evaluated together: one array operation a batch, not a node."""

    def __init__(
        self, nodes: list[NodeCost], surfaces: Mapping[str, Surface | Mixture], groups: list[str]
    ) -> None:
        self._cost = _together([surfaces[node.signature] for node in nodes])
        self._sides = []
        for side in (0, 1):
            ports = [node.ports[side] if node.ports else _NO_CHANNELS for node in nodes]
            reach = np.array([[port.groups.get(name, 0) for port in ports] for name in groups])
            self._sides.append((reach, np.array([port.fixed for port in ports])))

    def spent(self, share: np.ndarray) -> np.ndarray:
        """Microseconds of all nodes together, [plans], for kept shares [plans, groups]."""
        x, y = (np.rint(share @ reach + fixed) for reach, fixed in self._sides)
        return self._cost(x, y)


def _together(surfaces: list[Surface | Mixture]) -> Callable[[np.ndarray, np.ndarray], np.ndarray]:
    """Cost of many nodes, [plans], at widths [plans, nodes]; all of one mixture or one shape."""
    first = surfaces[0]
    if isinstance(first, Mixture):
        return lambda x, y: first(x, y).sum(axis=1)
    weights = np.stack([s.weights for s in surfaces if isinstance(s, Surface)])
    return lambda x, y: np.einsum("pnf,nf->p", first.shape.features(x, y), weights)


def _fit_surfaces(table: CostTable) -> dict[str, Surface | Mixture]:
    """Fit one surface for each signature that has kernels anywhere in the sweep."""
    points: dict[str, list[tuple[float, float, float]]] = defaultdict(list)
    variants: dict[str, list[str]] = defaultdict(list)
    for node in table.nodes:
        incoming, outgoing = node.ports or (_NO_CHANNELS, _NO_CHANNELS)
        for point in table.sweep:
            x, y = (port.width(point.widths, table.groups) for port in (incoming, outgoing))
            points[node.signature].append((x, y, point.nodes.get(node.name, 0.0)))
            variants[node.signature].append(point.variants.get(node.name, ""))
    surfaces: dict[str, Surface | Mixture] = {}
    for signature, rows in points.items():
        x, y, us = np.array(rows).T
        if len(set(variants[signature])) > 1:
            surfaces[signature] = Mixture(x, y, us, np.array(variants[signature]))
        elif us.any():
            surfaces[signature] = fit_surface(x, y, us)
    return surfaces
