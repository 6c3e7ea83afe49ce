"""`decig train`: train an original generator."""

from pathlib import Path
from typing import TYPE_CHECKING

import click

from decig.cli.process import debug_option
from decig.cli.resuming import (
    ResumableCommand,
    output_dir_option,
    record_command,
    resume_option,
    says_how_to_go_on,
    tensorboard_option,
)
from decig.cli.values import EXISTING, EXISTING_FOLDER, time_budget
from decig.extras import needs_torch

if TYPE_CHECKING:
    from decig.train.stages import Direction


@click.command(cls=ResumableCommand)
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
@tensorboard_option
@resume_option
@debug_option
def train(
    recipe: Path,
    output_dir: Path,
    data: Path | None,
    direction: "Direction | None",
    sample_every: float,
    tensorboard: bool,
    resume: bool,
) -> None:
    """Train the original generator of a RECIPE.

    RECIPE is a recipe.toml, or a folder that holds one. Data sets lie as those of pix2pix,
    CycleGAN and GauGAN do: trainA trainB testA testB; train_A train_B ...; A/train B/train ...;
    train_label train_img ...; train test with both sides in each image.
    """
    from decig.source.recipe import load_recipe

    loaded = load_recipe(recipe)
    with needs_torch("decig train"):
        from decig.train.events import require_events
        from decig.train.original import STATE_FILE
        from decig.train.original import train as run
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
            tensorboard=tensorboard,
        )
    if written is not None:  # of several processes one writes
        click.echo(written)
