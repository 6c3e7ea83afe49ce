"""Search for the widths whose pictures score best within a predicted latency.

Li et al., "GAN Compression" (CVPR 2020), section 3.3, try every plan or evolve plans within a
budget of operations. Here plans evolve (differential evolution; Storn and Price, Journal of Global
Optimization 11, 1997) within a latency that is predicted for the device, and the plan that the
planner made from scored channels is one of the first.
"""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from scipy.optimize import NonlinearConstraint, differential_evolution

from decig.device.cost.terms import WidthCost
from decig.files import write_json
from decig.schema import read_json

Widths = Mapping[str, int]
"""Number of channels by the name of a group."""

_DRAWS = 4_000
"""Plans that are drawn at random, of which those in a band of latency are taken."""
_SPREAD = 0.3
"""Standard deviation of a group's place between its narrowest and widest width."""
_MUTATION, _CROSSING = (0.2, 0.8), 0.5
"""Of differential evolution: how far plans move, and the share of groups that move together."""
_MOST_GENERATIONS = 1_000
"""No limit in practice: what ends a search is the number of plans that are scored."""


class _EnoughError(Exception):
    """Ends the search from inside the function that scores."""


@dataclass(frozen=True)
class Lattice:
    """Plans between a narrow and a wide one.

    Attributes:
        predictor: predicts the latency of plans.
        choices: widths of every group that may be taken, ascending.
    """

    predictor: WidthCost
    choices: Mapping[str, Sequence[int]]

    @classmethod
    def between(cls, predictor: WidthCost, plans: Sequence[Widths]) -> "Lattice":
        """All plans whose widths lie between the least and the greatest of some plans.

        Widths inside a stair of the device are left out, but for those of the plans themselves.
        """
        choices = {}
        for name in plans[0]:
            own = {plan[name] for plan in plans}
            inside = (w for w in predictor.candidates[name] if min(own) < w < max(own))
            choices[name] = sorted(own.union(inside))
        return cls(predictor, choices)

    @property
    def tops(self) -> np.ndarray:
        """Index of every group's widest choice, [groups]."""
        return np.array([len(widths) - 1 for widths in self.choices.values()])

    def widths(self, levels: np.ndarray) -> dict[str, int]:
        """Widths of one plan, from indices into `choices`, [groups]."""
        places = np.rint(levels).astype(int)
        return {n: int(w[i]) for (n, w), i in zip(self.choices.items(), places, strict=True)}

    def levels(self, widths: Widths) -> np.ndarray:
        """Indices into `choices` of a plan that lies on the lattice, [groups]."""
        return np.array([list(w).index(widths[n]) for n, w in self.choices.items()], float)

    def predicted_ms(self, levels: np.ndarray) -> np.ndarray:
        """Predicted milliseconds of plans [plans, groups]."""
        plans = [self.widths(row) for row in np.atleast_2d(levels)]
        full = self.predictor.groups
        rows = np.array([[plan.get(name, n) for name, n in full.items()] for plan in plans])
        return self.predictor.predict_many(rows) / 1000

    def draw(
        self, count: int, band_ms: tuple[float, float], rng: np.random.Generator
    ) -> np.ndarray:
        """Draw different plans whose predicted latency lies in a band, [at most count, groups].

        Groups of one plan have similar places between their least and greatest width, so that
        all latencies come up, and not only those of the middle.
        """
        middle = rng.uniform(0, 1, (_DRAWS, 1))
        place = np.clip(middle + rng.normal(0, _SPREAD, (_DRAWS, len(self.tops))), 0, 1)
        levels = np.unique(np.rint(place * self.tops), axis=0)
        levels = levels[rng.permutation(len(levels))]
        latency = self.predicted_ms(levels)
        found: np.ndarray = levels[(latency >= band_ms[0]) & (latency <= band_ms[1])][:count]
        return found


class Scores:
    """Scores of plans, kept in a file, so that a search that was stopped goes on."""

    def __init__(self, score: Callable[[Widths], float], file: Path) -> None:
        """Prepare.

        Args:
            score: of a plan, the higher the better.
            file: where scores are kept; it need not be there yet.
        """
        self._score, self._file = score, file
        known = read_json(file, dict[str, Any], "scores of a search") if file.exists() else {}
        self.known: dict[str, float] = {key: float(value) for key, value in known.items()}

    def __call__(self, widths: Widths) -> float:
        """Score a plan, or return what is known of it."""
        key = json.dumps(dict(sorted(widths.items())))
        if key not in self.known:
            self.known[key] = self._score(widths)
            write_json(self._file, self.known)
        return self.known[key]


def search_widths(
    lattice: Lattice,
    first: Widths,
    limit_ms: float,
    scores: Scores,
    *,
    plans: int,
    population: int,
    seed: int,
    enough: Callable[[], bool] = lambda: False,
) -> dict[str, int]:
    """Find the plan of the best score within a predicted latency.

    Args:
        lattice: the plans to choose from.
        first: a plan within the latency, to begin with; no worse one is returned.
        limit_ms: predicted latency, in milliseconds.
        scores: scores plans.
        plans: how many different plans are scored at most.
        population: how many plans evolve together.
        seed: of what is drawn.
        enough: whether to end before `plans` were scored, such as when time is up.

    Returns:
        The widths of the best plan that was scored.
    """
    rng = np.random.default_rng(seed)
    start = lattice.levels(first)
    seen: dict[tuple[int, ...], float] = {}

    def loss(levels: np.ndarray) -> float:
        key = tuple(np.rint(levels).astype(int).tolist())
        if key not in seen:
            if len(seen) >= plans or (seen and enough()):
                raise _EnoughError
            seen[key] = -scores(lattice.widths(levels))
        return seen[key]

    drawn = lattice.draw(population - 1, (0.8 * limit_ms, limit_ms), rng)
    begin = np.vstack([start, drawn, np.tile(start, (max(0, 5 - 1 - len(drawn)), 1))])
    try:
        loss(start)
        if lattice.tops.any():
            _evolve(lattice, loss, begin, limit_ms, rng)
    except _EnoughError:
        pass
    best = min(seen, key=lambda key: seen[key])
    return lattice.widths(np.array(best))


def _evolve(
    lattice: Lattice,
    loss: Callable[[np.ndarray], float],
    begin: np.ndarray,
    limit_ms: float,
    rng: np.random.Generator,
) -> None:
    """Let plans evolve until `loss` says that it is enough, or nothing changes any more."""
    free = np.flatnonzero(lattice.tops)  # groups of a single choice have no bounds to move in

    def whole(levels: np.ndarray) -> np.ndarray:
        result: np.ndarray = begin[0].copy()
        result[free] = levels
        return result

    def latency(levels: np.ndarray) -> float:
        return float(lattice.predicted_ms(whole(levels))[0])

    differential_evolution(
        lambda levels: loss(whole(levels)),
        bounds=[(0, top) for top in lattice.tops[free]],
        integrality=np.ones(len(free), bool),
        constraints=NonlinearConstraint(latency, -np.inf, limit_ms * (1 + 1e-9)),
        init=begin[:, free],
        mutation=_MUTATION,
        recombination=_CROSSING,
        maxiter=_MOST_GENERATIONS,
        polish=False,
        rng=rng,
    )
