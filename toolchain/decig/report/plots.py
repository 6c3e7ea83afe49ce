"""Plots of a report: inline SVG whose colours follow the theme of the page.

matplotlib draws them in stand-in colours, which become variables of the page's style sheet. Lines
differ in dash and mark as well as in colour. They are drawn narrow, so that their text can be read
where a phone shows them at full width.
"""

import io
import itertools
import re
from collections import defaultdict
from collections.abc import Iterator, Sequence
from typing import Any
from xml.etree import ElementTree

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator, NullLocator
from scipy.ndimage import uniform_filter1d

from decig.records import Group, Member, Point, Search

_SVG = "http://www.w3.org/2000/svg"
_XLINK = "{http://www.w3.org/1999/xlink}href"
_INK, _MUTED, _GRID = "#010101", "#020202", "#030303"
_ONE, _TWO, _GOOD = "#040404", "#050505", "#060606"
_VARIABLES = {
    _INK: "--ink",
    _MUTED: "--muted",
    _GRID: "--grid",
    _ONE: "--one",
    _TWO: "--two",
    _GOOD: "--good",
}
"""Variables of the style sheet by the colours that stand for them."""
_STYLE: Any = {  # matplotlib's types list every key
    "axes.axisbelow": True,
    "axes.edgecolor": _GRID,
    "axes.grid": True,
    "axes.labelcolor": _INK,
    "axes.labelsize": 12,
    "axes.spines.right": False,
    "axes.spines.top": False,
    "font.size": 12,
    "grid.color": _GRID,
    "grid.linewidth": 0.6,
    "legend.fontsize": 11,
    "legend.frameon": False,
    "lines.linewidth": 1.8,
    "svg.fonttype": "none",
    "svg.hashsalt": "decig",
    "text.color": _INK,
    "text.parse_math": False,
    "xtick.color": _MUTED,
    "xtick.labelsize": 11,
    "ytick.color": _MUTED,
    "ytick.labelsize": 11,
}
_WIDE, _SMALL = (5.0, 3.4), (3.6, 1.9)
"""Width and height in inches."""
_MOST_POINTS = 400
"""Points of a line that are drawn; of longer ones every second, third, ..."""
_AVERAGED = 9
"""Points over which a loss is averaged: single batches differ much. They are drawn thin behind."""
_LEAST_SCORE = 1e-6
"""Scores below this share of the greatest one are drawn at it: the axis is logarithmic."""
_number = itertools.count()


def scores(group: Group, kept: int) -> str:
    """Draw how much each further channel of a group adds, and where it was cut.

    Args:
        group: its scores.
        kept: channels that stay.
    """
    gains = np.maximum(-np.diff(group.loss), 0)
    gains = np.maximum(gains, _LEAST_SCORE * max(float(gains.max(initial=0)), _LEAST_SCORE))
    edges = np.arange(len(gains) + 1) + 0.5
    with _Canvas(_SMALL) as (figure, axes):
        axes.set_yscale("log")
        axes.yaxis.set_major_formatter(lambda value, _: f"{value:g}")
        axes.yaxis.set_minor_locator(NullLocator())
        axes.grid(visible=False, axis="x")
        floor = gains.min() / 2
        axes.fill_between(edges[: kept + 1], floor, _steps(gains[:kept]), step="post", color=_ONE)
        axes.stairs(gains, edges, baseline=floor, color=_MUTED, linewidth=1, linestyle=":")
        if kept < len(gains):
            axes.axvline(kept + 0.5, color=_INK, linewidth=1.6)
        if group.hinge is not None and group.hinge < len(gains):
            axes.axvline(group.hinge + 0.5, color=_TWO, linewidth=1.6, linestyle="--")
        axes.set_xlim(0.5, len(gains) + 0.5)
        axes.set_ylim(bottom=floor)
        axes.xaxis.set_major_locator(MaxNLocator(nbins="auto", steps=[1, 2, 5, 10], integer=True))
        title = f"Scores of {len(gains)} channels of {group.name}, {kept} of them kept"
        return _svg(figure, title)


def _steps(values: np.ndarray) -> np.ndarray:
    """Repeat the last value, as filled steps need it."""
    return np.append(values, values[-1:])


def planning(search: Search) -> str:
    """Draw the plans that were tried for a latency: predicted beside measured."""
    places = [float(place) for place in range(1, len(search.trials) + 1)]
    predicted = np.array([trial.predicted_ms for trial in search.trials])
    doubt = predicted * [trial.doubt for trial in search.trials]
    with _Canvas(_WIDE) as (figure, axes):
        axes.axhline(search.target_ms, color=_INK, linestyle="--", label="asked for")
        axes.errorbar(
            [place - 0.08 for place in places],
            predicted,
            yerr=doubt,
            fmt="o",
            mfc="none",
            color=_ONE,
            capsize=4,
            label="predicted, ± its doubt",
        )
        measured = [
            (place + 0.08, ms)
            for place, trial in zip(places, search.trials, strict=True)
            for ms in trial.measured_ms
        ]
        if measured:
            axes.plot(*zip(*measured, strict=True), "D", color=_TWO, label="measured")
        for place, trial in zip(places, search.trials, strict=True):
            if trial.chosen:
                axes.axvspan(place - 0.35, place + 0.35, color=_GOOD, alpha=0.16, lw=0)
                axes.text(
                    place,
                    0.98,
                    "taken",
                    transform=axes.get_xaxis_transform(),
                    ha="center",
                    va="top",
                    color=_INK,
                    fontsize=11,
                )
        axes.set_xlim(0.4, len(places) + 0.6)
        axes.set_xticks(places)
        axes.set_xlabel("plan")
        axes.set_ylabel(search.unit)
        axes.margins(y=0.2)
        _legend(figure, axes)
        return _svg(figure, f"Predicted and measured latency of {len(places)} plans")


