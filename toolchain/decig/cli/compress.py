"""`decig compress`: make a model as fast as asked, and train it to paint as before."""

from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from decig.cli.options import force_option, json_option, source_options
from decig.cli.process import debug_option, one_of, require_answers, show
from decig.cli.resuming import (
    ResumableCommand,
    output_dir_option,
    record_command,
    resume_option,
    says_how_to_go_on,
    tensorboard_option,
)
from decig.cli.targets import OPTIONS as TARGET_OPTIONS
from decig.cli.targets import asked_targets, target_options, wanted_ms
from decig.cli.values import EXISTING_FILE, EXISTING_FOLDER, FILE, time_budget
from decig.extras import needs_torch

if TYPE_CHECKING:
    from decig.device.cost.table import CostTable
    from decig.device.plan.compute import MacsTarget
    from decig.device.plan.target import Target
    from decig.graph.model import Model
    from decig.source.source import Source
    from decig.train.config import Config
    from decig.train.teacher import Teacher

BUDGET_S = 1200.0
"""Seconds of training where neither --budget nor --steps is given."""
_NO_TARGET = (
    "give --target-latency, --target-speedup or --target-macs: without any of them, only stage I "
    "of the method decig finds widths, and it is off (condense above 0 in the table [decig] of "
    "--config)"
)

_NO_DATA = "give --data DIR: MODEL is fed images, or files"


@click.command(
    cls=ResumableCommand,
    exclusive=(
        TARGET_OPTIONS,
        ("budget", "steps"),
        ("one_hot", "palette"),
    ),
    kept={"profile": "profile.json"},
    not_recorded=("config", "method"),  # run.json holds the settings
)
@click.option(
    "--profile",
    type=EXISTING_FILE,
    help="Cost table of MODEL on the device; without it, MODEL is profiled here first.",
)
@click.option("--data", type=EXISTING_FOLDER, help="Folder of images to feed MODEL.")
@click.option(
    "--targets", type=EXISTING_FOLDER, help="Folder of real pictures for them, of the same names."
)
@click.option(
    "--unpaired",
    type=EXISTING_FOLDER,
    help="Folder of real pictures of what MODEL paints, which belong to no image of --data.",
)
@click.option(
    "--discriminator",
    type=FILE,
    help="Discriminator that MODEL was trained with (latest_net_D.pth): it judges what is left.",
)
@output_dir_option
@target_options
@click.option(
    "--method", metavar="NAME", help="How widths are found: decig (default), or a module of yours."
)
@click.option(
    "--budget",
    type=time_budget,
    metavar="20m",
    help="How long to train; 20m if unsaid. Of several targets each has that long; a supernet, "
    "which they share, is trained once.",
)
@click.option(
    "--steps",
    type=click.IntRange(min=1),
    metavar="N",
    help="How many steps to train, for each target.",
)
@click.option("--config", type=EXISTING_FILE, help="Settings of the training, TOML.")
@click.option(
    "--fold-norms",
    is_flag=True,
    help="Make InstanceNorms part of convolutions where pictures allow it.",
)
@tensorboard_option
@resume_option
@click.option("--dry-run", is_flag=True, help="Show the plan; train nothing and write nothing.")
@source_options(pixels=True)
@force_option
@json_option
@debug_option
def compress(source: "Source", as_json: bool, dry_run: bool, force: bool, **asked: Any) -> None:
    """Make MODEL as fast as asked, and train it.

    Plans with the cost table, slices, repairs, and trains what is left to paint as MODEL does.
    Several targets are compressed to one after the other, the slowest first, and compared in a
    table and in RUN/frontier.json.
    """
    from decig.cli.frontier import print_frontier, print_previews
    from decig.cli.progress import ProgressBar
    from decig.cli.summary import print_compression
    from decig.cli.tables import print_figures
    from decig.report.page import write_where_possible

    wanted = asked_targets(asked)
    one_of(asked, "budget", "steps")
    with needs_torch("decig compress"):
        from decig.train import pipeline, several
        from decig.train.events import require_events
        from decig.train.examples import Folders
        from decig.train.planner import Goal
        from decig.train.run import RUN_FILE, TARGETS_FILE, RunFolder
        from decig.train.schedule import Budget
        from decig.train.teacher import Teacher

    if asked["tensorboard"]:
        require_events("--tensorboard")
    config, folder, resume = _settings(asked), asked["output_dir"], asked["resume"]
    require_answers(
        source.unsaid,
        "" if asked["data"] or not source.needs_folder else _NO_DATA,
        "" if wanted or not config.needs_target else _NO_TARGET,
    )
    source.require_feeds()
    source.require_picture()
    if asked["targets"] and asked["unpaired"]:
        raise click.UsageError("Give one of --targets and --unpaired.")
    if asked["profile"] and asked["target_macs"]:
        raise click.UsageError("--target-macs is for no device: leave --profile out.")
    teacher = Teacher(source.model, source.require_pixels(), source.feeds)
    given = ("data", "targets", "unpaired", "discriminator")
    folders = Folders(*(_absolute(asked[name]) for name in given))
    record_file = TARGETS_FILE if len(wanted) > 1 else RUN_FILE

    def look_over() -> None:
        RunFolder.check(folder, {}, resume=resume, record_file=record_file)
        pipeline.look_over(teacher, folders, config, whole=asked["fold_norms"])

    target = _target(teacher, asked, look_over, force=force)
    budget = Budget(None if asked["steps"] else asked["budget"] or BUDGET_S, asked["steps"])

    def goal(target_ms: float | None) -> Goal:
        return Goal(target, target_ms, budget, fold_norms=asked["fold_norms"])

    goals = {
        name: goal(wanted_ms(parameter, number, target.as_it_is_ms))
        for name, (parameter, number) in wanted.items()
    }
    begun: dict[str, Any] = {"resume": resume, "begun": record_command}
    begun["tensorboard"] = asked["tensorboard"]
    figures: dict[str, Any] | None
    show_figures: Callable[[Any], None]
    with ProgressBar() as bar, says_how_to_go_on(folder, record_file):
        if len(goals) > 1:
            call = several.Several(teacher, folders, goals, config)
            if dry_run:
                figures, show_figures = several.preview(call), print_previews
            else:
                show_figures = partial(print_frontier, folder)
                figures = several.compress(call, folder, **begun, progress=bar.update)
        else:
            what = (teacher, folders, next(iter(goals.values()), goal(None)), config)
            if dry_run:
                figures, show_figures = pipeline.preview(*what), print_figures
            else:
                show_figures = partial(print_compression, folder, target.device)
                figures = pipeline.compress(*what, folder, **begun, progress=bar.update)
    if figures is not None:  # of several processes, the main one alone speaks
        if not dry_run:
            write_where_possible(folder)
        show(figures, as_json, show_figures)


