"""What a run of `decig compress` leaves in its folder for whoever looks at it later.

Training writes these files, `decig report` reads them; none of them is needed to go on with a run.
A file that is missing only makes the report shorter.

sessions.json   a `Session` for each time that a process began to work on the run
planning.json   a `Search` for each latency that widths were planned for, with the plans tried
groups.json     the `Scores` by which channels were ordered
curve.jsonl     a `Point` per line, at most one per second: how training went
nodes.json      `Nodes`: how long each node takes before and after
pictures.json   `Pictures`: how like the original's each held-out picture is, and which are shown
pictures/       those that are shown, WebP without loss
frontier.json   `Frontier`, in the folder of a call with several targets: what each reached
"""

import json
import os
from collections.abc import Iterable
from pathlib import Path
from typing import Literal, TypeVar

import msgspec

from decig.errors import BadInputError
from decig.files import make_folder, write_json, writing
from decig.schema import AtLeastOne, Count, NotNegative, Share, convert, read_json

SESSIONS_FILE, PLANNING_FILE, GROUPS_FILE = "sessions.json", "planning.json", "groups.json"
CURVE_FILE, NODES_FILE, PICTURES_FILE = "curve.jsonl", "nodes.json", "pictures.json"
PICTURES_FOLDER, FRONTIER_FILE = "pictures", "frontier.json"

T = TypeVar("T")


class Session(msgspec.Struct, frozen=True, kw_only=True):
    """A process that worked on a run.

    Attributes:
        began: date and time, ISO 8601 in UTC.
        machine: its name, its processor and its system, in words.
        versions: of Python and of every package that decig builds on, by name.
        processes: how many of them trained together.
    """

    began: str
    machine: str
    versions: dict[str, str]
    processes: AtLeastOne = 1


Unit = Literal["ms", "million multiply-accumulates"]
MS: Unit = "ms"
MILLION_MACS: Unit = "million multiply-accumulates"
"""Stands where milliseconds do in runs for no device."""


class Trial(msgspec.Struct, frozen=True, kw_only=True):
    """A plan that was tried.

    Attributes:
        widths: channels kept, by group.
        loss: importance that the plan gives away; comparable within one search only.
        predicted_ms: its latency, by what was known before it was measured.
        doubt: standard deviation of that prediction, as a share of it.
        measured_ms: its latency each time that it was measured; empty where it was only predicted.
        fits: whether it is within the latency asked for.
        chosen: whether the search ended with it.
    """

    widths: dict[str, Count]
    loss: float
    predicted_ms: NotNegative
    doubt: NotNegative = 0.0
    measured_ms: list[NotNegative] = []
    fits: bool = True
    chosen: bool = False


class Search(msgspec.Struct, frozen=True, kw_only=True):
    """How widths were found for a latency.

    Attributes:
        target_ms: the latency.
        trials: the plans, in the order in which they were tried.
        unit: of all latencies in it.
    """

    target_ms: NotNegative
    trials: list[Trial]
    unit: Unit = "ms"


class Group(msgspec.Struct, frozen=True, kw_only=True):
    """How much the channels of one group matter.

    Attributes:
        name: of the group.
        channels: how many the graph has that was scored.
        loss: what is lost if the k best channels are kept, for k = 0 to all.
        hinge: channels before the place where the weights by which channels are read bend; None
            where they do not, or where stage I has condensed nothing.
    """

    name: str
    channels: Count
    loss: list[float]
    hinge: Count | None = None


Scored = Literal["original", "trained"]


class Scores(msgspec.Struct, frozen=True, kw_only=True):
    """How much channels matter.

    Attributes:
        graph: what was scored: the original, or what a method had trained before it was cut.
        groups: the groups that can be cut, in graph order.
    """

    graph: Scored
    groups: list[Group]


class Point(msgspec.Struct, frozen=True, kw_only=True):
    """A moment of training.

    Attributes:
        step: what was worked on, such as "distil".
        at: progress of that step, from 0 to 1.
        seconds: since the process that wrote it began.
        figures: the latest figures by name, such as "loss" and "ssim".
    """

    step: str
    at: Share
    seconds: NotNegative
    figures: dict[str, float | None]


class Nodes(msgspec.Struct, frozen=True, kw_only=True):
    """How long each node takes, in microseconds, by the names of nodes in the original graph.

    Attributes:
        measured: whether `after` was measured, or is predicted by the cost table.
        before: in the original, as its cost table says.
        after: in the result.
    """

    measured: bool
    before: dict[str, NotNegative]
    after: dict[str, NotNegative]


