"""A plot of quality over latency that can be read without colour."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import matplotlib as mpl
from frontier import MEASURES, Measure
from judge import TEACHER, Row
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, NullFormatter, ScalarFormatter

from decig.files import atomic_path

_MARKERS = "oDs^vPX<>*h"
_DASHES = ((0, ()), (0, (5, 2)), (0, (1, 1.5)), (0, (5, 2, 1, 2)), (0, (9, 3)))
_COLOURS = ("#000000", "#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9")
"""M. Okabe and K. Ito: they also differ for people who see few colours."""
_PANEL = (4.2, 3.4)
"""Width and height of a panel, in inches."""
_DOTS_PER_INCH = 130
_STYLE: Any = {
    "axes.axisbelow": True,
    "axes.grid": True,
    "axes.spines.right": False,
    "axes.spines.top": False,
    "grid.color": "#dddddd",
    "grid.linewidth": 0.6,
    "svg.fonttype": "none",
    "svg.hashsalt": "decig",
    "text.parse_math": False,
}


def draw(title: str, rows: Sequence[Row], ours: Sequence[str], files: Sequence[Path]) -> None:
    """Draw a panel for each runtime and measure.

    Each method has a mark and a dash of its own. Those of decig are filled and on top.

    Args:
        title: above all panels.
        rows: judged results, the teacher's among them.
        ours: methods of decig.
        files: where the plot goes; their ends say in which format.
    """
    runtimes = list(dict.fromkeys(row.runtime for row in rows))
    found = dict.fromkeys(row.method for row in rows if row.method != TEACHER)
    methods = sorted(found, key=lambda method: method not in ours)
    looks = dict(zip(methods, _looks(methods, ours), strict=True))
    with mpl.rc_context(_STYLE):
        size = (_PANEL[0] * len(MEASURES), _PANEL[1] * len(runtimes) + 1.2)
        figure = Figure(size, layout="constrained")
        panels = figure.subplots(len(runtimes), len(MEASURES), squeeze=False)
        for line, runtime in zip(panels, runtimes, strict=True):
            here = [row for row in rows if row.runtime == runtime]
            for axes, measure in zip(line, MEASURES, strict=True):
                _panel(axes, here, measure, looks)
                axes.set_title(f"{measure.name} on {runtime}", fontsize=10)
        marks = {mark.get_label(): mark for axes in panels.flat for mark in axes.get_lines()}
        figure.legend(marks.values(), marks.keys(), loc="outside lower center", ncols=4)
        figure.suptitle(title)
        for file in files:
            plain = {"Date": None} if file.suffix == ".svg" else {}
            with atomic_path(file) as temporary:
                figure.savefig(
                    temporary, format=file.suffix[1:], dpi=_DOTS_PER_INCH, metadata=plain
                )


def _looks(methods: Sequence[str], ours: Sequence[str]) -> Iterator[dict[str, Any]]:
    for place, method in enumerate(methods):
        colour = _COLOURS[place % len(_COLOURS)]
        own = method in ours
        yield {
            "marker": _MARKERS[place % len(_MARKERS)],
            "linestyle": _DASHES[place % len(_DASHES)],
            "color": colour,
            "markerfacecolor": colour if own else "white",
            "markersize": 8 if own else 7,
            "linewidth": 2.2 if own else 1.3,
            "zorder": 4 if own else 3,
            "label": method,
        }


def _panel(
    axes: Axes, rows: Sequence[Row], measure: Measure, looks: dict[str, dict[str, Any]]
) -> None:
    """Draw the results of one runtime by one measure; better is up and to the left."""
    for row in rows:
        if row.method == TEACHER:
            axes.axvline(
                row.latency.median_ms, color="#777777", linestyle=(0, (1, 3)), label=TEACHER
            )
    for method, look in looks.items():
        points = sorted(
            (row.latency.median_ms, measure.value(row.similarity))
            for row in rows
            if row.method == method
        )
        if points:
            axes.plot(*zip(*points, strict=True), **look)
    axes.set_xscale("log")
    axes.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    axes.xaxis.set_major_formatter(ScalarFormatter())
    axes.xaxis.set_minor_formatter(NullFormatter())
    axes.set_xlabel("milliseconds")
    if not measure.upwards:
        axes.invert_yaxis()
