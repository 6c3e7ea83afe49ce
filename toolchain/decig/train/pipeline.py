"""`decig compress`: from a trained generator and a cost table to a slim student.

Runs the steps of a method whose files are missing from the run folder.
"""

import logging
import math
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

from decig.data.ports import other_pictures
from decig.errors import DecigError
from decig.progress import Progress
from decig.train import methods
from decig.train.config import Config
from decig.train.examples import Examples, Folders
from decig.train.job import Job
from decig.train.parity import require_parity
from decig.train.planner import Goal, Planner
from decig.train.processes import Processes
from decig.train.run import RunFolder
from decig.train.teacher import Teacher

_log = logging.getLogger(__name__)


def compress(
    teacher: Teacher,
    folders: Folders,
    goal: Goal,
    config: Config,
    output_dir: Path,
    *,
    resume: bool = False,
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
        progress: told how far each step is.

    Returns:
        The content of report.json; None in all processes but the main one.

    Raises:
        BadInputError: the table is of another graph, images do not fit, the run folder is taken.
        TargetMissedError: no plan reaches the latency; the message names the fastest.
        DecigError: training failed or was interrupted; the state is kept.
    """
    processes = Processes()
    record = {**teacher.record(), **folders.record(), **goal.record(), **config.record()}
    processes.on_main(lambda: RunFolder.check(output_dir, record, resume=resume))
    job = prepare(teacher, folders, goal, config, RunFolder(output_dir), processes, progress)
    steps = methods.find(config.method).steps(job)
    _require_whole(steps)

    def begin() -> None:
        if not resume:
            _ = job.planner.plan  # a latency out of reach ends here, before any file is written
        RunFolder.open(output_dir, record, resume=resume)

    processes.on_main(begin)
    try:
        _run_missing(job, steps)
    except KeyboardInterrupt as interrupt:
        raise DecigError(f"{output_dir}: stopped; go on with --resume") from interrupt
    figures = processes.on_main(lambda: _finish(job))
    return figures if processes.main else None


def preview(teacher: Teacher, folders: Folders, goal: Goal, config: Config) -> dict[str, Any]:
    """Plan without training and without writing anything; errors as for `compress`."""
    nowhere = RunFolder(Path())
    job = prepare(teacher, folders, goal, config, nowhere, Processes(), lambda *_: None)
    widths = {name: len(kept) for name, kept in job.planner.plan.keep.items()}
    return {
        "widths": widths,
        "channels": {group.name: group.channels for group in teacher.channels.prunable},
        "predicted_latency_ms": job.planner.predict_ms(widths),
    } | _warnings(goal)


def prepare(
    teacher: Teacher,
    folders: Folders,
    goal: Goal,
    config: Config,
    run: RunFolder,
    processes: Processes,
    progress: Progress,
) -> Job:
    """Read the images, and find out whether the model can be trained at all.

    Args:
        teacher: the model.
        folders: its images.
        goal: what is to be reached, and on which device.
        config: settings, and the name of the method.
        run: the run folder, which need not be there yet.
        processes: that train together.
        progress: told how far each step is.

    Raises:
        BadInputError: the table is of another graph, images do not fit or are too few, a node of
            the model cannot be trained, or its pictures show that a range is stated wrongly.
        DecigError: the trainable module does not compute what the model does.
    """
    goal.target.table.require_same_model(teacher.model, teacher.channels)
    seed, whole = config.train.seed, goal.fold_norms
    examples = Examples(teacher, folders, config.distil, seed=seed, whole=whole)
    crop = examples.crop()
    real = examples.paired or examples.unpaired is not None
    config.distil.require_crop(crop or examples.size, real=real)
    planner = Planner(teacher, goal, examples, progress)
    module = teacher.module(crop)
    feeds = examples.feeds(examples.training[:1])[0]
    require_parity(module, teacher.model.proto, feeds, [teacher.picture])
    job = Job(teacher, examples, goal, planner, config, run, processes, progress)
    # The teacher's pictures may show that a range is stated wrongly.
    processes.on_main(lambda: bool(job.judge))
    untrained = [info.name for info in other_pictures(teacher.model.proto, teacher.pixels, 1)]
    if untrained and processes.main:
        shown = ", ".join(untrained)
        _log.warning("only %s is trained and judged; %s may change", teacher.picture, shown)
    return job


def _require_whole(steps: Sequence[methods.Step]) -> None:
    total = sum(step.share for step in steps)
    if not math.isclose(total, 1.0):
        raise ValueError(f"the method's steps take {total} of the budget, not the whole")


def _run_missing(job: Job, steps: Sequence[methods.Step]) -> None:
    processes = job.processes
    for step in steps:
        if processes.from_main(job.run.done(*step.makes)):
            continue
        part = job.goal.budget.part(step.share)
        if step.alone:
            processes.on_main(partial(step.run, part))
        else:
            step.run(part)
        processes.wait()


def _finish(job: Job) -> dict[str, Any]:
    """Remove the saved states, and complete the report."""
    job.run.finish()
    target = job.goal.target
    figures: dict[str, Any] = {"rewrites": list(target.rewrites)}
    if target.bench is not None:
        roofline = target.bench.roofline(job.run.load_graph("student.onnx").proto)
        figures |= {} if roofline is None else {"roofline": roofline}
    job.run.add_figures(figures)
    return job.run.add_warnings(target.warnings)


def _warnings(goal: Goal) -> dict[str, Any]:
    return {"warnings": list(goal.target.warnings)} if goal.target.warnings else {}
