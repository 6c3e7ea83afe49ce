"""`decig train`: train an original generator."""

from pathlib import Path

import click

from decig.cli.process import Command, debug_option
from decig.cli.values import EXISTING, EXISTING_FOLDER, run_folder
from decig.extras import needs_torch


@click.command(cls=Command)
@click.argument("recipe", type=EXISTING)
@click.option(
    "--output-dir", type=run_folder, metavar="RUN", required=True, help="Folder of the run."
)
@click.option(
    "--data",
    type=EXISTING_FOLDER,
    help="Folder with train/ and val/; without it, the folder that the recipe names.",
)
@click.option("--resume", is_flag=True, help="Continue the run in the folder.")
@debug_option
def train(recipe: Path, output_dir: Path, data: Path | None, resume: bool) -> None:
    """Train the original generator of a RECIPE.

    RECIPE is a recipe.toml, or a folder that holds one.
    """
    from decig.source.recipe import load_recipe

    loaded = load_recipe(recipe)
    with needs_torch("decig train"):
        from decig.train.original import train as run
    written: Path | None = run(loaded, output_dir, data=data, resume=resume)
    if written is not None:  # of several processes one writes
        click.echo(written)
