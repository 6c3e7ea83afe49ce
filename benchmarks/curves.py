"""Curves of trainings: noted while they run, drawn afterwards."""

import csv
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

from decig.files import write_bytes

_NOTE_EVERY_S = 0.5
_WIDTH, _HEIGHT, _LEFT, _TOP = 640, 200, 60, 30
"""Pixels of one diagram, and of its margins."""
_COLOURS = ("#1b6ca8", "#c8553d", "#3a7d44", "#7b4b94", "#b38600", "#555555")


class Notes:
    """Writes figures to a CSV file while something trains: seconds, name, value."""

    def __init__(self, file: Path) -> None:
        """Begin the file, or go on with it."""
        self._file, self._began, self._noted = file, time.monotonic(), 0.0

    def add(self, figures: Mapping[str, float]) -> None:
        """Write figures down, unless some were written a moment ago."""
        now = time.monotonic()
        if now - self._noted < _NOTE_EVERY_S:
            return
        self._noted = now
        with self._file.open("a", newline="", encoding="utf-8") as out:
            rows = ((f"{now - self._began:.1f}", name, value) for name, value in figures.items())
            csv.writer(out).writerows(rows)


def read(file: Path) -> dict[str, list[tuple[float, float]]]:
    """Read what `Notes` wrote: seconds and value, by the name of the figure."""
    found: dict[str, list[tuple[float, float]]] = {}
    if file.exists():
        with file.open(newline="", encoding="utf-8") as rows:
            for seconds, name, value in csv.reader(rows):
                found.setdefault(name, []).append((float(seconds), float(value)))
    return found


def draw(diagrams: Mapping[str, Mapping[str, Sequence[tuple[float, float]]]], file: Path) -> None:
    """Draw diagrams below each other as SVG.

    Args:
        diagrams: by title, curves by name: points of seconds and value.
        file: the SVG file.
    """
    parts, top = [], 0
    for title, curves in diagrams.items():
        points = {name: curve for name, curve in curves.items() if curve}
        if points:
            parts.append(_diagram(title, points, top))
            top += _HEIGHT + 2 * _TOP
    width = _WIDTH + 4 * _LEFT
    head = f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{max(top, 1)}" '
    head += 'font-family="sans-serif" font-size="11">'
    write_bytes(file, "\n".join([head, *parts, "</svg>\n"]).encode())


def _diagram(title: str, curves: Mapping[str, Sequence[tuple[float, float]]], top: int) -> str:
    places = [point for curve in curves.values() for point in curve]
    last = max(x for x, _ in places) or 1.0
    low, high = min(y for _, y in places), max(y for _, y in places)
    size = (high - low) or 1.0
    lines = [f'<g transform="translate({_LEFT},{top + _TOP})">', f'<text y="-8">{title}</text>']
    lines.append(f'<rect width="{_WIDTH}" height="{_HEIGHT}" fill="none" stroke="#999"/>')
    for y, value in ((10, high), (_HEIGHT, low)):
        lines.append(f'<text x="-6" y="{y}" text-anchor="end">{value:.3g}</text>')
    lines.append(f'<text x="{_WIDTH}" y="{_HEIGHT + 14}" text-anchor="end">{last:.0f} s</text>')
    for number, (name, curve) in enumerate(curves.items()):
        colour = _COLOURS[number % len(_COLOURS)]
        path = " ".join(
            f"{x / last * _WIDTH:.1f},{(high - y) / size * _HEIGHT:.1f}" for x, y in curve
        )
        lines.append(f'<polyline points="{path}" fill="none" stroke="{colour}"/>')
        lines.append(f'<text x="{_WIDTH + 8}" y="{12 + 14 * number}" fill="{colour}">{name}</text>')
    return "\n".join([*lines, "</g>"])
