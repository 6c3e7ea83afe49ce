"""What the rows of the main job say: better at the same latency, faster at the same pictures."""

from collections.abc import Collection, Sequence

import numpy as np
from contest import DECIG
from judge import TEACHER, Row

_TIMING_NOISE = 0.03
_GOAL = 2.5
"""Times faster at equal SSIM that are asked for."""


def verdicts(rows: Sequence[Row], *, peers: Collection[str], generosity: float) -> list[str]:
    """Say for each target whether decig is better than every peer, and how much faster.

    Args:
        rows: the teacher's, decig's and the peers'.
        peers: names of the peers.
        generosity: times that a peer may take as long as decig's result.
    """
    lines = []
    others = [row for row in rows if row.method in peers]
    teachers = [row for row in rows if row.method == TEACHER]
    for own in (row for row in rows if row.method == DECIG):
        beside = [row for row in others if row.target == own.target]
        slowest = max((row.latency.median / own.latency.median for row in beside), default=1.0)
        if slowest > generosity + _TIMING_NOISE:
            lines.append(f"- {own.target}: a peer takes {slowest:.2f} times as long as decig's.")
        for figure, name in (("ssim", "SSIM"), ("psnr_db", "PSNR")):
            if beside:
                lines.append(f"- {own.target}, {name}: {_lead(own, beside, figure)}.")
        if others and teachers:
            gain = faster_at_equal_ssim(own, others, teachers[0])
            word = "" if gain >= _GOAL else f", short of {_GOAL:g}"
            lines.append(
                f"- {own.target}, at equal SSIM: {gain:.2f} times faster than the peers{word}."
            )
    return lines


def faster_at_equal_ssim(own: Row, peers: Sequence[Row], teacher: Row) -> float:
    """How many times as long the best peer would take for pictures as good as decig's.

    The logarithm of the latency is interpolated over SSIM between the peers' results that no other
    one beats in both, and the teacher itself with an SSIM of 1; so at most the speed over the
    teacher can come out. Where the peers' fastest result is better already, its latency counts.
    """
    found = [(row.similarity["ssim"], row.latency.median) for row in peers]
    front = [(1.0, teacher.latency.median)]
    for ssim, latency in sorted(found, reverse=True):
        if latency < front[-1][1]:
            front.append((ssim, latency))
    alike, latencies = np.array(front[::-1]).T
    equal = np.exp(np.interp(own.similarity["ssim"], alike, np.log(latencies)))
    return float(equal / own.latency.median)


def _lead(own: Row, peers: Sequence[Row], figure: str) -> str:
    best = max(peers, key=lambda row: row.similarity[figure])
    lead = own.similarity[figure] - best.similarity[figure]
    word = "better than" if lead > 0 else "NOT better than"
    return f"decig is {word} the best peer ({best.method}), by {lead:+.3f}"