class Picture(msgspec.Struct, frozen=True, kw_only=True):
    """A held-out image, and how like the original's picture of it the result's is.

    Attributes:
        name: of the image's file in its folder, without the suffix.
        ssim: SSIM to the original's picture.
        psnr_db: PSNR to it, in dB.
        files: those that show it, by what they show ("input", "original", "compressed"), relative
            to the run's folder; empty for a picture that is not shown.
    """

    name: str
    ssim: float
    psnr_db: float
    files: dict[str, str] = {}


class Pictures(msgspec.Struct, frozen=True, kw_only=True):
    """The held-out images.

    Attributes:
        folder: in which the images lay; None where the model takes none.
        height: of the pictures that the model makes, in pixels.
        width: likewise.
        pictures: one per image, those least like the original's first.
    """

    folder: str | None
    height: Count
    width: Count
    pictures: list[Picture]


class Member(msgspec.Struct, frozen=True, kw_only=True):
    """One of several targets that a model was compressed to.

    Attributes:
        target: its name, which is that of its run folder in the folder of all.
        target_latency_ms: the latency that was asked for; None where multiply-accumulates were.
        target_macs: the multiply-accumulates that were asked for, for no device.
        predicted_latency_ms: of the result, by the cost table.
        measured_latency_ms: of the result; None where it was not measured.
        ssim: of its held-out pictures to the original's.
        psnr_db: of the same, in dB.
        params: parameters of the result.
        macs: its multiply-accumulates.
        file_bytes: size of its file.
    """

    target: str
    target_latency_ms: NotNegative | None = None
    target_macs: Count | None = None
    predicted_latency_ms: NotNegative | None = None
    measured_latency_ms: NotNegative | None = None
    ssim: float | None = None
    psnr_db: float | None = None
    params: Count | None = None
    macs: Count | None = None
    file_bytes: Count | None = None


class Frontier(msgspec.Struct, frozen=True, kw_only=True):
    """What a model was compressed to for several targets.

    Attributes:
        targets: those that are done, the slowest first.
        notes: where a faster result is no worse than a slower one, in words.
    """

    targets: list[Member]
    notes: list[str] = []


def save(folder: Path, file: str, record: msgspec.Struct) -> None:
    """Write a record into the folder of a run; errors as for `decig.files.write_json`."""
    write_json(folder / file, msgspec.to_builtins(record))


def load(folder: Path, file: str, kind: type[T]) -> T | None:
    """Read a record of a run; None where there is none.

    Raises:
        BadInputError: the file is damaged; names it and the key.
    """
    path = folder / file
    return read_json(path, kind, "record of a run") if path.exists() else None


def add(folder: Path, file: str, kind: type[T], records: Iterable[T]) -> None:
    """Add records to a file that holds a list of them; those that it holds already are left out.

    Raises:
        BadInputError: the file that is there is damaged.
    """
    known: list[T] = load(folder, file, list[kind]) or []  # type: ignore[valid-type]
    fresh = [record for record in records if record not in known]
    if fresh:
        write_json(folder / file, [msgspec.to_builtins(record) for record in (*known, *fresh)])


def add_point(folder: Path, point: Point) -> None:
    """Add a line to the curve of a run; errors as for `decig.files.write_json`."""
    make_folder(folder)
    file = folder / CURVE_FILE
    with writing(file), file.open("ab") as lines:
        if (whole := _whole_lines(file)) < lines.tell():  # a full disk cut the last one off
            lines.truncate(whole)
        lines.write(msgspec.json.encode(point) + b"\n")


def _whole_lines(file: Path) -> int:
    """How many bytes of a file belong to lines that end."""
    with file.open("rb") as content:
        size = content.seek(0, os.SEEK_END)
        if not size:
            return 0
        content.seek(size - 1)
        if content.read(1) == b"\n":
            return size
        content.seek(0)
        return content.read().rfind(b"\n") + 1


def load_curve(folder: Path) -> list[Point]:
    """Read the curve of a run; empty where there is none.

    A run that was stopped goes on from the state that was saved last: what it did after that is
    done again, so the older points of that stretch are dropped. So is a last line that is cut off.

    Raises:
        BadInputError: a line is damaged; names the file and the line.
    """
    file = folder / CURVE_FILE
    if not file.exists():
        return []
    try:
        *lines, _ = file.read_text(encoding="utf-8").split("\n")
    except (OSError, ValueError) as error:
        raise BadInputError(f"{file}: cannot read this curve: {error}") from error
    steps: dict[str, list[Point]] = {}
    for number, line in enumerate(lines, 1):
        try:
            value = json.loads(line)
        except ValueError as error:
            raise BadInputError(f"{file}: line {number} is not valid JSON: {error}") from error
        point = convert(value, Point, f"{file}: line {number}")
        known = steps.setdefault(point.step, [])
        while known and known[-1].at > point.at:
            known.pop()
        known.append(point)
    return [point for known in steps.values() for point in known]
