"""`decig compress`: make a model as fast as asked, and train it to paint as before."""

import contextlib
import logging
import shlex
from collections.abc import Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from click.core import ParameterSource

from decig.cli.options import OF_MODEL, force_option, json_option, source_options
from decig.cli.process import debug_option, one_of, require_answers, show
from decig.cli.resuming import (
    ResumableCommand,
    output_dir_option,
    resume_option,
    said,
    says_how_to_go_on,
    tensorboard_option,
)
from decig.cli.targets import OPTIONS as TARGET_OPTIONS
from decig.cli.targets import target_options
from decig.cli.values import (
    EXISTING_FILE,
    FILE,
    IMAGES,
    Whole,
    settings_file,
    time_budget,
)
from decig.extras import needs_torch, require_training

if TYPE_CHECKING:
    from decig.source.source import Source

_log = logging.getLogger(__name__)

_NO_TARGET = (
    "give --target-latency, --target-speedup or --target-macs: without any of them, only stage I "
    "of the method decig finds widths, and it is off unless --config sets condense above 0 in the "
    "table [decig]"
)

_NO_DATA = "give --data DIR: MODEL is fed images, or files"


@click.command(
    cls=ResumableCommand,
    exclusive=(
        TARGET_OPTIONS,
        ("targets", "unpaired"),
        ("profile", "target_macs"),
        ("budget", "steps"),
        ("one_hot", "palette"),
    ),
    usual={"method": "decig", "budget": "20m"},
    of_model=(*OF_MODEL, "profile", "discriminator"),
    kept_apart=("method",),
)
@click.option(
    "--profile",
    type=EXISTING_FILE,
    help="Cost table of MODEL on the device; without it, MODEL is profiled here first.",
)
@click.option(
    "--data",
    type=IMAGES,
    help="Folder of images to feed MODEL. As for every folder of images, DIR:A stands for the left "
    "halves of those in DIR, and DIR:B for the right ones.",
)
@click.option("--targets", type=IMAGES, help="Folder of real pictures for them, of the same names.")
@click.option(
    "--unpaired",
    type=IMAGES,
    help="Folder of real pictures of what MODEL paints, which belong to no image of --data.",
)
@click.option(
    "--discriminator",
    type=FILE,
    help="Discriminator that MODEL was trained with (latest_net_D.pth): it judges what is left.",
)
@output_dir_option(required=False)
@target_options
@click.option(
    "--method",
    metavar="NAME",
    help="How widths are found: decig (default), supernet, hypernet, or a module of yours.",
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
    type=Whole(min=1),
    metavar="N",
    help="How many steps to train, for each target.",
)
@click.option(
    "--config",
    type=settings_file,
    metavar="FILE",
    help="TOML file of settings, and of options under [options], such as the run.toml of a run. "
    "What is typed goes before it; with another MODEL, what it says of its own is left out.",
)
@click.option(
    "--locked",
    type=settings_file,
    metavar="RUN/run.toml",
    help="Repeat a run from its record, or its folder RUN. What differs (versions, device, model, "
    "cost table, data) is said, and an error unless --force is given.",
)
@click.option(
    "--fold-norms",
    is_flag=True,
    help="Make InstanceNorms part of convolutions where pictures allow it.",
)
@tensorboard_option
@resume_option
@click.option(
    "--dry-run",
    is_flag=True,
    help="Show the plan, its predicted latency and how long training would take; write nothing.",
)
@source_options(pixels=True, asks=lambda source: _asks(source))
@force_option
@json_option
@debug_option
def compress(source: "Source", as_json: bool, dry_run: bool, force: bool, **asked: Any) -> None:
    """Make MODEL as fast as asked, and train it.

    Plans with the cost table, slices, repairs, and trains what is left to paint as MODEL does.
    Several targets are compressed to one after the other, the slowest first, and compared in a
    table and in RUN/frontier.json.
    """
    from decig.api.compression import compress as run
    from decig.cli.progress import ProgressBar
    from decig.report.page import write_where_possible

    one_of(asked, *TARGET_OPTIONS)
    one_of(asked, "budget", "steps")
    if asked["targets"] and asked["unpaired"]:
        raise click.UsageError("Give one of --targets and --unpaired.")
    if asked["profile"] and asked["target_macs"] and not asked["resume"]:
        raise click.UsageError("--target-macs is for no device: leave --profile out.")
    if asked["resume"] and asked["output_dir"] is None:
        raise click.UsageError("Give --output-dir RUN: the folder of the run that is to go on.")
    require_answers(*_asks(source))
    with contextlib.ExitStack() as ending:
        folder = ending.enter_context(_folder(asked, dry_run=dry_run))
        bar = ending.enter_context(ProgressBar())
        if not dry_run:
            ending.enter_context(says_how_to_go_on(folder, _record_file(asked)))
        figures = run(
            source,
            folder,
            data=asked["data"],
            targets=asked["targets"],
            unpaired=asked["unpaired"],
            discriminator=asked["discriminator"],
            table=asked["profile"],
            force=force,
            target_latency_ms=asked["target_latency"],
            target_speedup=asked["target_speedup"],
            target_macs=asked["target_macs"],
            method=asked["method"],
            config=asked["config"] or asked["locked"],
            budget_s=asked["budget"],
            steps=asked["steps"],
            fold_norms=asked["fold_norms"],
            tensorboard=asked["tensorboard"],
            dry_run=dry_run,
            resume=asked["resume"],
            locked=asked["locked"],
            accept=bool(asked["locked"]) and _typed("force"),
            said=said(),
            progress=bar.update,
        )
    if figures is None:  # of several processes, the main one alone speaks
        return
    if not dry_run:
        write_where_possible(folder)
    show(figures, as_json, partial(_print, folder, dry_run))


