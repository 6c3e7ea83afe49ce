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
        remarks: why a row is not there, was not timed somewhere or is slower than asked for, by
            target and method.
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


Found = Mapping[tuple[str, Measure], Mapping[str, Verdict | None]]
"""By target and measure, then by where the results run."""


def verdicts(compared: Compared) -> list[str]:
    """Say how many times faster decig is at equal pictures, and where that is short of the goal.

    In the last column each side runs on whichever runtime is faster. Of what is missing nothing is
    claimed; it is listed below.
    """
    places = {name: [r for r in compared.rows if r.runtime == name] for name in compared.runtimes}
    if len(places) > 1:
        places["the better runtime of each"] = list(compared.rows)
    found = {
        (target, measure): {place: verdict(rows, target, measure) for place, rows in places.items()}
        for target in compared.targets
        for measure in MEASURES
    }
    head = f"| target | at equal | {' | '.join(places)} |"
    lines = [
        "How many times faster the best of decig's results for a target is than the best of the "
        "others with pictures as good:",
        "",
        head,
        "|" + " --- |" * (head.count("|") - 1),
    ]
    for (target, measure), row in found.items():
        cells = ["-" if each is None else f"{each.gain:.2f}" for each in row.values()]
        lines.append(f"| {target} | {_short(measure)} | {' | '.join(cells)} |")
    lacking = _lacking(compared, found)
    lines += ["", *(_short_of_the_goal(found) or [_claim(found, complete=not lacking)])]
    if lacking:
        lines += ["", "What is missing in this comparison, or not as fast as asked for:", ""]
    return [*lines, *lacking]


def _short(measure: Measure) -> str:
    return measure.name.partition(" ")[0]


def _short_of_the_goal(found: Found) -> list[str]:
    """A line for each comparison of the last column that is short of the goal."""
    lines = []
    for (target, measure), row in found.items():
        best = list(row.values())[-1]
        if best is not None and best.gain < GOAL:
            beside = " and ".join(point.name for point in best.beside)
            lines.append(
                f"- {target}, {_short(measure)}: {best.own.name} is {best.gain:.2f} times as fast, "
                f"short of {GOAL:g}, compared with {beside}."
            )
    return lines


def _lacking(compared: Compared, found: Found) -> list[str]:
    """A line for each comparison that cannot be made, and for each row with a remark."""
    lines = [
        f"- {target}, {_short(measure)}: one side has no result."
        for (target, measure), row in found.items()
        if list(row.values())[-1] is None
    ]
    for (target, method), text in compared.remarks.items():
        lines.append(f"- {f'{method} {target}'.strip()}: {text}")
    return lines


def _claim(found: Found, *, complete: bool) -> str:
    """What can be said where no comparison of the last column is short of the goal."""
    gains = [each.gain for row in found.values() for each in row.values() if each is not None]
    if not gains:
        return "Nothing could be compared."
    where = "everywhere" if complete else "wherever both sides have a result"
    if min(gains) < GOAL:
        where += ", if each side runs on the runtime that is better for it"
    return f"At least {GOAL:g} times {where}."
