"""What makes a trained model smaller: compress. It needs the extra decig[train]."""

import logging
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from decig.api.deployment import profile
from decig.api.models import File, Given, as_path, as_source, as_table
from decig.api.targets import NO_DEVICE, Numbers, wanted_of
from decig.device.cost.table import CostTable
from decig.device.plan.compute import MacsTarget
from decig.device.plan.target import TABLE_FILE, Target
from decig.device.plan.wanted import Wanted
from decig.device.run.device import Device
from decig.errors import BadInputError
from decig.extras import needs_torch
from decig.files import make_folder
from decig.graph.channels import analyse
from decig.progress import Progress, silent
from decig.repeating import (
    FILE,
    Recorded,
    Said,
    read_options,
    read_recorded,
    require_text,
    was_said,
)
from decig.schema import read_json
from decig.source.source import Source

if TYPE_CHECKING:
    from decig.training.compression.teacher import Teacher
    from decig.training.config import Config
    from decig.training.data.examples import Folders

_log = logging.getLogger(__name__)

BUDGET_S = 1200.0
"""Seconds of training where neither a budget nor a number of steps is given."""


def compress(
    model: Given,
    output_dir: File,
    *,
    data: File | None = None,
    targets: File | None = None,
    unpaired: File | None = None,
    discriminator: File | None = None,
    table: CostTable | File | None = None,
    force: bool = False,
    target_latency_ms: Numbers | None = None,
    target_speedup: Numbers | None = None,
    target_macs: Numbers | None = None,
    method: str | None = None,
    config: File | None = None,
    budget_s: float | None = None,
    steps: int | None = None,
    fold_norms: bool = False,
    tensorboard: bool = False,
    dry_run: bool = False,
    resume: bool = False,
    locked: File | None = None,
    accept: bool = False,
    said: Said | None = None,
    progress: Progress = silent,
) -> dict[str, Any] | None:
    """Make a model as fast as asked, and train it to paint as before.

    Args:
        model: to compress.
        output_dir: the run folder, which is made.
        data: folder of images to feed the model; None where it takes none. Here as for the next
            two, :A behind its name stands for the left halves of its images, :B for the right ones.
        targets: folder of real pictures for these images, of the same names.
        unpaired: folder of real pictures of what the model paints, which belong to no image.
        discriminator: file of the discriminator that the model was trained with.
        table: cost table of the model; None profiles it here first, or takes the profile.json of
            `output_dir` where an earlier call left one of this model and device there.
        force: accept a table of another device, by which latencies are only predicted.
        target_latency_ms: latency to reach, in milliseconds; of this and the next two, one.
        target_speedup: how many times faster than the model.
        target_macs: multiply-accumulates, or below 1 a share of the model's, for no device.
        method: how widths are found; None for "decig".
        config: file of settings, TOML; a table [options] in it is for the command alone.
        budget_s: seconds of training for each target; 1200 where `steps` is not given either.
        steps: steps of training for each target.
        fold_norms: make InstanceNorms part of convolutions where pictures allow it.
        tensorboard: log losses for TensorBoard in the run folder.
        dry_run: plan only: nothing is trained or written, and the plan is returned.
        resume: go on with the run in `output_dir`; all else must be asked as before.
        locked: run.toml of the run that is repeated: where anything differs from what it recorded,
            that is an error, and plans are taken from there. All else must be asked as it says.
        accept: with `locked`, tell what differs and go on.
        said: what a command was told, which is written into run.toml; None writes none.
        progress: told the step, how far it is from 0 to 1, and its latest figures.

    Returns:
        The content of report.json, or of frontier.json for several targets; None in all processes
        but the main one.

    Raises:
        BadInputError: what is asked for does not go together, or does not fit the model.
        TargetMissedError: no plan reaches a target.
        DecigError: training failed; the state is kept.
        KeyboardInterrupt: Ctrl-C or SIGTERM; the state is kept.
    """
    with needs_torch("decig compress"):
        from decig.training.compression import checks, pipeline, preview, several
        from decig.training.compression.planner import Goal
        from decig.training.compression.teacher import Teacher
        from decig.training.data.examples import Folders
        from decig.training.loop.events import require_events
        from decig.training.loop.processes import Processes
        from decig.training.loop.schedule import Budget

    if tensorboard:
        require_events("--tensorboard")
    source, folder = as_source(model), Path(output_dir)
    wanted = wanted_of(target_latency_ms, target_speedup, target_macs)
    if budget_s is not None and steps is not None:
        raise BadInputError("give one of a budget and a number of steps")
    if (budget_s is not None and not budget_s > 0) or (steps is not None and steps < 1):
        raise BadInputError("a budget, or a number of steps, is above 0")
    if targets is not None and unpaired is not None:
        raise BadInputError("give one of targets and unpaired pictures")
    if wanted and wanted[0].kind == "macs" and table is not None:
        raise BadInputError(NO_DEVICE)
    source.require_feeds()
    source.require_picture()
    settings = settings_of(folder, as_path(config), method, resume=resume)
    teacher = Teacher(source.model, source.require_pixels(), source.feeds)
    images = Folders(*map(_absolute, (data, targets, unpaired, discriminator)))
    require_text(said, teacher.record(), images.images, images.targets, images.unpaired)

    if not dry_run:  # said once, by the main process
        Processes().on_main(partial(_require_free, folder, wanted, resume=resume))

    def look_over() -> None:
        checks.look_over(teacher, images, settings, whole=fold_norms)

    costs = None if table is None else as_table(table)
    if resume and _is_to_begin(folder):
        if not dry_run:
            _log.info("%s: was stopped before it began to train, and begins now", folder)
        resume = False
    known = _begun(folder, teacher) if resume else None
    if locked is not None:
        known = _locked(Path(locked), teacher, images, costs, progress, accept=accept)
        if steps is None:
            _log.warning("%s: trained for a time, not in steps: weights will differ", locked)
        if settings.plans_on_the_way:
            _log.warning("%s: plans are measured while it trains: weights may differ", locked)
    keeps = not (dry_run or resume)
    measure = partial(_measured, source, folder, progress, keeps=keeps)
    target = _target(source, costs, wanted, look_over, measure, force=force or accept)
    seconds = BUDGET_S if budget_s is None else budget_s
    budget = Budget(seconds if steps is None else None, steps)
    goal = partial(Goal, target, budget=budget, fold_norms=fold_norms)
    goals = {
        each.name: goal(
            each.counted(target.as_it_is_ms),
            name=each.name,
            widths=None if known is None else known.widths.get(each.name),
        )
        for each in wanted
    }
    run: dict[str, Any] = {
        "resume": resume,
        "said": said,
        "tensorboard": tensorboard,
        "progress": progress,
    }
    if len(goals) > 1:
        call = several.Several(teacher, images, goals, settings)
        return several.preview(call) if dry_run else several.compress(call, folder, **run)
    what = (teacher, images, next(iter(goals.values()), goal(None)), settings)
    return preview.preview(*what) if dry_run else pipeline.compress(*what, folder, **run)


