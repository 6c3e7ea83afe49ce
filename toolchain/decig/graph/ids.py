"""Identities of channels: which channels are the same one, and which must stay.

Every tensor carries an integer array of identities that broadcasts to the tensor's shape: axes
along which the identity does not change have size 1. An operator that moves data moves the
identities with the same NumPy call; an operator that combines channels unites theirs. `None`
stands for a tensor without channels (scalars, shapes, attention maps).
"""

import numpy as np
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

Ids = np.ndarray
"""Integers, one per channel: equal ones are the same channel."""
FIXED = 0
"""Identity of what can never be removed: graph inputs, padding, outputs of unknown operators."""


class IdSpace:
    """Hands out identities, remembers which were united and which are frozen, and why."""

    def __init__(self) -> None:
        self._next = FIXED + 1
        self._left: list[Ids] = []
        self._right: list[Ids] = []
        self._frozen: list[tuple[Ids, str]] = []
        self._inexact: list[Ids] = []

    def fresh(self, count: int) -> Ids:
        """Return `count` new identities, 1-D."""
        ids = np.arange(self._next, self._next + count)
        self._next += count
        return ids

    def unite(self, a: Ids, b: Ids, reason: str) -> None:
        """Make `a` and `b` (broadcast against each other) the same channels, one by one.

        What meets `FIXED` is frozen; `reason` says why.
        """
        left, right = (side.ravel() for side in np.broadcast_arrays(a, b))
        fixed = (left == FIXED) != (right == FIXED)
        if fixed.any():
            self.freeze(np.maximum(left, right)[fixed], reason)
        differ = (left != right) & (left != FIXED) & (right != FIXED)
        if differ.any():
            # A norm over all pixels of a group meets the same few pairs a million times.
            pairs = np.unique(left[differ] * np.int64(self._next) + right[differ])
            self._left.append(pairs // self._next)
            self._right.append(pairs % self._next)

    def freeze(self, ids: Ids | None, reason: str) -> None:
        """Keep these channels whatever a plan says."""
        if ids is not None:
            self._frozen.append((np.unique(ids), reason))

    def mark_inexact(self, ids: Ids) -> None:
        """Note that removing some of these channels changes statistics of the others."""
        self._inexact.append(np.unique(ids))

    def tie(self, ids: Ids, axes: tuple[int, ...], reason: str) -> Ids:
        """Unite along `axes`, so that the identity no longer changes there.

        Returns:
            The identities with size 1 on these axes.
        """
        if all(ids.shape[axis] == 1 for axis in axes):
            return ids
        first = ids
        for axis in axes:
            first = first.take([0], axis)
        self.unite(ids, first, reason)
        return first

    def classes(self) -> np.ndarray:
        """Class of every identity: equal numbers mark united ones. FIXED is alone in class 0."""
        left = np.concatenate([*self._left, np.empty(0, int)])
        right = np.concatenate([*self._right, np.empty(0, int)])
        links = coo_array((np.ones(len(left), bool), (left, right)), shape=(self._next, self._next))
        labels: np.ndarray = connected_components(links, directed=False)[1]
        # Number the classes by their first member, so that they come in channel order.
        _, first, inverse = np.unique(labels, return_index=True, return_inverse=True)
        rank: np.ndarray = np.argsort(np.argsort(first))[inverse]
        return rank

    def frozen(self, classes: np.ndarray) -> dict[int, str]:
        """Classes that must stay, with the first reason found for each."""
        found = {FIXED: "graph input"}
        for ids, reason in self._frozen:
            for label in np.unique(classes[ids]):
                found.setdefault(int(label), reason)
        return found

    def inexact(self, classes: np.ndarray) -> set[int]:
        """Classes whose removal changes the statistics of others."""
        return {int(label) for ids in self._inexact for label in np.unique(classes[ids])}


def varying_axes(ids: Ids) -> list[int]:
    """Axes along which the identity changes."""
    return [axis for axis, size in enumerate(ids.shape) if size > 1]


def compress(ids: Ids) -> Ids:
    """Shrink to size 1 every axis along which the identity is constant."""
    for axis in varying_axes(ids):
        first = ids.take([0], axis)
        if (ids == first).all():
            ids = first
    return ids
