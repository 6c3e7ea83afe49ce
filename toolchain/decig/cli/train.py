"""`decig train`: train an original generator."""

from pathlib import Path

import click

from decig.cli.process import debug_option
from decig.cli.resuming import (
    ResumableCommand,
    output_dir_option,
    record_command,
    resume_option,
    says_how_to_go_on,
)
from decig.cli.values import EXISTING, EXISTING_FOLDER
from decig.extras import needs_torch


@click.command(cls=ResumableCommand)
@click.argument("recipe", type=EXISTING)
@output_dir_option
@click.option(
    "--data",
    type=EXISTING_FOLDER,
    help="Folder with train/ and val/; without it, the folder that the recipe names.",
)
@resume_option
@debug_option
def train(recipe: Path, output_dir: Path, data: Path | None, resume: bool) -> None:
    """Train the original generator of a RECIPE.

    RECIPE is a recipe.toml, or a folder that holds one.
    """
    from decig.source.recipe import load_recipe

    loaded = load_recipe(recipe)
    with needs_torch("decig train"):
        from decig.train.original import STATE_FILE
        from decig.train.original import train as run
    with says_how_to_go_on(output_dir, STATE_FILE):
        written = run(loaded, output_dir, data=data, resume=resume, begun=record_command)
    if written is not None:  # of several processes one writes
        click.echo(written)