def settings_of(
    folder: Path | None, config: Path | None, method: str | None, *, resume: bool
) -> "Config":
    """The settings asked for, or those with which the run began that goes on.

    Args:
        folder: of the run; None where it has none yet.
        config: file of settings.
        method: that was asked for.
        resume: whether the run there goes on.
    """
    from decig.training.config import Config
    from decig.training.methods import DEFAULT

    if folder is not None and resume and method is None:
        said = folder / FILE
        if (file := _record_of(folder)) is not None:
            begun = Config.recorded(file)
            return begun if config is None else Config.read(config, begun.method)
        if said.is_file():
            return Config.read(config or said, read_options(said).get("method", DEFAULT))
    return Config.read(config, method or DEFAULT)


def _record_of(folder: Path) -> Path | None:
    """The file that says what the run in a folder was asked; None where none has begun."""
    from decig.training.runs.run import RUN_FILE, TARGETS_FILE

    files = (folder / name for name in (RUN_FILE, TARGETS_FILE))
    return next((file for file in files if file.is_file()), None)


def _is_to_begin(folder: Path) -> bool:
    """Whether a run was stopped once its options were written, and before it began."""
    return was_said(folder, "compress") and _record_of(folder) is None


def _require_free(folder: Path, wanted: Sequence[Wanted], *, resume: bool) -> None:
    """Check that the run folder holds what is expected, before anything is profiled.

    Raises:
        BadInputError: as for `RunFolder.check`, or the run that goes on has a target of another
            kind: a latency, or multiply-accumulates for no device.
    """
    from decig.training.runs.run import RUN_FILE, TARGETS_FILE, RunFolder

    file = TARGETS_FILE if len(wanted) > 1 else RUN_FILE
    goes_on = resume and not _is_to_begin(folder)
    RunFolder.check(folder, {}, resume=goes_on, record_file=file)
    if not (goes_on and wanted):
        return
    known = read_json(folder / file, dict[str, Any], "record of a run to resume")
    kinds = ("a latency", "multiply-accumulates")
    there, asked = "device" not in known, wanted[0].kind == "macs"
    if there != asked:
        raise BadInputError(
            f"{folder}: the run there has a target of {kinds[there]}, not of {kinds[asked]}: leave "
            "the target out to go on with it"
        )


