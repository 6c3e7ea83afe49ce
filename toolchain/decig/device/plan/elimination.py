"""The plan of least loss at a price of time, exactly.

Loss is a sum over groups, latency a sum over nodes, and a node's time depends on the few groups at
its ports. So the least of loss + price * microseconds over all plans, too many to try, is found one
group at a time (nonserial dynamic programming; U. Bertele and F. Brioschi, "Nonserial Dynamic
Programming", 1972):

    f(N) = min over w of [loss_g(w) + price * sum of the nodes at g (w, N)]

replaces group g and all nodes at it, with N the widths of the groups that share a node with g. In
the end no group is left, and the widths are read backwards. The tables stay small where groups form
chains, as in encoders, decoders and the skips between them, or meet in one trunk.
"""

from collections.abc import Iterable, Sequence
from functools import cached_property

import numpy as np

from decig.device.cost.terms import LatencyTerm

MOST_ENTRIES = 4_000_000
"""Most entries of the largest table, and of all tables of nodes together: more take too long."""
ROUNDING = 1e-9
"""Share of a cost that sums in another order may differ by: costs so close are equal."""


def first_least(values: np.ndarray, axis: int = -1) -> np.ndarray:
    """Index of the least along an axis; of those that differ by rounding alone, the first.

    Layers that are alike cost the same, but for the order of a sum and the processor's way to
    multiply: `argmin` would choose another one on another machine.
    """
    least = values.min(axis, keepdims=True)
    found: np.ndarray = (values <= least + ROUNDING * np.abs(least)).argmax(axis)
    return found


class Elimination:
    """Loss and latency of a model over candidate widths, as tables."""

    def __init__(
        self,
        terms: Iterable[LatencyTerm],
        widths: Sequence[np.ndarray],
        losses: Sequence[np.ndarray],
    ) -> None:
        """Prepare.

        Args:
            terms: terms of the latency.
            widths: candidate widths of each group, [candidates].
            losses: what is lost at each of them, [candidates].
        """
        self._terms, self._widths, self._losses = list(terms), widths, losses

    @cached_property
    def affordable(self) -> bool:
        """Whether the tables are small enough."""
        scopes = {term.groups for term in self._terms}
        tables = [self._size(scope) for scope in scopes]
        return (
            sum(tables) <= MOST_ENTRIES
            and max(map(self._size, self._cliques), default=0) <= MOST_ENTRIES
        )

    def least(self, price: float) -> tuple[np.ndarray, float]:
        """Find the least loss + price * microseconds.

        Returns:
            The index of each group's width, and the value.
        """
        tables = [(scope, price * us) for scope, us in self._tables.items()]
        tables += [((group,), loss) for group, loss in enumerate(self._losses)]
        choices = []
        for scope in self._cliques:
            group = scope[0]
            around = tuple(sorted(scope))
            mine = [table for table in tables if group in table[0]]
            tables = [table for table in tables if group not in table[0]]
            total = sum((self._spread(*table, around) for table in mine), np.zeros(()))
            axis, rest = around.index(group), tuple(g for g in around if g != group)
            choices.append((group, rest, first_least(total, axis)))
            tables.append((rest, total.min(axis)))
        level = np.zeros(len(self._widths), int)
        for group, rest, choice in reversed(choices):
            level[group] = choice[tuple(level[list(rest)])]
        return level, float(sum(table.item() for _, table in tables))

    @cached_property
    def _cliques(self) -> list[tuple[int, ...]]:
        """Each group in the order of elimination, with the groups that then share nodes with it."""
        scopes = {frozenset(term.groups) for term in self._terms}
        left, order = set(range(len(self._widths))), []
        while left:
            around = {g: {g}.union(*(s for s in scopes if g in s)) for g in left}
            group = min(left, key=lambda g: self._size(around[g]))
            rest = frozenset(around[group] - {group})
            order.append((group, *sorted(rest)))
            scopes = {s for s in scopes if group not in s} | {rest}
            left.discard(group)
        return order

    @cached_property
    def _tables(self) -> dict[tuple[int, ...], np.ndarray]:
        """Microseconds over the candidates of each set of groups that has terms."""
        tables: dict[tuple[int, ...], np.ndarray] = {}
        for term in self._terms:
            shape = [len(self._widths[group]) for group in term.groups]
            grid = np.meshgrid(*(self._widths[group] for group in term.groups), indexing="ij")
            plans = np.stack([axis.ravel() for axis in grid], axis=1) if grid else np.zeros((1, 0))
            us = term.us(plans).reshape(shape)
            tables[term.groups] = tables.get(term.groups, 0.0) + us
        return tables

    def _size(self, groups: Iterable[int]) -> float:
        return float(np.prod([float(len(self._widths[group])) for group in groups]))

    def _spread(
        self, groups: tuple[int, ...], table: np.ndarray, around: tuple[int, ...]
    ) -> np.ndarray:
        """Give a table over `groups` one axis for each group of `around`."""
        shape = [len(self._widths[group]) if group in groups else 1 for group in around]
        return table.reshape(shape)
