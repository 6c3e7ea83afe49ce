"""The page of peers.py: a table, verdicts and a plot for each teacher."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from contest import OWN
from frontier import MEASURES, Measure, Point, faster_at_equal_pictures, neighbours
from frontier_plot import draw
from judge import TEACHER, Row, kid
from rivals import DECIG_INT8
from verdicts import GOAL

from decig.quality.protocol import Protocol

OURS = (*OWN, DECIG_INT8)
"""Rows that decig makes."""


@dataclass(frozen=True)
class Compared:
    """What is known of one teacher.

    Attributes:
        name: of the teacher.
        targets: labels of the latencies.
        runtimes: names, in the order of the columns.
        rows: judged results, one for each runtime; the teacher's among them.
        remarks: why a row is not there or was not timed somewhere, by target and method.
        images: number of held-out inputs on which pictures were judged.
    """

    name: str
    targets: Sequence[str]
    runtimes: Sequence[str]
    rows: Sequence[Row]
    remarks: Mapping[tuple[str, str], str]
    images: int

    def to_dict(self) -> dict[str, Any]:
        """Return plain JSON values."""
        remarks = [
            {"target": target, "method": method, "remark": text}
            for (target, method), text in self.remarks.items()
        ]
        rows = [row.to_dict() for row in self.rows]
        return {"images": self.images, "rows": rows, "remarks": remarks}


def section(compared: Compared, results: Path, file: str) -> list[str]:
    """Lines of a teacher's part of the page; draws its plot.

    Args:
        compared: what is known.
        results: folder of the plot.
        file: name of the plot without its end.
    """
    judged = (
        f"{compared.images} held-out images. KID is to the teacher's pictures: "
        f"{Protocol.of_pairs(compared.images)}."
    )
    lines = [f"## {compared.name}", "", judged, "", table(compared), ""]
    if len({row.method for row in compared.rows}) < 2:
        return lines
    ends = [results / f"{file}.{end}" for end in ("png", "svg")]
    draw(compared.name, compared.rows, OURS, ends)
    shown = f"![Quality over latency of {compared.name}]({file}.png)"
    return [*lines, *verdicts(compared), "", shown, ""]


def table(compared: Compared) -> str:
    """A line for each result, with its latency on each runtime.

    SSIM, PSNR and KID are of the pictures of the first runtime that runs it.
    """
    spans = [f"{name} ms (MAD) | times faster" for name in compared.runtimes]
    columns = [*spans, "SSIM", "PSNR dB", "KID x1000 (error)", "minutes", "remark"]
    head = f"| target | method | {' | '.join(columns)} |"
    lines = [head, "|" + " --- |" * (head.count("|") - 1)]
    found: dict[tuple[str, str], dict[str | None, Row]] = {}
    for row in compared.rows:
        found.setdefault((row.target, row.method), {})[row.runtime] = row
    for target in ("", *compared.targets):
        known = [key for key in (*found, *compared.remarks) if key[0] == target]
        for key in sorted(dict.fromkeys(known), key=lambda each: each[1] in OURS):
            cells = _cells(compared.runtimes, found.get(key, {}), compared.remarks.get(key, ""))
            lines.append(f"| {' | '.join([target or '-', key[1], *cells])} |")
    return "\n".join(lines)


def _cells(runtimes: Sequence[str], rows: Mapping[str | None, Row], remark: str) -> list[str]:
    cells = []
    for name in runtimes:
        if (row := rows.get(name)) is None:
            cells += ["-", "-"]
        else:
            spread = f"{row.latency.median_ms:.2f} ({row.latency.mad / 1000:.2f})"
            cells += [spread, f"{row.speedup:.2f}"]
    first = next((rows[name] for name in runtimes if name in rows), None)
    alike = {} if first is None else first.similarity
    minutes = None if first is None else first.notes.get("minutes")
    return [
        *cells,
        f"{alike['ssim']:.3f}" if alike else "-",
        f"{alike['psnr_db']:.2f}" if alike else "-",
        kid(alike),
        "-" if minutes is None else f"{minutes:.1f}",
        remark.replace("|", "/"),
    ]


@dataclass(frozen=True)
class Verdict:
    """How much faster the best of decig's results is than the others at equal pictures.

    Attributes:
        gain: times faster.
        own: the result.
        beside: the results of the others that it is compared with.
    """

    gain: float
    own: Point
    beside: Sequence[Point]


def verdict(rows: Sequence[Row], target: str, measure: Measure) -> Verdict | None:
    """Compare decig's results for a target with all others; None where one side is missing."""
    own = [row for row in rows if row.method in OURS and row.target == target]
    others = [row for row in rows if row.method not in OURS]
    if not own or all(row.method == TEACHER for row in others):
        return None
    points = [Point.of(row, measure) for row in others]
    found = [Point.of(row, measure) for row in own]
    best = max(found, key=lambda point: faster_at_equal_pictures(point, points))
    return Verdict(faster_at_equal_pictures(best, points), best, neighbours(best, points))


def verdicts(compared: Compared) -> list[str]:
    """Say how many times faster decig is at equal pictures, and where that is short of the goal.

    In the last column each side runs on whichever runtime is faster.
    """
    places = {name: [r for r in compared.rows if r.runtime == name] for name in compared.runtimes}
    if len(places) > 1:
        places["the better runtime of each"] = list(compared.rows)
    head = f"| target | at equal | {' | '.join(places)} |"
    lines = [
        "How many times faster the best of decig's results for a target is than the best of the "
        "others with pictures as good:",
        "",
        head,
        "|" + " --- |" * (head.count("|") - 1),
    ]
    short = []
    for target in compared.targets:
        for measure in MEASURES:
            cells = []
            for rows in places.values():
                found = verdict(rows, target, measure)
                cells.append("-" if found is None else f"{found.gain:.2f}")
            lines.append(f"| {target} | {measure.name.partition(' ')[0]} | {' | '.join(cells)} |")
            if found is not None and found.gain < GOAL:
                beside = " and ".join(point.name for point in found.beside)
                short.append(
                    f"- {target}, {measure.name.partition(' ')[0]}: {found.own.name} is "
                    f"{found.gain:.2f} times as fast, short of {GOAL:g}, compared with {beside}."
                )
    return [*lines, "", *(short or [f"At least {GOAL:g} times everywhere."])]