def _print(folder: Path, dry_run: bool, figures: Mapping[str, Any]) -> None:
    """Show what was reached, or what is planned, of one target or of several."""
    from decig.cli.frontier import print_frontier, print_previews
    from decig.cli.summary import print_compression, print_plan
    from decig.device.cost.table import CostTable
    from decig.device.plan.target import TABLE_FILE

    several = "targets" in figures
    if dry_run:
        (print_previews if several else print_plan)(figures)
        return
    table = folder / TABLE_FILE  # none where the target was for no device
    device = CostTable.load(table).device if table.exists() else None
    (print_frontier if several else print_compression)(folder, device, figures)


@contextlib.contextmanager
def _folder(asked: Mapping[str, Any], *, dry_run: bool) -> Iterator[Path]:
    """The run folder; where none is named, a new one here, named by MODEL and target.

    That one is made at once, so that two calls do not take the same, and removed if nothing came
    to lie in it.
    """
    if asked["output_dir"] is not None:
        yield asked["output_dir"]
        return
    from decig.cli.naming import new_folder
    from decig.training.loop.processes import Processes

    model = str(click.get_current_context().params["model"])
    processes = Processes()
    folder = processes.on_main(lambda: new_folder(model, asked, make=not dry_run))
    if not dry_run and processes.main:
        _log.info("run folder: %s", folder)
    try:
        yield folder
    finally:
        if not dry_run and processes.main:
            with contextlib.suppress(OSError):  # it is not empty
                folder.rmdir()
            _tell_of_table(folder)


def _tell_of_table(folder: Path) -> None:
    """Say how the cost table is used again that a call left which came to nothing else."""
    from decig.device.plan.target import TABLE_FILE

    if folder.is_dir() and [file.name for file in folder.iterdir()] == [TABLE_FILE]:
        again = shlex.quote(str(folder / TABLE_FILE))
        _log.info("%s: holds the cost table; with --profile %s it is used again", folder, again)


def _typed(name: str) -> bool:
    """Whether an option stands on the command line, not in a file."""
    source = click.get_current_context().get_parameter_source(name)
    return source is ParameterSource.COMMANDLINE


def _asks(source: "Source | None") -> list[str]:
    """What cannot be known and was not said, all of it; of MODEL only where it could be read.

    Raises:
        BadInputError: what trains is not installed, so that no answer would help.
    """
    require_training("decig compress")
    asked = click.get_current_context().params
    questions = [] if source is None else source.questions
    if not asked["data"] and (source is None or source.needs_folder):
        questions.append(_NO_DATA)
    with needs_torch("decig compress"):
        needs_target = not any(asked[n] for n in TARGET_OPTIONS) and _needs_target(asked)
    return [*questions, *([_NO_TARGET] if needs_target else [])]


def _needs_target(asked: Mapping[str, Any]) -> bool:
    """Whether the method, with the settings asked for, finds no widths without a target."""
    from decig.api.compression import settings_of

    config, folder = asked["config"] or asked["locked"], asked["output_dir"]
    return settings_of(folder, config, asked["method"], resume=asked["resume"]).needs_target


def _record_file(asked: Mapping[str, Any]) -> str:
    """The file of the run folder without which nothing could go on."""
    from decig.training.runs.run import RUN_FILE, TARGETS_FILE

    several = any(len(asked[name] or ()) > 1 for name in TARGET_OPTIONS)
    return TARGETS_FILE if several else RUN_FILE
