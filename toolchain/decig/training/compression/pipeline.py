"""`decig compress`: from a trained generator and a cost table to a slim student.

Runs the steps of a method whose files are missing from the run folder.
"""

import contextlib
import logging
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import torch

from decig.data.ports import other_pictures
from decig.errors import BadInputError, DecigError, with_text
from decig.files import make_folder
from decig.graph.cost import count
from decig.progress import Progress
from decig.repeating import Said
from decig.training import methods
from decig.training.compression.checks import look_over
from decig.training.compression.job import Job, Shared
from decig.training.compression.planner import Goal, Planner
from decig.training.compression.teacher import Teacher
from decig.training.config import Config
from decig.training.data.examples import Folders
from decig.training.loop.processes import Processes, together
from decig.training.runs.curve import Curve
from decig.training.runs.facts import require_same_files
from decig.training.runs.recording import record_result, record_start
from decig.training.runs.repeat import write_record
from decig.training.runs.run import Begun, RunFolder, hold

_log = logging.getLogger(__name__)


@together()
def compress(
    teacher: Teacher,
    folders: Folders,
    goal: Goal,
    config: Config,
    output_dir: Path,
    *,
    resume: bool = False,
    said: Said | None = None,
    tensorboard: bool = False,
    progress: Progress,
) -> dict[str, Any] | None:
    """Run the steps whose files are missing from the run folder.

    Args:
        teacher: the model.
        folders: its images.
        goal: what is to be reached, and on which device.
        config: settings, and the name of the method.
        output_dir: the run folder.
        resume: go on with the run in there, for which the same was asked.
        said: what the command was told, for run.toml; None writes none.
        tensorboard: log losses for TensorBoard, in the run folder.
        progress: told how far each step is.

    Returns:
        The content of report.json; None in all processes but the main one.

    Raises:
        BadInputError: the table is of another graph, images do not fit or are others than those
            that the run began with, the run folder is taken, or another process is at work there.
        TargetMissedError: no plan reaches the latency; the message names the fastest.
        DecigError: training failed; the state is kept.
        KeyboardInterrupt: Ctrl-C or SIGTERM; the state is kept.
    """
    processes = Processes()
    record = record_of(teacher, folders, goal, config)

    def check() -> None:
        RunFolder.check(output_dir, record, resume=resume)
        if resume:
            take()
            if not RunFolder(output_dir).finished:
                require_same_files(output_dir, folders)

    def begin(job: Job) -> None:
        if not resume:
            _ = job.planner.plan  # a latency out of reach ends a new run before a file is written
            make_folder(output_dir)
            take()
        RunFolder.open(output_dir, record, resume=resume, begun=leaves(job, said))

    with hold(output_dir) as take:
        processes.on_main(check)
        run = RunFolder(output_dir, tensorboard)
        if processes.from_main(run.finished):
            processes.on_main(partial(tell_finished, output_dir))
            return run.figures() if processes.main else None
        job = prepare(teacher, folders, goal, config, run, processes, progress)
        steps = steps_of(job)
        processes.on_main(lambda: begin(job))
        figures = run_steps(job, steps)
    return figures if processes.main else None


def tell_finished(folder: Path) -> None:
    """Say that nothing is left of a run to go on with."""
    _log.info("%s: this run is finished; nothing is left to go on with", folder)


def record_of(teacher: Teacher, folders: Folders, goal: Goal, config: Config) -> dict[str, Any]:
    """What run.json says of what was asked for, as plain JSON values."""
    return {**teacher.record(), **folders.record(), **goal.record(), **config.record()}


def leaves(job: Job, said: Said | None) -> Begun:
    """What is left in the folder of a new run: its cost table, and how to repeat it."""

    def leave(path: Path) -> None:
        job.goal.target.leave(path)
        if said is not None:
            write_record(path, job, said)

    return leave


def prepare(
    teacher: Teacher,
    folders: Folders,
    goal: Goal,
    config: Config,
    run: RunFolder,
    processes: Processes,
    progress: Progress,
) -> Job:
    """Prepare a compression to one target; arguments and errors as for `prepare_all`."""
    goals = [Towards(goal, run, progress)]
    return prepare_all(teacher, folders, goals, config, run, processes)[0]


@dataclass(frozen=True)
class Towards:
    """One of the targets of a call.

    Attributes:
        goal: what is to be reached, and on which device.
        run: the run folder, which need not be there yet.
        progress: told how far each step is.
        name: of the target, for messages; empty where there is no other.
    """

    goal: Goal
    run: RunFolder
    progress: Progress
    name: str = ""


