"""`decig slice`: cut channels out of a model without training."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from decig.cli.options import force_option, json_option, output_option, source_options
from decig.cli.process import Command, debug_option, show
from decig.cli.values import EXISTING_FILE, Number, Whole, latency

if TYPE_CHECKING:
    from decig.deploy.cut import Cut
    from decig.source.source import Source


@click.command("slice", cls=Command, required_one=("keep", "plan", "target_latency"))
@output_option("The smaller model.")
@click.option(
    "--keep",
    type=Number(0, 1, min_open=True),
    metavar="0.5",
    help="Keep this share of every group's channels.",
)
@click.option(
    "--align",
    type=Whole(min=1),
    metavar="N",
    help="Multiples of which --keep makes widths, 1 for exactly the share; without it, those at "
    "the edges of the device's stairs with --profile, else multiples of 4.",
)
@click.option("--plan", type=EXISTING_FILE, help="Keep the channels that this plan lists, JSON.")
@click.option(
    "--target-latency", type=latency, metavar="20ms", help="Reach this latency; needs --profile."
)
@click.option("--profile", type=EXISTING_FILE, help="Cost table: predicts the latency.")
@click.option(
    "--repair",
    is_flag=False,
    flag_value="",
    metavar="[DIR]",
    help="Folder of images by which channels are scored and weights repaired; no folder where "
    "MODEL takes no image. DIR:A and DIR:B stand for the left and the right halves of those in "
    "DIR.",
)
@click.option(
    "--verify", is_flag=True, help="Compare with MODEL, the removed channels read as zero."
)
@source_options(pixels=True)
@force_option
@json_option
@debug_option
def slice_command(source: "Source", output: Path, as_json: bool, force: bool, **asked: Any) -> None:
    """Cut channels out of MODEL without training.

    Keeps a share of every group, follows a plan, or reaches a latency. With images, the weights
    that are left are repaired.
    """
    from decig.api.deployment import slice as cut_channels
    from decig.cli.progress import ProgressBar

    if asked["target_latency"] and not asked["profile"]:
        raise click.UsageError("--target-latency needs --profile TABLE.json.")
    if asked["align"] and not asked["keep"]:
        raise click.UsageError("--align goes with --keep.")
    draws = asked["repair"] == ""
    if draws and source.needs_folder:
        raise click.UsageError("--repair needs DIR: MODEL is fed images, or files.")
    with ProgressBar() as bar:
        cut = cut_channels(
            source,
            output,
            keep=asked["keep"],
            plan=asked["plan"],
            target_latency_ms=asked["target_latency"],
            align=asked["align"],
            table=asked["profile"],
            force=force,
            repair=asked["repair"] or None,
            draws=draws,
            verify=asked["verify"],
            progress=bar.update,
        )
    show(cut, as_json, _print_cut)


def _print_cut(cut: "Cut") -> None:
    """Show what a slice took away."""
    from decig.cli.tables import console, percent

    screen = console()
    for what, before, after in (
        ("parameters", cut.before.params, cut.after.params),
        ("multiply-accumulates", cut.before.macs, cut.after.macs),
    ):
        share = percent(after / before) if before else "-"
        screen.print(f"{what}: {before:,} -> {after:,} ({share} left)")
    removed = sum(cut.removed.values())
    screen.print(f"channels removed: {removed}, from {len(cut.removed)} groups")
    for how, ms in (("predicted", cut.predicted_ms), ("measured", cut.measured_ms)):
        if ms is not None:
            screen.print(f"{how} latency, once exported: {ms:.3f} ms")
    if cut.file_ms is not None:
        screen.print(f"measured latency of this file, not exported yet: {cut.file_ms:.3f} ms")
    if cut.max_abs_diff is not None:
        screen.print(f"difference to the masked original: {cut.max_abs_diff:.1e} of the range")
