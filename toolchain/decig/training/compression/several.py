"""Several targets in one call: what can be shared is done once, and each target gets a run folder.

All targets have the cost table, the scores of channels, the images, the first pictures of the
teacher and its pictures of held-out images in common, and whatever steps a method does once for all
of them (`decig.training.methods.Step.shared`). Each target has the whole budget for its own steps;
a shared step uses its share of the budget once. A folder of several targets holds

targets.json    what was asked for
run.toml        how to go on with it, and to repeat it
profile.json    the cost table
shared/         files that a method makes once for all targets
4x/, 20ms/      a run folder for each target (`decig.training.runs.run`)
frontier.json   the figures of all targets that are done
.lock           locked by the process that is at work there
"""

import logging
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from decig.errors import DecigError, with_text
from decig.files import make_folder, write_json
from decig.progress import Progress
from decig.repeating import Said
from decig.schema import read_json
from decig.training.compression import frontier
from decig.training.compression.job import Job
from decig.training.compression.pipeline import (
    Towards,
    leaves,
    naming,
    prepare_all,
    record_of,
    run_steps,
    steps_of,
    tell_finished,
)
from decig.training.compression.planner import Goal
from decig.training.compression.preview import preview_of
from decig.training.compression.teacher import Teacher
from decig.training.config import Config
from decig.training.data.examples import Folders
from decig.training.loop.processes import Processes, together
from decig.training.runs.facts import require_same_files
from decig.training.runs.run import TARGETS_FILE, RunFolder, hold

_log = logging.getLogger(__name__)

SHARED_FOLDER = "shared"
"""Folder of the files that a method makes once for all targets."""
_OF_ONE = ("target_ms", "target_macs")
"""What the record of a goal says of one target alone."""


@dataclass(frozen=True)
class Several:
    """What a call with several targets is asked.

    Attributes:
        teacher: the model.
        folders: its images.
        goals: what is to be reached, by the name of each target's run folder, the slowest first.
            They differ in their latency alone.
        config: settings, and the name of the method.
    """

    teacher: Teacher
    folders: Folders
    goals: Mapping[str, Goal]
    config: Config

    def record(self) -> dict[str, Any]:
        """Return what targets.json says, as plain JSON values."""
        records = {name: goal.record() for name, goal in self.goals.items()}
        first = next(iter(records.values()))
        return {
            **self.teacher.record(),
            **self.folders.record(),
            **{key: value for key, value in first.items() if key not in _OF_ONE},
            **self.config.record(),
            "target_list": {
                name: next(record[key] for key in _OF_ONE if key in record)
                for name, record in records.items()
            },
        }

    def jobs(
        self, folder: Path, processes: Processes, progress: Progress, *, tensorboard: bool = False
    ) -> list[Job]:
        """Check everything and read the images; errors as for `prepare_all`."""
        targets = [
            Towards(goal, RunFolder(folder / name, tensorboard), _named(name, progress), name)
            for name, goal in self.goals.items()
        ]
        shared = RunFolder(folder / SHARED_FOLDER)
        return prepare_all(self.teacher, self.folders, targets, self.config, shared, processes)


