"""The hinges of a condensed generator, drawn: how much each channel of a group is read."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated

import msgspec

from decig.extras import missing
from decig.files import atomic_path
from decig.schema import read_json

DATA_FILE = "hinges.json"
"""File of a run of `decig train --profile` that holds the curves."""
FILE = "hinges.svg"
"""File that the drawing goes to."""
_COLUMNS = 3
_WITH_TITLE = 1.3
"""Height of a plot with its title, as a share of one without."""


class Width(msgspec.Struct, frozen=True):
    """Channels of a group before and after the cut."""

    before: int
    after: int


class Curve(msgspec.Struct, frozen=True):
    """One channel group.

    Attributes:
        magnitudes: 2-norm of the weights that read each channel, largest first.
        hinge: channels before the bend of that curve; None where it has none.
        channels: how many there were, and how many were left.
    """

    magnitudes: Annotated[list[float], msgspec.Meta(min_length=1)]
    hinge: int | None
    channels: Width


class _File(msgspec.Struct, frozen=True):
    """hinges.json: curves by generator and group."""

    generators: dict[str, dict[str, Curve]]


def read_hinges(run: Path) -> Mapping[str, Mapping[str, Curve]]:
    """Read the curves of a run, by generator and group.

    Raises:
        BadInputError: there are none, or the file is damaged.
    """
    return read_json(run / DATA_FILE, _File, "record of hinges").generators


def draw_hinges(run: Path) -> Path | None:
    """Draw all curves of a run into its folder, if matplotlib (decig[report]) is installed.

    Returns:
        The SVG file; None without matplotlib.

    Raises:
        BadInputError: as for `read_hinges`.
    """
    if missing(["matplotlib"]):
        return None
    curves = {
        f"{generator}: {group}": curve
        for generator, groups in read_hinges(run).items()
        for group, curve in groups.items()
    }
    with atomic_path(run / FILE) as temporary:
        temporary.write_text(svg_of(curves), encoding="utf-8")
    return run / FILE


def svg_of(curves: Mapping[str, Curve]) -> str:
    """Draw curves side by side, each with its hinge and its cut; the same text every time.

    Args:
        curves: by their titles.
    """
    from decig.report.canvas import INK, ONE, SMALL, TWO, drawing, standalone

    rows, (width, height) = -(-len(curves) // _COLUMNS), SMALL
    with drawing((_COLUMNS * width, rows * height * _WITH_TITLE)) as figure:
        for place, (title, curve) in enumerate(curves.items(), 1):
            axes = figure.add_subplot(rows, _COLUMNS, place)
            axes.plot(_from_one(curve.magnitudes), curve.magnitudes, color=INK)
            if curve.hinge is not None:
                axes.axvline(curve.hinge + 0.5, color=TWO, linestyle="--", label="hinge")
            after = curve.channels.after
            axes.axvline(after + 0.5, color=ONE, linestyle=":", label="cut")
            axes.set_title(f"{title}\n{after} of {curve.channels.before}", fontsize="small")
            axes.set_ylim(bottom=0)
            axes.legend()
        return standalone(figure)


def _from_one(values: Sequence[float]) -> range:
    return range(1, len(values) + 1)
