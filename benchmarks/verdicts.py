"""What the rows of the main job say: better at the same latency, faster at the same pictures."""

from collections.abc import Collection, Sequence

from contest import DECIG
from frontier import SSIM, Point, faster_at_equal_pictures
from judge import TEACHER, Row

_TIMING_NOISE = 0.03
GOAL = 2.5
"""Times faster at equal pictures that are asked for."""


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
            word = "" if gain >= GOAL else f", short of {GOAL:g}"
            lines.append(
                f"- {own.target}, at equal SSIM: {gain:.2f} times faster than the peers{word}."
            )
    return lines


def faster_at_equal_ssim(own: Row, peers: Sequence[Row], teacher: Row) -> float:
    """How many times as long the best peer would take for pictures as good as decig's."""
    others = [Point.of(row, SSIM) for row in (teacher, *peers)]
    return faster_at_equal_pictures(Point.of(own, SSIM), others)


def _lead(own: Row, peers: Sequence[Row], figure: str) -> str:
    best = max(peers, key=lambda row: row.similarity[figure])
    lead = own.similarity[figure] - best.similarity[figure]
    word = "better than" if lead > 0 else "NOT better than"
    return f"decig is {word} the best peer ({best.method}), by {lead:+.3f}"
