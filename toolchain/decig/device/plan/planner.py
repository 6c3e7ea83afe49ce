"""Widths that meet a latency target at the least loss, chosen on the device's stairs."""

from collections.abc import Mapping, Sequence

import numpy as np

from decig.device.cost.terms import WidthCost
from decig.device.plan.elimination import ROUNDING, Elimination, first_least
from decig.errors import TargetMissedError

AT_ONCE = 1_000
"""Exchanges whose cost is looked up together."""
_NEAR = 2
"""How many candidates up or down an exchange moves a group at most."""
_MAX_EXCHANGES = 200
_LEAST_GAIN = 1e-9
"""Least loss that an exchange must save; less is rounding."""
_PRICES = np.log([1e-5, 1e5])
"""Range of prices of time, as multiples of the loss of everything per microsecond of the whole."""
_BISECTIONS, _SWEEPS = 16, 12
"""Steps of the search for a price, and rounds over all groups at one price."""


def plan_widths(
    predictor: WidthCost, loss: Mapping[str, np.ndarray], target_ms: float
) -> dict[str, int]:
    """Choose how many channels each group keeps.

    The cost of a group depends on the widths of its neighbours, so this is no plain knapsack. Two
    searches are made: greedily down from the whole model, at each step the one that loses least
    per microsecond saved; and at a price of time, at which the groups settle where loss and price
    together are least (Lagrange multipliers; H. Everett, Operations Research 11, 1963). Both
    results are then improved by exchanges: widen a group where there is time left, or widen one and
    narrow another where that loses less. The better result is taken.

    Args:
        predictor: predicts the model's latency on the device.
        loss: for each group, the loss if k of its channels are kept, [channels + 1] for k = 0 to
            all; must not grow with k. A shorter curve is that of a graph that has lost channels of
            the group already: it gets no more than the graph has. Groups that are left out keep
            all their channels.
        target_ms: predicted latency to stay within, in milliseconds.

    Returns:
        Width of every group of the predictor.

    Raises:
        TargetMissedError: no widths are that fast; says how fast the model can be.
    """
    steps = _Steps(predictor, loss)
    target = target_ms * 1000.0 * (1 + ROUNDING)  # a plan that takes just that long meets it
    level = steps.descend(target)
    if steps.cost(level)[0] > target:
        level = steps.fastest()
    if (least := steps.cost(level)[0]) > target:
        raise TargetMissedError(
            f"a target of {target_ms:.4g} ms is out of reach: with every group at its narrowest "
            f"the model takes {least / 1000:.4g} ms on this device"
        )
    starts = [level, *steps.settled(target)]
    ends = np.array([steps.exchange(start, target) for start in starts])
    return steps.named(ends[first_least(steps.loss(ends))])


def fastest_widths(predictor: WidthCost, most: Mapping[str, int]) -> dict[str, int]:
    """Widths of the least predicted latency.

    Args:
        predictor: predicts the model's latency on the device.
        most: channels that the graph has of each group; groups that are not named keep all the
            channels of the predictor's.
    """
    steps = _Steps(predictor, {name: np.zeros(width + 1) for name, width in most.items()})
    return steps.named(steps.fastest())


