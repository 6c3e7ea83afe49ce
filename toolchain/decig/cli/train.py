"""`decig train`: train an original generator."""

from pathlib import Path
from typing import TYPE_CHECKING

import click

from decig.cli.options import force_option
from decig.cli.process import debug_option, one_of
from decig.cli.resuming import (
    ResumableCommand,
    output_dir_option,
    record_command,
    resume_option,
    says_how_to_go_on,
    tensorboard_option,
)
from decig.cli.values import EXISTING, EXISTING_FILE, EXISTING_FOLDER, Number, latency, time_budget
from decig.extras import needs_torch

if TYPE_CHECKING:
    from decig.train.from_scratch import Wanted
    from decig.train.stages import Direction

_NO_TABLE = (
    "Give the recipe's cost table, --profile TABLE.json: make it with decig profile RECIPE "
    "-o TABLE.json, which needs no weights."
)


@click.command(
    cls=ResumableCommand,
    exclusive=(("target_latency", "target_speedup"),),
    kept={"profile": "profile.json"},
)
@click.argument("recipe", type=EXISTING)
@output_dir_option
@click.option(
    "--data",
    type=EXISTING_FOLDER,
    help="Folder of the data set (trainA trainB ...); without it, the one that the recipe names.",
)
@click.option(
    "--direction",
    type=click.Choice(["AtoB", "BtoA"]),
    help="Which side of the data is made of the other; without it, as the recipe says.",
)
@click.option(
    "--sample-every",
    type=time_budget,
    default="10m",
    metavar="10m",
    help="Time between two sheets of samples; the model is written with each.",
)
@click.option(
    "--profile",
    type=EXISTING_FILE,
    help="Condense the generator while it trains, then cut it: its cost table on the device, by "
    "decig profile RECIPE. Without a target, it is cut where its channels stop mattering.",
)
@click.option("--target-latency", type=latency, metavar="20ms", help="Latency on the device.")
@click.option(
    "--target-speedup",
    type=Number(1, min_open=True),
    metavar="4",
    help="How many times faster than the whole generator.",
)
@tensorboard_option
@resume_option
@force_option
@debug_option
def train(
    recipe: Path,
    output_dir: Path,
    data: Path | None,
    direction: "Direction | None",
    sample_every: float,
    profile: Path | None,
    tensorboard: bool,
    resume: bool,
    force: bool,
    **target: float | None,
) -> None:
    """Train the original generator of a RECIPE.

    RECIPE is a recipe.toml, or a folder that holds one. Data sets lie as those of pix2pix,
    CycleGAN and GauGAN do: trainA trainB testA testB; train_A train_B ...; A/train B/train ...;
    train_label train_img ...; train test with both sides in each image.
    """
    from decig.report.hinges import draw_hinges
    from decig.source.recipe import load_recipe

    one_of(target, "target_latency", "target_speedup")
    if profile is None and any(target.values()):
        raise click.UsageError(_NO_TABLE)
    loaded = load_recipe(recipe)
    with needs_torch("decig train"):
        from decig.train.events import require_events
        from decig.train.original import STATE_FILE
        from decig.train.original import train as run
    wanted = None if profile is None else _wanted(profile, force=force, **target)
    if tensorboard:
        require_events("--tensorboard")
    with says_how_to_go_on(output_dir, STATE_FILE):
        written: Path | None = run(
            loaded,
            output_dir,
            data=data,
            direction=direction,
            resume=resume,
            begun=record_command,
            sample_every_s=sample_every,
            wanted=wanted,
            tensorboard=tensorboard,
        )
    if written is not None:  # of several processes one writes
        if wanted is not None:
            draw_hinges(output_dir)
        click.echo(written)


def _wanted(
    profile: Path, *, force: bool, target_latency: float | None, target_speedup: float | None
) -> "Wanted":
    """What the generators are condensed to."""
    from decig.device.cost.table import CostTable
    from decig.train.from_scratch import Wanted

    table = CostTable.load(profile)
    if target_speedup:
        target_latency = table.as_it_is_ms / target_speedup
    return Wanted(table, target_latency, force)
