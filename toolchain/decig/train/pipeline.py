"""`decig compress`: from a trained generator and a cost table to a slim student.

Runs the steps of a method whose files are missing from the run folder.
"""

import logging
import math
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from decig.data.ports import other_pictures, output_image
from decig.errors import BadInputError
from decig.files import make_folder
from decig.progress import Progress
from decig.quality.metrics import SSIM_WINDOW
from decig.train import methods
from decig.train.adversary import trained_discriminator
from decig.train.config import Config
from decig.train.examples import Examples, Folders
from decig.train.job import Job
from decig.train.parity import require_parity
from decig.train.planner import Goal, Planner
from decig.train.processes import Processes
from decig.train.run import TABLE_FILE, Begun, RunFolder, hold
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
    begun: Begun | None = None,
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
        begun: leaves in the folder of a new run what is needed to go on with it.
        tensorboard: log losses for TensorBoard, in the run folder.
        progress: told how far each step is.

    Returns:
        The content of report.json; None in all processes but the main one.

    Raises:
        BadInputError: the table is of another graph, images do not fit, the run folder is taken,
            or another process is at work there.
        TargetMissedError: no plan reaches the latency; the message names the fastest.
        DecigError: training failed; the state is kept.
        KeyboardInterrupt: Ctrl-C; the state is kept.
    """
    processes = Processes()
    record = {**teacher.record(), **folders.record(), **goal.record(), **config.record()}

    def check() -> None:
        RunFolder.check(output_dir, record, resume=resume)
        if resume:
            take()

    with hold(output_dir) as take:
        processes.on_main(check)
        run = RunFolder(output_dir, tensorboard)
        job = prepare(teacher, folders, goal, config, run, processes, progress)
        steps = methods.find(config.method).steps(job)
        _require_whole(steps)
        processes.on_main(lambda: _begin(job, record, take, begun, resume=resume))
        _run_missing(job, steps)
        figures = processes.on_main(lambda: _finish(job))
    return figures if processes.main else None


def _begin(
    job: Job,
    record: dict[str, Any],
    take: Callable[[], None],
    begun: Begun | None,
    *,
    resume: bool,
) -> None:
    """Open the run folder; a latency out of reach ends a new run before any file is written."""
    folder = job.run.path

    def leave(path: Path) -> None:
        job.goal.target.table.save(path / TABLE_FILE)
        if begun is not None:
            begun(path)

    if not resume:
        _ = job.planner.plan
        make_folder(folder)
        take()
    RunFolder.open(folder, record, resume=resume, begun=leave)


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
    """Find out whether the model can be trained at all, then read the images.

    What costs least is checked first.

    Args:
        teacher: the model.
        folders: its images.
        goal: what is to be reached, and on which device.
        config: settings, and the name of the method.
        run: the run folder, which need not be there yet.
        processes: that train together.
        progress: told how far each step is.

    Raises:
        BadInputError: the table is of another graph, a latency is needed and none asked, images
            do not fit or are too few, a node of the model cannot be trained, or its pictures show
            that a range is stated wrongly.
        TargetMissedError: the latency is far out of reach.
        DecigError: the trainable module does not compute what the model does.
    """
    goal.target.table.require_same_model(teacher.model, teacher.channels)
    if goal.target_ms is None and config.needs_target:
        raise BadInputError("give the latency to reach: these settings find no widths without one")
    if goal.target_ms is not None:
        goal.target.require_reachable(goal.target_ms)
    examples = look_over(teacher, folders, config, whole=goal.fold_norms)
    planner = Planner(teacher, goal, examples, progress)
    if processes.main:
        progress("read images", 0.0, {})
    _ = examples.training  # whatever is wrong with one of them is found now
    job = Job(teacher, examples, goal, planner, config, run, processes, progress)
    # The teacher's pictures may show that a range is stated wrongly.
    processes.on_main(lambda: bool(job.judge))
    untrained = [info.name for info in other_pictures(teacher.model.proto, teacher.pixels, 1)]
    if untrained and processes.main:
        shown = ", ".join(untrained)
        _log.warning("only %s is trained and judged; %s may change", teacher.picture, shown)
    return job


def look_over(teacher: Teacher, folders: Folders, config: Config, *, whole: bool) -> Examples:
    """Find out what can be found out of a compression without its device; takes seconds.

    Args:
        teacher: the model.
        folders: its images.
        config: settings.
        whole: whether crops as large as the model's input will be asked for.

    Returns:
        The images, of which the first one was read.

    Raises:
        BadInputError: images do not fit or are too few, or a node of the model cannot be trained.
        DecigError: the trainable module does not compute what the model does.
    """
    examples = Examples(teacher, folders, config.distil, seed=config.train.seed, whole=whole)
    crop = examples.crop()
    judged = _require_judge(examples, config)
    real = not examples.only_teacher
    config.distil.require_crop(crop or examples.size, real=real, judged=judged)
    _require_judged(teacher)
    module = teacher.module(crop)
    feeds = examples.feeds([examples.first])[0]
    require_parity(module, teacher.model.proto, feeds, [teacher.picture])
    return examples


def _require_judge(examples: Examples, config: Config) -> int | None:
    """Refuse a discriminator that fits neither the model nor what is asked of it.

    Returns:
        The least side of the pictures that it can judge; None where none was given.
    """
    file = examples.discriminator
    if file is None:
        return None
    if not config.distil.needs_judge(real=not examples.only_teacher):
        why = "adversarial is 0 in the table [distil] of the settings"
        if examples.only_teacher:
            why = (
                "give real pictures (targets or unpaired ones), or let it take the teacher's for "
                "real, with imitation above 0 in the table [distil] of the settings"
            )
        raise BadInputError(f"{file}: this discriminator would judge nothing: {why}")
    return trained_discriminator(file, examples.input_channels, examples.real).smallest


def _require_judged(teacher: Teacher) -> None:
    """Refuse pictures that are too small to be judged."""
    height, width = teacher.pixels.size_of(output_image(teacher.model.proto, teacher.pixels).shape)
    if min(height, width) < SSIM_WINDOW:
        raise BadInputError(
            f"{teacher.model.path}: its pictures of {height}x{width} pixels are too small to be "
            f"judged, which needs {SSIM_WINDOW}x{SSIM_WINDOW}"
        )


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
    """Complete the report, and remove the saved states."""
    target = job.goal.target
    figures: dict[str, Any] = {
        "method": job.config.method,
        "rewrites": list(target.rewrites),
        "target_latency_ms": job.goal.target_ms,
        "original_latency_ms": target.as_it_is_ms,
        "measured_latency_ms": None,
    }
    if target.bench is not None:
        student = job.run.load_graph("student.onnx").proto
        figures["measured_latency_ms"] = target.bench.latency(student).median_ms
        roofline = target.bench.roofline(student)
        figures |= {} if roofline is None else {"roofline": roofline}
    job.run.add_figures(figures)
    found = job.run.add_warnings(target.warnings)
    job.run.finish()
    return found


def _warnings(goal: Goal) -> dict[str, Any]:
    return {"warnings": list(goal.target.warnings)} if goal.target.warnings else {}
