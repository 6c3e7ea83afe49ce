"""Two models timed in pairs until it is sure whether limits are met.

A gate that compares one median with a limit fails now and then on a busy machine although nothing
is wrong. Here the two models run in turns, and what is judged are the ratios of neighbouring runs:
whatever slows the machine for longer than a run slows both. The confidence interval of a median
comes from order statistics and holds for any distribution (H. A. David and H. N. Nagaraja, "Order
Statistics", 3rd edition, section 7.1):

    P(x_(k) < median < x_(n+1-k)) = 1 - 2 P(Binomial(n, 1/2) < k)

The runs are looked at several times, and each look may err. So the permitted error is shared
equally among all looks that are planned (Bonferroni), and the answer holds however early it comes.
Neighbouring pairs are not quite independent on a busy machine, so the confidence is nominal;
`benchmarks/gate.py` counts how many answers are wrong beside a busy program.
"""

import enum
import time
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.stats import binom

from decig.device.run.runs import UndisturbedRun
from decig.device.run.timing import Latency, time_once


class Answer(enum.Enum):
    """Whether a limit is met."""

    MET = "met"
    MISSED = "missed"
    UNSURE = "cannot tell"


@dataclass(frozen=True)
class Patience:
    """How sure an answer must be, and how long it may take.

    Attributes:
        confidence: probability that no answer is wrong.
        looks: numbers of pairs at which the interval is looked at.
        max_seconds: no further pair starts after so many seconds, once the first look was made.
        firm: standard error of the medians, as a share of them, at which they count as firm; where
            every limit is answered, pairs go on until then.
        firm_seconds: no further pair starts after so many seconds for the sake of firm medians.
        warm_up: pairs before that are not timed.
    """

    confidence: float = 0.99
    looks: tuple[int, ...] = (12, 24, 48, 96, 192, 384)
    max_seconds: float = 60.0
    firm: float = 0.01
    firm_seconds: float = 20.0
    warm_up: int = 2

    @property
    def confidence_of_a_look(self) -> float:
        """Confidence of the interval at each look."""
        return 1 - (1 - self.confidence) / len(self.looks)


@dataclass(frozen=True)
class Interval:
    """Where the median of a distribution is, at some confidence.

    Attributes:
        low: lower end; minus infinity where so few values tell nothing.
        high: upper end; infinity where so few values tell nothing.
    """

    low: float
    high: float

    def at_least(self, limit: float) -> Answer:
        """Whether the median is at least `limit`."""
        if self.low >= limit:
            return Answer.MET
        return Answer.MISSED if self.high < limit else Answer.UNSURE

    def at_most(self, limit: float) -> Answer:
        """Whether the median is at most `limit`."""
        if self.high <= limit:
            return Answer.MET
        return Answer.MISSED if self.low > limit else Answer.UNSURE


def median_interval(values: np.ndarray, confidence: float) -> Interval:
    """Return an interval that holds the median of what the values were drawn from.

    Args:
        values: independent draws, [n].
        confidence: probability that it does.
    """
    # Of all k with 2 P(Binomial(n, 1/2) < k) <= 1 - confidence, the largest; k = 0 is no bound.
    k = int(binom.ppf((1 - confidence) / 2, len(values), 0.5))
    if 2 * binom.cdf(k - 1, len(values), 0.5) > 1 - confidence:  # rounding of the quantile
        k -= 1
    if k < 1:
        return Interval(-np.inf, np.inf)
    ordered = np.sort(values)
    return Interval(float(ordered[k - 1]), float(ordered[-k]))


@dataclass(frozen=True)
class Limits:
    """What is asked for; None asks for nothing.

    Attributes:
        min_speedup: how many times faster than the reference the candidate must be.
        max_latency_ms: greatest latency of the candidate, in milliseconds.
    """

    min_speedup: float | None = None
    max_latency_ms: float | None = None


@dataclass(frozen=True)
class PairedTimes:
    """Times of two models that ran in turns.

    Attributes:
        reference_us: microseconds of each run of the reference, [n].
        candidate_us: microseconds of the run of the candidate behind each, [n].
        disturbed: share of the time in which other programs had the processor, from 0 to 1; 0
            where that cannot be told.
        confidence: of the intervals.
    """

    reference_us: np.ndarray
    candidate_us: np.ndarray
    disturbed: float
    confidence: float

    @property
    def latency(self) -> dict[str, Latency]:
        """Latency of both, under the keys reference and candidate."""
        return {
            "reference": Latency.from_samples(self.reference_us),
            "candidate": Latency.from_samples(self.candidate_us),
        }

    @property
    def uncertainty(self) -> float:
        """Standard error of the less firm of the two medians, as a share of it."""
        return max(each.uncertainty for each in self.latency.values())

    @property
    def speedup(self) -> Interval:
        """How many times faster the candidate is, from the ratios of neighbouring runs."""
        return median_interval(self.reference_us / self.candidate_us, self.confidence)

    @property
    def ratio(self) -> float:
        """How many times faster the candidate is: the median of those ratios."""
        return float(np.median(self.reference_us / self.candidate_us))

    @property
    def latency_ms(self) -> Interval:
        """Latency of the candidate in milliseconds."""
        return median_interval(self.candidate_us / 1e3, self.confidence)

    def answers(self, limits: Limits) -> dict[str, Answer]:
        """Say of each limit that was asked for whether it is met, by the name of the limit."""
        found: dict[str, Answer] = {}
        if limits.min_speedup is not None:
            found["min_speedup"] = self.speedup.at_least(limits.min_speedup)
        if limits.max_latency_ms is not None:
            found["max_latency_ms"] = self.latency_ms.at_most(limits.max_latency_ms)
        return found


def measure_pairs(
    reference: UndisturbedRun,
    candidate: UndisturbedRun,
    limits: Limits,
    patience: Patience | None = None,
) -> PairedTimes:
    """Time two models in pairs until it is sure of every limit whether it is met.

    And until the medians are firm, within a shorter time.

    Args:
        reference: runs the one once.
        candidate: runs the other one once.
        limits: what is asked for.
        patience: how sure the answers must be; the defaults where None.
    """
    patience = patience or Patience()
    sides = (reference, candidate)
    for _ in range(patience.warm_up):
        for side in sides:
            side()
    times: list[list[float]] = [[], []]
    begun = time.perf_counter()

    def late(seconds: float) -> bool:
        return time.perf_counter() - begun > seconds

    for wanted in patience.looks:
        while len(times[1]) < wanted:
            if len(times[1]) >= patience.looks[0] and late(patience.max_seconds):
                break
            for side, kept in zip(sides, times, strict=True):
                kept.append(time_once(side))
        found = _summary(times, sides, patience)
        if len(times[1]) < wanted:
            break
        if Answer.UNSURE in found.answers(limits).values():
            continue
        if found.uncertainty <= patience.firm or late(patience.firm_seconds):
            break
    return found


def _summary(
    times: Sequence[list[float]], sides: Sequence[UndisturbedRun], patience: Patience
) -> PairedTimes:
    wall, own = (sum(getattr(side, name) for side in sides) for name in ("wall_us", "own_us"))
    disturbed = 1 - own / wall if wall else 0.0
    ours, theirs = (np.array(kept) for kept in times)
    return PairedTimes(ours, theirs, disturbed, patience.confidence_of_a_look)
