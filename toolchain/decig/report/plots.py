"""Plots of a report: inline SVG whose colours follow the theme of the page.

Lines differ in dash and mark as well as in colour. They are drawn narrow, so that their text can be
read where a phone shows them at full width.
"""

import itertools
from collections import defaultdict
from collections.abc import Sequence

import numpy as np
from matplotlib.ticker import MaxNLocator, NullLocator
from scipy.ndimage import uniform_filter1d

from decig.records import Group, Member, Point, Search
from decig.report.canvas import GOOD, INK, MUTED, ONE, SMALL, TWO, canvas, inline, legend

_WIDE = (5.0, 3.4)
"""Width and height in inches."""
_MOST_POINTS = 400
"""Points of a line that are drawn; of longer ones every second, third, ..."""
_AVERAGED = 9
"""Points over which a loss is averaged: single batches differ much. They are drawn thin behind."""
_LEAST_SCORE = 1e-6
"""Scores below this share of the greatest one are drawn at it: the axis is logarithmic."""


def scores(group: Group, kept: int) -> str:
    """Draw how much each further channel of a group adds, and where it was cut.

    Args:
        group: its scores.
        kept: channels that stay.
    """
    gains = np.maximum(-np.diff(group.loss), 0)
    gains = np.maximum(gains, _LEAST_SCORE * max(float(gains.max(initial=0)), _LEAST_SCORE))
    edges = np.arange(len(gains) + 1) + 0.5
    with canvas(SMALL) as (figure, axes):
        axes.set_yscale("log")
        axes.yaxis.set_major_formatter(lambda value, _: f"{value:g}")
        axes.yaxis.set_minor_locator(NullLocator())
        axes.grid(visible=False, axis="x")
        floor = gains.min() / 2
        axes.fill_between(edges[: kept + 1], floor, _steps(gains[:kept]), step="post", color=ONE)
        axes.stairs(gains, edges, baseline=floor, color=MUTED, linewidth=1, linestyle=":")
        if kept < len(gains):
            axes.axvline(kept + 0.5, color=INK, linewidth=1.6)
        if group.hinge is not None and group.hinge < len(gains):
            axes.axvline(group.hinge + 0.5, color=TWO, linewidth=1.6, linestyle="--")
        axes.set_xlim(0.5, len(gains) + 0.5)
        axes.set_ylim(bottom=floor)
        axes.xaxis.set_major_locator(MaxNLocator(nbins="auto", steps=[1, 2, 5, 10], integer=True))
        title = f"Scores of {len(gains)} channels of {group.name}, {kept} of them kept"
        return inline(figure, title)


def _steps(values: np.ndarray) -> np.ndarray:
    """Repeat the last value, as filled steps need it."""
    return np.append(values, values[-1:])


def planning(search: Search) -> str:
    """Draw the plans that were tried for a latency: predicted beside measured."""
    places = [float(place) for place in range(1, len(search.trials) + 1)]
    predicted = np.array([trial.predicted_ms for trial in search.trials])
    doubt = predicted * [trial.doubt for trial in search.trials]
    with canvas(_WIDE) as (figure, axes):
        axes.axhline(search.target_ms, color=INK, linestyle="--", label="asked for")
        axes.errorbar(
            [place - 0.08 for place in places],
            predicted,
            yerr=doubt,
            fmt="o",
            mfc="none",
            color=ONE,
            capsize=4,
            label="predicted, ± its doubt",
        )
        measured = [
            (place + 0.08, ms)
            for place, trial in zip(places, search.trials, strict=True)
            for ms in trial.measured_ms
        ]
        if measured:
            axes.plot(*zip(*measured, strict=True), "D", color=TWO, label="measured")
        for place, trial in zip(places, search.trials, strict=True):
            if trial.chosen:
                axes.axvspan(place - 0.35, place + 0.35, color=GOOD, alpha=0.16, lw=0)
                axes.text(
                    place,
                    0.98,
                    "taken",
                    transform=axes.get_xaxis_transform(),
                    ha="center",
                    va="top",
                    color=INK,
                    fontsize=11,
                )
        axes.set_xlim(0.4, len(places) + 0.6)
        axes.set_xticks(places)
        axes.set_xlabel("plan")
        axes.set_ylabel(search.unit)
        axes.margins(y=0.2)
        legend(figure, axes)
        return inline(figure, f"Predicted and measured latency of {len(places)} plans")


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
    styles = itertools.cycle([(ONE, "-"), (TWO, "--"), (GOOD, "-."), (INK, ":")])
    with canvas(_WIDE) as (figure, axes):
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
            legend(figure, axes)
        return inline(figure, f"{_TITLES.get(name, name)} during training")


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
    with canvas(_WIDE) as (figure, axes):
        axes.plot([k[0] for k in known], [k[1] for k in known], "-", color=MUTED, linewidth=1)
        for cost, ssim, member in known:
            sure = not timed or member.measured_latency_ms is not None
            mark, face = ("D", ONE) if sure else ("o", "none")
            axes.plot([cost], [ssim], mark, color=ONE, markersize=7, markerfacecolor=face)
            axes.annotate(member.target, (cost, ssim), xytext=(7, -12), textcoords="offset points")
        axes.margins(0.15)
        axes.set_xlabel(what)
        axes.set_ylabel(_TITLES["ssim"])
        return inline(figure, f"Likeness over {what} of all targets")


def _cost(member: Member, *, timed: bool) -> float | None:
    if timed:
        return member.measured_latency_ms or member.predicted_latency_ms
    return None if member.macs is None else member.macs / 1e6