def training(points: Sequence[Point], name: str) -> str:
    """Draw one figure of training over the progress of its steps.

    Args:
        points: of the whole training.
        name: of the figure, such as "loss".
    """
    steps: dict[str, list[tuple[float, float]]] = defaultdict(list)
    for point in points:
        value = point.figures.get(name)
        if value is not None:
            steps[point.step].append((100 * point.at, value))
    styles = itertools.cycle([(_ONE, "-"), (_TWO, "--"), (_GOOD, "-."), (_INK, ":")])
    with _Canvas(_WIDE) as (figure, axes):
        for (step, values), (colour, dash) in zip(steps.items(), styles, strict=False):
            at, found = np.array(values[:: max(1, len(values) // _MOST_POINTS)]).T
            mark = "o" if len(found) < 3 else ""
            if name == "loss" and len(found) > 2 * _AVERAGED:
                axes.plot(at, found, "-", color=colour, linewidth=0.6, alpha=0.5)
                found = uniform_filter1d(found, _AVERAGED, mode="nearest")
            axes.plot(at, found, dash, color=colour, marker=mark, label=step)
        axes.set_xlim(0, 100)
        axes.set_xlabel("share of the step's budget, %")
        axes.set_ylabel(_TITLES.get(name, name))
        if len(steps) > 1:
            _legend(figure, axes)
        return _svg(figure, f"{_TITLES.get(name, name)} during training")


_TITLES = {
    "loss": "loss",
    "ssim": "SSIM of held-out pictures",
    "predicted_ms": "predicted latency, ms",
}


def figures_of(points: Sequence[Point]) -> list[str]:
    """Names of the figures of training that changed, those that people know first."""
    names = dict.fromkeys([*_TITLES, *(name for point in points for name in point.figures)])
    values = {name: {point.figures.get(name) for point in points} - {None} for name in names}
    return [name for name in names if len(values[name]) > 1]


def frontier(members: Sequence[Member]) -> str:
    """Draw likeness over latency of several targets; over multiply-accumulates without a device."""
    timed = any(member.measured_latency_ms or member.predicted_latency_ms for member in members)
    known = [
        (cost, member.ssim, member)
        for member in members
        if (cost := _cost(member, timed=timed)) and member.ssim is not None
    ]
    what = "latency, ms" if timed else "million multiply-accumulates"
    with _Canvas(_WIDE) as (figure, axes):
        axes.plot([k[0] for k in known], [k[1] for k in known], "-", color=_MUTED, linewidth=1)
        for cost, ssim, member in known:
            sure = not timed or member.measured_latency_ms is not None
            mark, face = ("D", _ONE) if sure else ("o", "none")
            axes.plot([cost], [ssim], mark, color=_ONE, markersize=7, markerfacecolor=face)
            axes.annotate(member.target, (cost, ssim), xytext=(7, -12), textcoords="offset points")
        axes.margins(0.15)
        axes.set_xlabel(what)
        axes.set_ylabel(_TITLES["ssim"])
        return _svg(figure, f"Likeness over {what} of all targets")


def _cost(member: Member, *, timed: bool) -> float | None:
    if timed:
        return member.measured_latency_ms or member.predicted_latency_ms
    return None if member.macs is None else member.macs / 1e6


class _Canvas:
    """A figure in the style of the report, and its axes."""

    def __init__(self, size: tuple[float, float]) -> None:
        self._size, self._style = size, mpl.rc_context(_STYLE)

    def __enter__(self) -> tuple[Figure, Axes]:
        self._style.__enter__()
        figure = Figure(figsize=self._size, layout="constrained")
        return figure, figure.add_subplot()

    def __exit__(self, *error: object) -> None:
        self._style.__exit__(None, None, None)


def _legend(figure: Figure, axes: Axes) -> None:
    """Put the legend below the axes, where it hides nothing."""
    handles, labels = axes.get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=min(len(labels), 2))


def _svg(figure: Figure, title: str) -> str:
    """Return a figure as an SVG element that can stand in a page beside others."""
    written = io.StringIO()
    nothing = dict.fromkeys(("Creator", "Date", "Format", "Type"))
    figure.savefig(written, format="svg", transparent=True, metadata=nothing)
    ElementTree.register_namespace("", _SVG)
    ElementTree.register_namespace("xlink", _XLINK[1:].partition("}")[0])
    root = ElementTree.fromstring(written.getvalue())
    number = next(_number)
    for element in _without_styles(root):
        if "id" in element.attrib:
            element.set("id", f"p{number}-{element.attrib['id']}")
        for name, value in element.attrib.items():
            if name == _XLINK:
                element.set(name, f"#p{number}-{value[1:]}")
            elif name in ("style", "fill", "stroke", "clip-path"):
                own = value.replace("url(#", f"url(#p{number}-")
                element.set(name, re.sub("|".join(_VARIABLES), _variable, own))
    for name in ("width", "height"):
        del root.attrib[name]
    root.attrib |= {"class": "plot", "role": "img", "aria-label": title}
    return ElementTree.tostring(root, encoding="unicode")


def _variable(colour: re.Match[str]) -> str:
    """The variable of the page that a colour stands for."""
    return f"var({_VARIABLES[colour[0]]})"


def _without_styles(root: ElementTree.Element) -> Iterator[ElementTree.Element]:
    """Drop style elements, which would hold for the whole page; yield all others."""
    for parent in root.iter():
        for child in list(parent):
            if child.tag == f"{{{_SVG}}}style":
                parent.remove(child)
    yield from root.iter()