def prepare_all(
    teacher: Teacher,
    folders: Folders,
    targets: Sequence[Towards],
    config: Config,
    shared: RunFolder,
    processes: Processes,
) -> list[Job]:
    """Find out whether the model can be trained at all, then read the images.

    What costs least is checked first. The targets differ in nothing but the latency to reach.

    Args:
        teacher: the model.
        folders: its images.
        targets: what is to be reached, the slowest first.
        config: settings, and the name of the method.
        shared: folder of the files that are made once for all targets.
        processes: that train together.

    Raises:
        BadInputError: the table is of another graph, a latency is needed and none asked, images
            do not fit or are too few, a node of the model cannot be trained, or its pictures show
            that a range is stated wrongly.
        TargetMissedError: the latency is far out of reach.
        DecigError: the trainable module does not compute what the model does.
    """
    first = targets[0]
    first.goal.target.require_same_model(teacher.model, teacher.channels)
    for each in targets:
        processes.on_main(partial(_require_reachable, each, config))
    examples = look_over(teacher, folders, config, whole=first.goal.fold_norms)
    scores = Planner(teacher, first.goal, examples, first.progress)
    planners = [scores, *(scores.toward(each.goal, each.progress) for each in targets[1:])]
    if processes.main:
        first.progress("read images", 0.0, {})
    _ = examples.training  # whatever is wrong with one of them is found now
    common = Shared(shared, tuple(planners), teacher, examples)
    # The teacher's pictures may show that a range is stated wrongly.
    processes.on_main(lambda: bool(common.judge))
    untrained = [info.name for info in other_pictures(teacher.model.proto, teacher.pixels, 1)]
    if untrained and processes.main:
        shown = ", ".join(untrained)
        _log.warning("only %s is trained and judged; %s may change", teacher.picture, shown)
    return [
        Job(
            teacher,
            examples,
            each.goal,
            own,
            config,
            each.run,
            processes,
            Curve(each.run, each.progress),
            common,
        )
        for each, own in zip(targets, planners, strict=True)
    ]


def _require_reachable(target: Towards, config: Config) -> None:
    """Refuse a latency that is far out of reach, or none where one is needed."""
    target_ms = target.goal.target_ms
    if target_ms is None:
        if config.needs_target:
            text = "give the latency to reach: these settings find no widths without one"
            raise BadInputError(text)
        return
    with naming(target.name):
        target.goal.target.require_reachable(target_ms)


@contextlib.contextmanager
def naming(target: str) -> Iterator[None]:
    """Say which of several targets failed; the name is empty where there is one."""
    try:
        yield
    except DecigError as error:
        if not target:
            raise
        raise with_text(error, f"{target}: {error}") from error


def steps_of(job: Job) -> list[methods.Step]:
    """The steps of a compression; ValueError where they do not share out the whole budget."""
    steps = methods.find(job.config.method).steps(job)
    total = sum(step.share for step in steps)
    if not math.isclose(total, 1.0):
        raise ValueError(f"the method's steps take {total} of the budget, not the whole")
    return steps


def run_steps(job: Job, steps: Sequence[methods.Step]) -> dict[str, Any]:
    """Run the steps whose files are missing from an open run folder; returns the report."""
    processes = job.processes
    processes.on_main(lambda: record_start(job))
    parts = job.goal.budget.parts([step.share for step in steps])
    for step, part in zip(steps, parts, strict=True):
        folder = job.shared.run if step.shared else job.run
        if processes.from_main(folder.done(*step.makes)):
            continue
        if step.alone:
            processes.on_main(partial(step.run, part))
        else:
            step.run(part)
        processes.wait()
        torch.cuda.empty_cache()  # what follows on the same GPU may be ONNX Runtime
    return processes.on_main(lambda: _finish(job))


def _finish(job: Job) -> dict[str, Any]:
    """Complete the report, and remove the saved states."""
    job.progress("measure the result", 0.0, {})
    target = job.goal.target
    student = job.run.load_graph("student.onnx").proto
    figures: dict[str, Any] = {
        "method": job.config.method,
        "rewrites": list(target.rewrites(student)),
        **target.asked(job.goal.target_ms),
        "measured_latency_ms": None,
    }
    before, after = count(job.teacher.model.proto), count(student)
    figures["macs"] = {"before": before.macs, "after": after.macs}
    figures["params"] = {"before": before.params, "after": after.params}
    figures["file_bytes"] = job.run.file("student.onnx").stat().st_size
    if target.bench is not None:
        latency = target.bench.latency(student)
        figures["measured_latency_ms"] = latency.median_ms
        figures["measured_latency_us"] = latency.to_dict()
        roofline = target.bench.roofline(student)
        figures |= {} if roofline is None else {"roofline": roofline}
    job.run.add_figures(figures | record_result(job, student, figures))
    found = job.run.add_warnings(target.caveats)
    job.run.finish()
    return found
