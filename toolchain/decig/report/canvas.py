"""How plots look, and how they become SVG: part of a page, or a file of their own.

matplotlib draws in stand-in colours. In a page they become variables of its style sheet, so that a
plot follows the theme; in a file of its own, fixed colours.
"""

import io
import itertools
import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from xml.etree import ElementTree

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.figure import Figure

_SVG = "http://www.w3.org/2000/svg"
_XLINK = "{http://www.w3.org/1999/xlink}href"
INK, MUTED, GRID = "#010101", "#020202", "#030303"
ONE, TWO, GOOD = "#040404", "#050505", "#060606"
_VARIABLES = {
    INK: "--ink",
    MUTED: "--muted",
    GRID: "--grid",
    ONE: "--one",
    TWO: "--two",
    GOOD: "--good",
}
"""Variables of the style sheet by the colours that stand for them."""
_ON_WHITE = {
    INK: "#1b1f24",
    MUTED: "#57606a",
    GRID: "#d0d7de",
    ONE: "#0969da",
    TWO: "#bc4c00",
    GOOD: "#1a7f37",
}
"""Colours of a file of its own, which has no style sheet."""
_STYLE: Any = {  # matplotlib's types list every key
    "axes.axisbelow": True,
    "axes.edgecolor": GRID,
    "axes.grid": True,
    "axes.labelcolor": INK,
    "axes.labelsize": 12,
    "axes.spines.right": False,
    "axes.spines.top": False,
    "font.size": 12,
    "grid.color": GRID,
    "grid.linewidth": 0.6,
    "legend.fontsize": 11,
    "legend.frameon": False,
    "lines.linewidth": 1.8,
    "svg.fonttype": "none",
    "svg.hashsalt": "decig",
    "text.color": INK,
    "text.parse_math": False,
    "xtick.color": MUTED,
    "xtick.labelsize": 11,
    "ytick.color": MUTED,
    "ytick.labelsize": 11,
}
SMALL = (3.6, 1.9)
"""Width and height, in inches, of a plot that stands among others."""
_number = itertools.count()


@contextmanager
def drawing(size: tuple[float, float]) -> Iterator[Figure]:
    """A figure in the style of all plots; it must be written before the style ends.

    Args:
        size: width and height in inches.
    """
    with mpl.rc_context(_STYLE):
        yield Figure(figsize=size, layout="constrained")


@contextmanager
def canvas(size: tuple[float, float]) -> Iterator[tuple[Figure, Axes]]:
    """A figure with one plot, and its axes."""
    with drawing(size) as figure:
        yield figure, figure.add_subplot()


def legend(figure: Figure, axes: Axes) -> None:
    """Put the legend below the axes, where it hides nothing."""
    handles, labels = axes.get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=min(len(labels), 2))


def inline(figure: Figure, title: str) -> str:
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


def standalone(figure: Figure) -> str:
    """Return a figure as the text of an SVG file, the same every time."""
    written = io.StringIO()
    figure.savefig(written, format="svg", metadata={"Date": None})
    return re.sub("|".join(_ON_WHITE), lambda colour: _ON_WHITE[colour[0]], written.getvalue())
