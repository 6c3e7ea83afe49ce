"""Print the table of README.md: parameters and multiply-accumulates, whole and with half widths.

Run it as `python models/figures.py`. Half widths are `decig slice --keep 0.5`.
"""

import logging
from pathlib import Path

import click

from decig.deploy.cutter import Cutter
from decig.source.resolve import resolve


def main() -> None:
    """Print a line for every folder that has a recipe."""
    logging.getLogger("decig").setLevel(logging.ERROR)  # most have no weights, which is no news
    click.echo("| folder | params, M | MACs, G | half: params, M | half: MACs, G |")
    click.echo("| --- | --- | --- | --- | --- |")
    for recipe in sorted(Path(__file__).parent.glob("*/recipe.toml")):
        cutter = Cutter(resolve(str(recipe)))
        cut = cutter.cut(cutter.keep(0.5), verify=False)
        figures = [cut.before.params / 1e6, cut.before.macs / 1e9]
        figures += [cut.after.params / 1e6, cut.after.macs / 1e9]
        cells = [recipe.parent.name, *(f"{figure:.2f}" for figure in figures)]
        click.echo(f"| {' | '.join(cells)} |")


if __name__ == "__main__":
    main()
