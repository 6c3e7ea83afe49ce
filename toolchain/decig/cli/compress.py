"""`decig compress`: make a model as fast as asked, and train it to paint as before."""

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
from decig.cli.values import EXISTING_FILE, EXISTING_FOLDER, FILE, Number, latency, time_budget
from decig.extras import needs_torch

if TYPE_CHECKING:
    from decig.device.cost.table import CostTable
    from decig.source.source import Source
    from decig.train.config import Config

BUDGET_S = 1200.0
"""Seconds of training where neither --budget nor --steps is given."""
_NO_TARGET = (
    "give --target-latency or --target-speedup: without either, only stage I of the method decig "
    "finds widths, and it is off (condense above 0 in the table [decig] of --config)"
)

_NO_DATA = "give --data DIR: MODEL is fed images, or files"


@click.command(
    cls=ResumableCommand,
    exclusive=(
        ("target_latency", "target_speedup"),
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
@click.option("--target-latency", type=latency, metavar="20ms", help="Latency on the device.")
@click.option(
    "--target-speedup",
    type=Number(1, min_open=True),
    metavar="4",
    help="How many times faster than MODEL.",
)
@click.option(
    "--method", metavar="NAME", help="How widths are found: decig (default), or a module of yours."
)
@click.option("--budget", type=time_budget, metavar="20m", help="How long to train; 20m if unsaid.")
@click.option("--steps", type=click.IntRange(min=1), metavar="N", help="How many steps to train.")
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
    """
    from decig.cli.progress import ProgressBar
    from decig.cli.summary import print_compression
    from decig.cli.tables import print_figures
    from decig.device.cost.table import CostTable
    from decig.device.plan.target import Target

    one_of(asked, "target_latency", "target_speedup")
    one_of(asked, "budget", "steps")
    with needs_torch("decig compress"):
        from decig.train import pipeline
        from decig.train.events import require_events
        from decig.train.examples import Folders
        from decig.train.planner import Goal
        from decig.train.processes import Processes
        from decig.train.run import RUN_FILE, RunFolder
        from decig.train.schedule import Budget
        from decig.train.teacher import Teacher

    if asked["tensorboard"]:
        require_events("--tensorboard")
    config, folder, resume = _settings(asked), asked["output_dir"], asked["resume"]
    has_target = asked["target_latency"] or asked["target_speedup"]
    require_answers(
        source.unsaid,
        "" if asked["data"] or not source.needs_folder else _NO_DATA,
        "" if has_target or not config.needs_target else _NO_TARGET,
    )
    source.require_feeds()
    source.require_picture()
    if asked["targets"] and asked["unpaired"]:
        raise click.UsageError("Give one of --targets and --unpaired.")
    teacher = Teacher(source.model, source.require_pixels(), source.feeds)
    given = ("data", "targets", "unpaired", "discriminator")
    folders = Folders(*(_absolute(asked[name]) for name in given))
    if asked["profile"] is None:
        # Measuring takes a minute or more: whatever else may be wrong is found before.
        RunFolder.check(folder, {}, resume=resume)
        pipeline.look_over(teacher, folders, config, whole=asked["fold_norms"])
        table = Processes().on_main(lambda: _profile(source))
    else:
        table = CostTable.load(asked["profile"])
    target = Target.of(table, source.model, force=force)
    target_ms = asked["target_latency"]
    if asked["target_speedup"]:
        target_ms = target.as_it_is_ms / asked["target_speedup"]
    budget = Budget(None if asked["steps"] else asked["budget"] or BUDGET_S, asked["steps"])
    what = (
        teacher,
        folders,
        Goal(target, target_ms, budget, fold_norms=asked["fold_norms"]),
        config,
    )
    if dry_run:
        show(pipeline.preview(*what), as_json, print_figures)
        return
    with ProgressBar() as bar, says_how_to_go_on(folder, RUN_FILE):
        figures = pipeline.compress(
            *what,
            folder,
            resume=resume,
            begun=record_command,
            tensorboard=asked["tensorboard"],
            progress=bar.update,
        )
    if figures is not None:  # of several processes, the main one alone speaks
        show(figures, as_json, partial(print_compression, folder, target.table.device))


def _profile(source: "Source") -> "CostTable":
    """Measure the model on this machine's processor, as `decig profile` does."""
    from decig.cli.progress import ProgressBar
    from decig.device.cost.deployed import profile_as_deployed
    from decig.device.cost.profile import EFFORTS
    from decig.device.run.device import Device

    with ProgressBar() as bar:
        bar.update("profile", 0.0)
        count = partial(bar.count, "profile")
        return profile_as_deployed(source.model, Device.of(threads=1), count, EFFORTS["standard"])


def _settings(asked: dict[str, Any]) -> "Config":
    """The settings asked for, or those with which the run began that goes on."""
    from decig.train.config import Config
    from decig.train.methods import DEFAULT
    from decig.train.run import RUN_FILE

    file = asked["output_dir"] / RUN_FILE
    if asked["resume"] and not asked["config"] and not asked["method"] and file.is_file():
        return Config.recorded(file)
    return Config.read(asked["config"], asked["method"] or DEFAULT)


def _absolute(path: Path | None) -> Path | None:
    """A path that still holds when export reads it in another working directory."""
    return None if path is None else path.absolute()
