"""What a run folder holds, read for its report; needs neither PyTorch nor the model.

What a run has not written yet, or an older decig did not write, is missing: the report then says
so. What is damaged is an error that names the file.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import msgspec

from decig import records, repeating
from decig.device.cost.table import CostTable
from decig.device.run.fingerprint import Fingerprint
from decig.device.run.timing import Latency
from decig.errors import BadInputError
from decig.graph.plan import Plan
from decig.records import Frontier, Nodes, Pictures, Point, Scores, Search, Session
from decig.repeating import Recorded
from decig.source.resolve import RUN_FILE, STUDENT_FILE, TARGETS_FILE, TRAINING_FILE

_OF_TRAINING = ("report.json", "hinges.json", "hinges.svg", "samples")
"""What such a run leaves for people."""
_TABLE_FILE, _FIGURES_FILE, _PLAN_FILE = "profile.json", "report.json", "plan.json"


class _Model(msgspec.Struct, frozen=True):
    path: str = ""
    sha256: str = ""


class Asked(msgspec.Struct, frozen=True):
    """What run.json says was asked for.

    Attributes:
        model: file and digest of the original.
        images: folder of the images.
        target_ms: the latency; None where the hinges of channel groups decided.
        target_macs: multiply-accumulates, in a run for no device.
        method: name of the method.
        settings: of the engine, the task and the method, by table.
        budget: seconds or steps of training.
        fold_norms: whether norms were to be folded.
        device: that the run is for.
    """

    model: _Model = _Model()
    images: str | None = None
    target_ms: float | None = None
    target_macs: float | None = None
    method: str = ""
    settings: dict[str, dict[str, Any]] = {}
    budget: dict[str, float | None] = {}
    fold_norms: bool = False
    device: Fingerprint | None = None


class Change(msgspec.Struct, frozen=True):
    """A figure of the original, and of the result."""

    before: int
    after: int


class Figures(msgspec.Struct, frozen=True):
    """What the report shows of report.json; None for what a run has not got to yet.

    Attributes:
        original_latency_ms: of the original as it is.
        original_latency_us: the same with its spread.
        measured_latency_ms: of the result; None where the device is not here.
        measured_latency_us: the same with its spread.
        predicted_latency_ms: of the result, by the cost table.
        ssim: of the result's held-out pictures to the original's.
        psnr_db: likewise, in dB.
        ssim_before_distilling: of the cut and repaired graph.
        psnr_db_before_distilling: likewise, in dB.
        held_out_images: how many those pictures are.
        steps: of training.
        training_seconds: how long that took.
        ended_early: why training ended before its budget did.
        rewrites: exact rewrites with which latencies were taken.
        warnings: why figures may be off.
        macs: multiply-accumulates.
        params: parameters.
        file_bytes: size of the result's file.
    """

    original_latency_ms: float | None = None
    original_latency_us: Latency | None = None
    measured_latency_ms: float | None = None
    measured_latency_us: Latency | None = None
    predicted_latency_ms: float | None = None
    ssim: float | None = None
    psnr_db: float | None = None
    ssim_before_distilling: float | None = None
    psnr_db_before_distilling: float | None = None
    held_out_images: int | None = None
    steps: int | None = None
    training_seconds: float | None = None
    ended_early: str | None = None
    rewrites: list[str] = []
    warnings: list[str] = []
    macs: Change | None = None
    params: Change | None = None
    file_bytes: int | None = None


@dataclass(frozen=True)
class Evidence:
    """What one run has left.

    Attributes:
        folder: of the run.
        asked: what was asked for.
        figures: what came of it, as far as the run has got.
        finished: whether there is a result.
        table: the cost table; None where it is missing, as for the following ones.
        kept: channels that stay, by group.
        scores: of the channels.
        searches: how widths were found.
        curve: how training went.
        nodes: how long nodes take.
        pictures: the held-out pictures.
        sessions: processes that worked on the run.
        recorded: what was typed, and what the run depended on.
    """

    folder: Path
    asked: Asked
    figures: Figures
    finished: bool
    table: CostTable | None
    kept: Mapping[str, int] | None
    scores: Scores | None
    searches: list[Search]
    curve: list[Point]
    nodes: Nodes | None
    pictures: Pictures | None
    sessions: list[Session]
    recorded: Recorded | None

    @classmethod
    def read(cls, folder: Path) -> "Evidence":
        """Read a run folder.

        Raises:
            BadInputError: it is none, or one of its files is damaged; names the file.
        """
        asked = records.load(folder, RUN_FILE, Asked)
        if asked is None:
            raise not_a_run(folder)
        table, plan = folder / _TABLE_FILE, folder / _PLAN_FILE
        kept = Plan.load(plan).keep if plan.exists() else None
        figures = records.load(folder, _FIGURES_FILE, Figures)
        done = (folder / STUDENT_FILE).is_file() and not (folder / "state").exists()
        return cls(
            folder,
            asked,
            figures or Figures(),
            figures is not None and done,
            CostTable.load(table) if table.exists() else None,
            None if kept is None else {name: len(indices) for name, indices in kept.items()},
            records.load(folder, records.GROUPS_FILE, Scores),
            records.load(folder, records.PLANNING_FILE, list[Search]) or [],
            records.load_curve(folder),
            records.load(folder, records.NODES_FILE, Nodes),
            records.load(folder, records.PICTURES_FILE, Pictures),
            records.load(folder, records.SESSIONS_FILE, list[Session]) or [],
            _recorded(folder),
        )

    @property
    def device(self) -> Fingerprint | None:
        """The device that the run is for."""
        return self.table.device if self.table is not None else self.asked.device

    @property
    def for_no_device(self) -> bool:
        """Whether the run was for fewer multiply-accumulates, whatever the device."""
        return self.asked.target_macs is not None

    @property
    def channels(self) -> Mapping[str, int]:
        """Channels of the original's groups; empty where they are not known."""
        if self.table is not None:
            return self.table.groups
        scores = self.scores
        known = scores is not None and scores.graph == "original"
        return {group.name: group.channels for group in scores.groups} if scores and known else {}

    @cached_property
    def missing(self) -> list[str]:
        """What the report cannot show because the run did not write it down, in words."""
        if not self.finished:
            return []
        timed = (
            {} if self.for_no_device else {"latency by node": self.nodes, "cost table": self.table}
        )
        found = timed | {
            "scores of channels": self.scores,
            "how the plan was found": self.searches,
            "training curves": self.curve,
            "held-out pictures": self.pictures,
            "versions": self.sessions,
        }
        return [name for name, value in found.items() if not value]