class _Steps:
    """The lattice of candidate widths; a plan is a vector of levels, one per group."""

    def __init__(self, predictor: WidthCost, loss: Mapping[str, np.ndarray]) -> None:
        self._predictor = predictor
        candidates = [
            _up_to(len(loss[name]) - 1, predictor.candidates[name]) if name in loss else [full]
            for name, full in predictor.groups.items()
        ]
        self._top = np.array([len(widths) - 1 for widths in candidates])
        shape = (len(candidates), int(self._top.max(initial=0)) + 1)
        self._width = np.zeros(shape, int)
        self._loss = np.zeros(shape)
        for index, (name, widths) in enumerate(zip(predictor.groups, candidates, strict=True)):
            self._width[index, : len(widths)] = widths
            if name in loss:
                self._loss[index, : len(widths)] = np.asarray(loss[name])[widths]
        levels = [slice(top + 1) for top in self._top]
        self._elimination = Elimination(
            predictor.terms(),
            [row[kept] for row, kept in zip(self._width, levels, strict=True)],
            [row[kept] for row, kept in zip(self._loss, levels, strict=True)],
        )

    def widths(self, levels: np.ndarray) -> np.ndarray:
        """Widths, [plans, groups], of levels [plans, groups] or [groups]."""
        found: np.ndarray = self._width[np.arange(len(self._top)), np.atleast_2d(levels)]
        return found

    def cost(self, levels: np.ndarray) -> np.ndarray:
        """Predicted microseconds, [plans]."""
        return self._predictor.predict_many(self.widths(levels))

    def loss(self, levels: np.ndarray) -> np.ndarray:
        """Loss, [plans]."""
        found: np.ndarray = self._loss[np.arange(len(self._top)), levels].sum(axis=-1)
        return found

    def named(self, level: np.ndarray) -> dict[str, int]:
        """Width of each group at one vector of levels."""
        widths = self.widths(level)[0]
        return {n: int(w) for n, w in zip(self._predictor.groups, widths, strict=True)}

    def fastest(self) -> np.ndarray:
        """Start at the narrowest widths, then follow single groups wherever that is faster."""
        level = np.zeros_like(self._top)
        while True:
            moves = level + self._single_steps(level, 1, self._top.max())
            costs = self.cost(np.concatenate([level[None], moves]))
            best = int(first_least(costs))
            if best == 0:
                return level
            level = moves[best - 1]

    def descend(self, target: float) -> np.ndarray:
        """Step down from the whole model until it takes `target` microseconds, or as far as saves.

        Each step is the one that loses least per microsecond saved.
        """
        level = self._top
        cost = self.cost(level)[0]
        while cost > target:
            moves = level + self._single_steps(level, -1, self._top.max())
            costs = self.cost(moves)
            saved = np.where(cost - costs > ROUNDING * cost, cost - costs, 0.0)
            if not saved.any():
                break
            lost = self.loss(moves) - self.loss(level)
            price = np.divide(lost, saved, out=np.full(len(moves), np.inf), where=saved > 0)
            best = int(first_least(price))
            level, cost = moves[best], costs[best]
        return level

    def settled(self, target: float) -> list[np.ndarray]:
        """Levels at the lowest price of time at which the model takes `target` microseconds.

        An empty list where no price is high enough.
        """
        scale = self.loss(np.zeros_like(self._top)) / self.cost(self._top)[0]
        low, high = np.log(max(scale, _LEAST_GAIN)) + _PRICES
        found: list[np.ndarray] = []
        for _ in range(_BISECTIONS):
            price = (low + high) / 2
            level = self._settle(float(np.exp(price)))
            if self.cost(level)[0] <= target:
                high, found = price, [level]
            else:
                low = price
        return found

    def _settle(self, price: float) -> np.ndarray:
        """Find the least loss + price * microseconds.

        Where groups share nodes with too many others to find it exactly, one group after the
        other moves to where it is least.
        """
        if self._elimination.affordable:
            return self._elimination.least(price)[0]
        level = self._top.copy()
        for _ in range(_SWEEPS):
            before = level.copy()
            for group, top in enumerate(self._top):
                moves = np.tile(level, (top + 1, 1))
                moves[:, group] = np.arange(top + 1)
                level = moves[first_least(self.loss(moves) + price * self.cost(moves))]
            if (level == before).all():
                break
        return level

    def exchange(self, level: np.ndarray, target: float) -> np.ndarray:
        """Widen groups, alone or against narrowing another, while that lowers the loss."""
        for _ in range(_MAX_EXCHANGES):
            better = self._best_exchange(level, target)
            if better is None:
                break
            level = better
        return level

    def _best_exchange(self, level: np.ndarray, target: float) -> np.ndarray | None:
        """Make the exchange that fits and gains most; None if none gains.

        A loss is a sum over groups, so it is known for all pairs at once. The cost of pairs is
        looked up from the best one down.
        """
        wider = self._single_steps(level, 1, _NEAR)
        narrower = np.vstack([np.zeros_like(level), self._single_steps(level, -1, _NEAR)])
        before = self.loss(level)
        gain = (before - self.loss(level + wider))[:, None] + before - self.loss(level + narrower)
        gain[(wider != 0) @ (narrower != 0).T] = -np.inf  # one group, to and fro
        order = np.argsort(-gain, axis=None, kind="stable")[: int((gain > _LEAST_GAIN).sum())]
        for some in np.array_split(order, len(order) // AT_ONCE + 1):
            one, other = np.unravel_index(some, gain.shape)
            moves = level + wider[one] + narrower[other]
            fits = np.flatnonzero(self.cost(moves) <= target)
            if fits.size:
                best: np.ndarray = moves[fits[0]]
                return best
        return None

    def _single_steps(self, level: np.ndarray, sign: int, reach: int) -> np.ndarray:
        """Changes of one group's level by up to `reach`, [moves, groups]."""
        room = self._top - level if sign > 0 else level
        changes = [
            (group, sign * step)
            for group, most in enumerate(np.minimum(room, reach))
            for step in range(1, most + 1)
        ]
        deltas = np.zeros((len(changes), len(level)), int)
        for row, (group, change) in enumerate(changes):
            deltas[row, group] = change
        return deltas


def _up_to(most: int, widths: Sequence[int]) -> list[int]:
    """Those of the ascending widths that a graph of `most` channels can have, and all of them."""
    return [*(width for width in widths if width < most), most]
