"""`decig compress`: make a model as fast as asked, and train it to paint as before."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from decig.cli.options import force_option, json_option, source_options
from decig.cli.process import Command, debug_option, one_of, show
from decig.cli.values import (
    EXISTING_FILE,
    EXISTING_FOLDER,
    Number,
    latency,
    run_folder,
    time_budget,
)
from decig.extras import needs_torch

if TYPE_CHECKING:
    from decig.source.source import Source

BUDGET_S = 1200.0
"""Seconds of training where neither --budget nor --steps is given."""


@click.command(cls=Command)
@click.option(
    "--profile", type=EXISTING_FILE, required=True, help="Cost table of MODEL on the device."
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
    "--output-dir", type=run_folder, metavar="RUN", required=True, help="Folder of the run."
)
@click.option("--target-latency", type=latency, metavar="20ms", help="Latency on the device.")
@click.option(
    "--target-speedup",
    type=Number(1, min_open=True),
    metavar="4",
    help="How many times faster than MODEL.",
)
@click.option(
    "--method",
    default="decig",
    metavar="NAME",
    help="How widths are found: decig (default), or a module of yours.",
)
@click.option("--budget", type=time_budget, metavar="20m", help="How long to train.")
@click.option("--steps", type=click.IntRange(min=1), metavar="N", help="How many steps to train.")
@click.option("--config", type=EXISTING_FILE, help="Settings of the training, TOML.")
@click.option(
    "--fold-norms",
    is_flag=True,
    help="Make InstanceNorms part of convolutions where pictures allow it.",
)
@click.option("--resume", is_flag=True, help="Continue the run in the folder.")
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
    from decig.cli.tables import print_figures
    from decig.device.cost.table import CostTable
    from decig.device.plan.target import Target

    one_of(asked, "target_latency", "target_speedup")
    one_of(asked, "budget", "steps")
    with needs_torch("decig compress"):
        from decig.train import pipeline
        from decig.train.config import Config
        from decig.train.examples import Folders
        from decig.train.planner import Goal
        from decig.train.schedule import Budget
        from decig.train.teacher import Teacher

    config = Config.read(asked["config"], asked["method"])
    source.require_feeds()
    source.require_picture()
    if asked["data"] is None and source.needs_folder:
        raise click.UsageError("Give --data DIR: MODEL is fed images, or files.")
    if asked["targets"] and asked["unpaired"]:
        raise click.UsageError("Give one of --targets and --unpaired.")
    target = Target.of(CostTable.load(asked["profile"]), source.model, force=force)
    target_ms = asked["target_latency"]
    if asked["target_speedup"]:
        target_ms = target.as_it_is_ms / asked["target_speedup"]
    budget = Budget(None if asked["steps"] else asked["budget"] or BUDGET_S, asked["steps"])
    what = (
        Teacher(source.model, source.require_pixels(), source.feeds),
        Folders(*(_absolute(asked[name]) for name in ("data", "targets", "unpaired"))),
        Goal(target, target_ms, budget, fold_norms=asked["fold_norms"]),
        config,
    )
    if dry_run:
        show(pipeline.preview(*what), as_json, print_figures)
        return
    with ProgressBar() as bar:
        folder, resume = asked["output_dir"], asked["resume"]
        figures = pipeline.compress(*what, folder, resume=resume, progress=bar.update)
    if figures is not None:  # of several processes, the main one alone speaks
        show(figures, as_json, print_figures)


def _absolute(folder: Path | None) -> Path | None:
    """A path that still holds when export reads it in another working directory."""
    return None if folder is None else folder.absolute()
