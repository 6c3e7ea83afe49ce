"""One teacher of peers.py with all rows: what can be made of it, making it, and judging it."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from command_line import Given
from competitors import CUT, CUT_TUNED, NNCF, PEERS
from contest import OWN, Contest
from goals import Target, Teacher
from jobs import failure_in
from judge import Entry, Judge
from peers_page import Compared
from readiness import require_ready
from rivals import RIVALS, UNTARGETED, Rivals
from runtimes import Runtime

from decig.data.images import ImageFolder
from decig.errors import DecigError


@dataclass(frozen=True)
class Comparison:
    """One teacher with all that is made of it.

    Attributes:
        contest: makes decig's results and the peers of a uniform width.
        rivals: makes the rest.
        wanted: all rows that were asked for.
        held_out: folder of the inputs on which pictures are judged.
        lacking: why rows cannot be made, by method.
    """

    contest: Contest
    rivals: Rivals
    wanted: Sequence[str]
    held_out: Path
    lacking: dict[str, str] = field(default_factory=dict)

    @classmethod
    def of(
        cls, teacher: Teacher, held_out: Path, wanted: Sequence[str], given: Given
    ) -> "Comparison":
        """Lay out what is made of a teacher, without OpenVINO.

        Args:
            teacher: with the images that it is fed in training.
            held_out: folder of the inputs on which pictures are judged.
            wanted: rows.
            given: by the command line.

        Raises:
            DecigError: something is missing or cannot be read; see `readiness.require_ready`.
        """
        recipe = None if teacher.model.suffix == ".onnx" else teacher.model
        contest = given.contest(teacher, wanted, out=given.out / teacher.name, recipe=recipe)
        next(iter(ImageFolder(held_out, teacher.source().require_pixels().labels)))
        lacking = what_lacks(contest, wanted)
        made = [each for each in (*OWN, *PEERS) if each in wanted and each not in lacking]
        contest = replace(contest, methods=made)
        require_ready(contest)
        rivals = [each for each in RIVALS if each in wanted and each not in lacking]
        without = [each for each in rivals if each != NNCF]
        return cls(contest, Rivals(contest, without), wanted, held_out, lacking)

    def with_openvino(self, python: Path | None, reason: str) -> "Comparison":
        """Add the row that OpenVINO's environment makes, or why there is none."""
        if NNCF not in self.wanted:
            return self
        if python is None:
            return replace(self, lacking=self.lacking | {NNCF: reason})
        methods = (*self.rivals.methods, NNCF)
        return replace(self, rivals=Rivals(self.contest, methods, python))

    def train(self) -> list[str]:
        """Make what is not there yet; returns what went wrong, one line each."""
        return [*self.contest.train(), *self.rivals.make()]

    def entries(self) -> list[Entry]:
        """Finished results."""
        own = [each for target in self.contest.targets for each in self.contest.entries(target)]
        return [*own, *self.rivals.entries()]

    def judged(self, runtimes: Sequence[Runtime], seconds: float) -> Compared:
        """Time and judge all results on every runtime that runs them.

        Args:
            runtimes: in the order of the columns.
            seconds: of the timing.
        """
        entries, source = self.entries(), self.contest.teacher.source()
        remarks = self._remarks(entries)
        judge = Judge(source.model.path, self.held_out, source.require_pixels())
        inputs = judge.input(judge.photos[0])
        runs = []
        for entry in entries:
            for runtime in runtimes:
                if not runtime.reads(entry.file):
                    continue
                try:
                    runtime.prepare(entry.file, inputs)()
                    runs.append(replace(entry, runtime=runtime))
                except DecigError as error:
                    place = entry.target, entry.method
                    said = f"not on {runtime.name}: {error}"
                    remarks[place] = "; ".join(filter(None, (remarks.get(place), said)))
        rows = judge.rows(runs, seconds) if runs else []
        targets = [target.label for target in self.contest.targets]
        names = [runtime.name for runtime in runtimes]
        name, images = self.contest.teacher.name, len(judge.photos)
        return Compared(name, targets, names, rows, remarks, images)

    def _remarks(self, entries: Sequence[Entry]) -> dict[tuple[str, str], str]:
        """Why rows that were asked for are not there, or slower than asked; by target, method."""
        there = {(entry.target, entry.method) for entry in entries}
        found = {}
        for target in (None, *self.contest.targets):
            for method in self.wanted:
                key = "" if target is None else target.label, method
                if (method in UNTARGETED) == (target is None) and key not in there:
                    found[key] = self.lacking.get(method) or self._failure(target, method)
                elif target is not None and (slow := self._too_slow(target, method)):
                    found[key] = slow
        return found

    def _too_slow(self, target: Target, method: str) -> str | None:
        return self.rivals.too_slow(method, target) or self.contest.too_slow(method, target)

    def _failure(self, target: Target | None, method: str) -> str:
        out, label = self.contest.out, "" if target is None else target.label
        folders = [out / method / label, out / "export" / method / label]
        if said := next(filter(None, map(failure_in, folders)), None):
            return said
        if target is not None and method not in OWN and not self.contest.led(target, None):
            return "decig has no result whose latency and time it would get"
        return "not run"


def what_lacks(contest: Contest, methods: Sequence[str]) -> dict[str, str]:
    """Find out why rows cannot be made of a teacher.

    Returns:
        Reasons by method; of those that are not named nothing is known that would stop them.
    """
    from competitors.cutting import cut
    from competitors.family import family_of
    from competitors.teachers import load_teacher
    from competitors.training import crop_of

    from decig.graph.model import normalise
    from decig.training.config import Config
    from decig.training.trainable.module import build_module

    found: dict[str, str] = {}
    source = contest.teacher.source()
    pixels, path = source.require_pixels(), source.model.path
    if any(method in PEERS for method in methods):
        try:
            load_teacher(path, family_of(contest.recipe), pixels)
        except DecigError as error:
            found |= dict.fromkeys(PEERS, f"no PyTorch code of the teacher: {error}")
    if CUT in methods or CUT_TUNED in methods:
        try:
            graph = cut(path, 0.5)
            crop = crop_of(source.model.proto, pixels, Config.read(contest.config))
            try:
                build_module(normalise(graph), input_size=crop)
            except DecigError as error:
                found[CUT_TUNED] = f"decig cannot train it: {error}"
        except DecigError as error:
            found |= dict.fromkeys((CUT, CUT_TUNED), str(error))
    return found