def _target(
    teacher: "Teacher", asked: Mapping[str, Any], look_over: Callable[[], None], *, force: bool
) -> "Target | MacsTarget":
    """The device to plan for, profiled here where no cost table is given; or none at all.

    Args:
        teacher: the model.
        asked: the parameters of the command.
        look_over: finds whatever else may be wrong before anything is measured.
        force: whether to plan with the table of another device.
    """
    from decig.device.cost.table import CostTable
    from decig.device.plan.compute import MacsTarget
    from decig.device.plan.target import Target
    from decig.train.processes import Processes

    if asked["target_macs"]:
        return MacsTarget(teacher.model, teacher.channels)
    if asked["profile"] is None:
        look_over()
        table = Processes().on_main(lambda: _profile(teacher.model))
    else:
        table = CostTable.load(asked["profile"])
    return Target.of(table, teacher.model, force=force)


def _profile(model: "Model") -> "CostTable":
    """Measure the model on this machine's processor, as `decig profile` does."""
    from decig.cli.progress import ProgressBar
    from decig.device.cost.deployed import profile_as_deployed
    from decig.device.cost.profile import EFFORTS
    from decig.device.run.device import Device

    with ProgressBar() as bar:
        bar.update("profile", 0.0)
        count = partial(bar.count, "profile")
        return profile_as_deployed(model, Device.of(threads=1), count, EFFORTS["standard"])


def _settings(asked: dict[str, Any]) -> "Config":
    """The settings asked for, or those with which the run began that goes on."""
    from decig.train.config import Config
    from decig.train.methods import DEFAULT
    from decig.train.run import RUN_FILE, TARGETS_FILE

    if asked["resume"] and not asked["config"] and not asked["method"]:
        for name in (RUN_FILE, TARGETS_FILE):
            if (file := asked["output_dir"] / name).is_file():
                return Config.recorded(file)
    return Config.read(asked["config"], asked["method"] or DEFAULT)


def _absolute(path: Path | None) -> Path | None:
    """A path that still holds when export reads it in another working directory."""
    return None if path is None else path.absolute()