@dataclass(frozen=True)
class Several:
    """What a call with several targets has left.

    Attributes:
        folder: of the call.
        frontier: what the targets reached that are done.
        runs: what each run has left that began, by the name of its target, in that order.
        recorded: what was typed, and what the run depended on.
    """

    folder: Path
    frontier: Frontier
    runs: dict[str, Evidence] = field(default_factory=dict)
    recorded: Recorded | None = None

    @classmethod
    def read(cls, folder: Path) -> "Several":
        """Read the folder of a call with several targets; errors as for `Evidence.read`."""
        frontier = records.load(folder, records.FRONTIER_FILE, Frontier) or Frontier(targets=[])
        names = [member.target for member in frontier.targets]
        begun = {path.parent.name for path in folder.glob(f"*/{RUN_FILE}")}
        order = [*(name for name in names if name in begun), *sorted(begun - set(names))]
        return cls(
            folder,
            frontier,
            {name: Evidence.read(folder / name) for name in order},
            _recorded(folder),
        )


def is_several(folder: Path) -> bool:
    """Whether a folder is that of a call with several targets."""
    files = (TARGETS_FILE, records.FRONTIER_FILE)
    return not (folder / RUN_FILE).exists() and any((folder / name).exists() for name in files)


def record_folder(folder: Path) -> Path:
    """The folder with the run.toml of a run: its own, or that of all targets of its call."""
    own = (folder / repeating.FILE).exists()
    above = folder.absolute().parent
    return above if not own and (above / TARGETS_FILE).exists() else folder


def _recorded(folder: Path) -> Recorded | None:
    """What run.toml of a run recorded; None where there is none."""
    file = record_folder(folder) / repeating.FILE
    return repeating.read_recorded(file) if file.exists() else None


def not_a_run(folder: Path) -> BadInputError:
    """Say that a folder holds no run, or one of another command."""
    if (folder / TRAINING_FILE).is_file():
        drawn = [name for name in _OF_TRAINING if (folder / name).exists()]
        shown = f"; what it leaves to look at: {', '.join(drawn)}" if drawn else ""
        return BadInputError(
            f"{folder}: a run of decig train, and a report is made of a run of decig compress"
            f"{shown}"
        )
    return BadInputError(
        f"{folder}: no run of decig compress: it holds no {RUN_FILE}; give the folder that "
        "--output-dir named"
    )