@together()
def compress(
    asked: Several,
    output_dir: Path,
    *,
    resume: bool = False,
    said: Said | None = None,
    tensorboard: bool = False,
    progress: Progress,
) -> dict[str, Any] | None:
    """Compress to one target after the other; what is done already is not done again.

    A target that fails does not keep the others from being done, unless processes train together.

    Args:
        asked: what is to be done.
        output_dir: the folder of all targets.
        resume: go on in there; the same must have been asked for.
        said: what the command was told, for run.toml; None writes none.
        tensorboard: log losses for TensorBoard, in the run folder of each target.
        progress: told how far each step is, by names that begin with that of the target.

    Returns:
        The content of frontier.json; None in all processes but the main one.

    Raises:
        TargetMissedError: a latency is out of reach; names the target. Where that can be known
            beforehand, nothing was trained.
        BadInputError, DecigError: as for `decig.training.compression.pipeline.compress`; of
            targets that failed, once the others are done. Names each.
        KeyboardInterrupt: as there.
    """
    processes = Processes()
    record, output = asked.record(), RunFolder(output_dir)

    def check() -> None:
        RunFolder.check(output_dir, record, resume=resume, record_file=TARGETS_FILE)
        if resume:
            take()
            if not _all_finished(output, asked.goals):
                require_same_files(output_dir, asked.folders)

    def begin() -> None:
        if not resume:
            for job in jobs:
                with naming(job.run.path.name):
                    _ = job.planner.plan
            make_folder(output_dir)
            take()
        leave = leaves(jobs[0], said)
        RunFolder.open(output_dir, record, resume=resume, begun=leave, record_file=TARGETS_FILE)
        make_folder(jobs[0].shared.run.file("state"))

    with hold(output_dir) as take:
        processes.on_main(check)
        if processes.from_main(_all_finished(output, asked.goals)):
            processes.on_main(lambda: tell_finished(output_dir))
            file = output.file(frontier.FILE)
            return read_json(file, dict[str, Any], "figures") if processes.main else None
        jobs = asked.jobs(output_dir, processes, progress, tensorboard=tensorboard)
        for job in jobs:
            steps_of(job)
        processes.on_main(begin)
        failed: list[DecigError] = []
        for job in jobs:
            try:
                _compress_one(asked, job)
            except DecigError as error:
                if processes.count > 1:
                    raise  # the other processes have ended with this error
                # Without what the error holds: the nets and pools of the target that failed.
                failed.append(with_text(error, str(error)))
                if job is not jobs[-1]:
                    _log.warning("%s; the other targets go on", error)
            processes.on_main(lambda: _save_frontier(output, jobs))  # a later one may fail
        if failed:
            done = [job.run.path for job in jobs if job.run.finished]
            raise _all_of(failed, done)
        found = processes.on_main(lambda: _finish(output, jobs))
    return found if processes.main else None


@together()
def preview(asked: Several) -> dict[str, Any] | None:
    """Plan for every target without training and without writing anything.

    Returns:
        The plans by the name of their target; None in all processes but the main one.
    """
    processes = Processes()
    jobs = asked.jobs(Path(), processes, lambda *_: None)

    def plan() -> dict[str, Any]:
        found = {}
        for name, job in zip(asked.goals, jobs, strict=True):
            with naming(name):
                found[name] = preview_of(job)
        return found

    plans = processes.on_main(plan)
    return {"targets": plans} if processes.main else None


def _compress_one(asked: Several, job: Job) -> None:
    """Go on with the run of one target, or begin it."""
    processes = job.processes
    record = record_of(asked.teacher, asked.folders, job.goal, asked.config)
    if processes.from_main(job.run.finished):
        return
    with hold(job.run.path) as take, naming(job.run.path.name):

        def begin() -> None:
            make_folder(job.run.path)
            take()
            leave = leaves(job, None)
            RunFolder.open(job.run.path, record, resume=job.run.begun, begun=leave)

        processes.on_main(begin)
        run_steps(job, steps_of(job))


def _all_of(failed: Sequence[DecigError], done: Sequence[Path]) -> DecigError:
    """One error for those of all targets that failed; of their kind, where that is the same.

    Args:
        failed: what is said of each.
        done: run folders of the other targets.
    """
    count = len(failed) + len(done)
    text = f"{len(failed)} of {count} targets failed: {'; '.join(map(str, failed))}"
    text += f"; done: {', '.join(map(str, done))}" if done else ""
    same = len({error.exit_code for error in failed}) == 1
    return with_text(failed[0], text) if same else DecigError(text)


def _all_finished(folder: RunFolder, names: Iterable[str]) -> bool:
    """Whether the frontier of all targets is written, and nothing left to go on with."""
    ended = folder.done(frontier.FILE) and not folder.file("state").exists()
    return ended and all(RunFolder(folder.file(name)).finished for name in names)


def _save_frontier(folder: RunFolder, jobs: Sequence[Job]) -> dict[str, Any]:
    """Write down what the targets that are done have reached."""
    reports = {job.run.path.name: job.run.figures() for job in jobs if job.run.finished}
    found = frontier.of(reports)
    write_json(folder.file(frontier.FILE), found)
    return found


def _finish(folder: RunFolder, jobs: Sequence[Job]) -> dict[str, Any]:
    """Remove what was only there to go on from, and give the frontier."""
    jobs[0].shared.run.finish()
    folder.finish()
    return _save_frontier(folder, jobs)


def _named(target: str, progress: Progress) -> Progress:
    """Put the name of a target before those of its steps."""

    def tell(step: str, share: float, figures: dict[str, float]) -> None:
        progress(f"{target}: {step}", share, figures)

    return tell