def _begun(folder: Path, teacher: "Teacher") -> Recorded | None:
    """What a run of this model recorded when it began; None where that is not known."""
    file = folder / FILE
    known = read_recorded(file) if file.is_file() else None
    return known if known is not None and known.model == teacher.model.sha256 else None


def _target(
    source: Source,
    table: CostTable | None,
    wanted: Sequence[Wanted],
    look_over: Callable[[], None],
    measure: Callable[[], CostTable],
    *,
    force: bool,
) -> Target | MacsTarget:
    """The device to plan for, profiled here where no cost table is given; or none at all.

    Args:
        source: the model.
        table: its cost table.
        wanted: the targets.
        look_over: finds whatever else may be wrong before anything is measured.
        measure: takes the cost table of the model here.
        force: whether to plan with the table of another device.
    """
    from decig.training.loop.processes import Processes

    if wanted and wanted[0].kind == "macs":
        return MacsTarget(source.model, analyse(source.model.proto))
    processes = Processes()
    if table is None:
        look_over()
        table = processes.on_main(measure)
    target = partial(Target.of, table, source.model)
    # The main process alone measures; the others may be on other machines.
    return processes.after_main(partial(target, force=force), partial(target, force=True))


def _measured(source: Source, folder: Path, progress: Progress, *, keeps: bool) -> CostTable:
    """The cost table that an earlier call left in a folder, or one that is taken now.

    Taking it is the longest part of what comes before training, and a target that proves out of
    reach, or Ctrl-C, need not cost it.

    Args:
        source: the model.
        folder: of the run, which need not be there.
        progress: told how far the measuring is.
        keeps: whether the table is left in the folder, for the next call.
    """
    # A latency belongs to a number of threads; one is what tables are taken with.
    device, file = Device.of(threads=1), folder / TABLE_FILE
    table = _left(file, source, device)
    if table is not None:
        _log.info("%s: this cost table is used, as it is of MODEL and this device", file)
        return table
    table = profile(source, device=device, progress=progress)
    if keeps:
        make_folder(folder)
        table.save(file)
    return table


def _left(file: Path, source: Source, device: Device) -> CostTable | None:
    """The cost table in a file, if it is one of this very model on this very device."""
    try:
        table = CostTable.load(file)
        table.require_same_model(source.model, analyse(source.model.proto))
    except BadInputError:  # where there is none, too
        return None
    return table if device.fingerprint().difference(table.device) is None else None


def _locked(
    file: Path,
    teacher: "Teacher",
    images: "Folders",
    table: CostTable | None,
    progress: Progress,
    *,
    accept: bool,
) -> Recorded:
    """What a run recorded that is repeated, once that was compared with what is here.

    Raises:
        BadInputError: something differs, and `accept` is false.
    """
    from decig.training.loop.processes import Processes
    from decig.training.runs.facts import Facts

    processes = Processes()

    def compare() -> Recorded:
        facts = Facts.of(teacher, images, table, processes, progress)
        found = facts.require_same(file, accept=accept)
        # Widths of another graph would not fit this one.
        return found if found.model == teacher.model.sha256 else Recorded(command=found.command)

    return processes.on_main(compare)


def _absolute(path: File | None) -> Path | None:
    """A path that still holds when export reads it in another working directory."""
    return None if path is None else Path(path).absolute()
