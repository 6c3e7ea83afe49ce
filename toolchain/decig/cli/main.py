"""The commands. They read options, call the packages and print; what they do is elsewhere."""

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from decig import __version__
from decig.cli.options import (
    BUDGET_S,
    FILE,
    FOLDER,
    POSITIVE,
    Number,
    device_options,
    force_option,
    input_shape_option,
    json_option,
    latency,
    one_of,
    output_file,
    output_option,
    pixel_options,
    source_options,
    time_budget,
    weights_option,
)
from decig.cli.process import Commands, debug_option
from decig.extras import needs_torch

if TYPE_CHECKING:
    from decig.device.cost.table import CostTable
    from decig.device.run.session import DeviceOptions
    from decig.source.resolve import PixelFlags, Source


@click.group(cls=Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="decig")
@debug_option
def main() -> None:
    """Make a trained image generator fit the machine it runs on."""


@main.command()
@output_option("The cost table, JSON.")
@source_options(pixels=False)
@device_options
@click.option("--quick", "effort", flag_value="quick", help="Fewer widths: half the time.")
@click.option("--thorough", "effort", flag_value="thorough", help="Until hardly any doubt is left.")
@debug_option
def profile(source: "Source", output: Path, device: "DeviceOptions", effort: str | None) -> None:
    """Measure MODEL on this machine.

    Writes the cost table that slice and compress plan with: every node, at many widths, with the
    exact rewrites that export would make.
    """
    from decig.device.cost.deployed import as_it_is_ms, profile_as_deployed
    from decig.device.cost.profile import EFFORTS
    from decig.report.progress import ProgressBar
    from decig.report.tables import print_profile

    with ProgressBar() as bar:
        bar.update("profile", 0.0)  # trying rewrites comes before the first measurement
        count = partial(bar.count, "profile")
        table = profile_as_deployed(source.model, device, count, EFFORTS[effort or "standard"])
    table.save(output)
    print_profile(table, as_it_is_ms(table))


@main.command()
@source_options(pixels=False)
@click.option("--profile", type=FILE, help="Cost table: adds each group's share of the latency.")
@click.option("--plan", type=FILE, help="Plan: adds how many channels of each group stay.")
@json_option
@debug_option
def inspect(source: "Source", profile: Path | None, plan: Path | None, as_json: bool) -> None:
    """Show MODEL's channel groups and their cost.

    Also says of each group that cannot be cut why.
    """
    from decig.graph.plan import Plan
    from decig.report.inspection import inspect_model
    from decig.report.tables import print_inspection

    found = inspect_model(source.model, _table(profile), None if plan is None else Plan.load(plan))
    _show(found, as_json, print_inspection)


@main.command("slice")
@output_option("The smaller model.")
@source_options(pixels=True)
@click.option("--keep", type=Number(0, 1, min_open=True), help="Share of every group.")
@click.option("--plan", type=FILE, help="Channels to keep, JSON.")
@click.option("--target-latency", type=latency, metavar="20ms", help="Needs --profile.")
@click.option("--profile", type=FILE, help="Cost table: predicts the latency.")
@click.option(
    "--repair",
    is_flag=False,
    flag_value="",
    metavar="[DIR]",
    help="Images to score channels and repair weights with; none where MODEL takes none.",
)
@click.option("--verify", is_flag=True, help="Compare with the original, its channels masked.")
@force_option
@json_option
@debug_option
def slice_command(source: "Source", output: Path, as_json: bool, force: bool, **asked: Any) -> None:
    """Cut channels out of MODEL without training.

    Keeps a share of every group, follows a plan, or meets a latency. With images, repairs the
    weights that are left.
    """
    from decig.deploy.cut import Cutter
    from decig.device.plan.target import Target
    from decig.report.progress import ProgressBar
    from decig.report.tables import print_cut

    if one_of(asked, "keep", "plan", "target_latency") is None:
        raise click.UsageError("Give --keep, --plan or --target-latency.")
    if asked["target_latency"] and not asked["profile"]:
        raise click.UsageError("--target-latency needs --profile TABLE.json.")
    images = Path(asked["repair"]) if asked["repair"] else None
    drawn = asked["repair"] == ""
    if drawn and source.needs_folder:
        raise click.UsageError("--repair needs DIR: MODEL is fed images, or files.")
    table = _table(asked["profile"])
    target = None if table is None else Target.of(table, source.model, force=force)
    with ProgressBar() as bar:
        cutter = Cutter(source, target, images, drawn=drawn, progress=bar.update)
        if asked["plan"]:
            plan = cutter.load(asked["plan"])
        elif asked["keep"]:
            plan = cutter.keep(asked["keep"])
        else:
            plan = cutter.reach(asked["target_latency"])
        cut = cutter.cut(plan, verify=asked["verify"])
    cut.save(output, source)
    warned = {"warnings": list(target.warnings)} if target and target.warnings else {}
    found = cut.to_dict() | warned
    _show(found if as_json else cut, as_json, print_cut)


@main.command()
@click.argument("recipe", type=FILE)
@click.option("--output-dir", type=FOLDER, required=True, help="The run folder.")
@click.option("--data", type=FOLDER, help="Folder with train/ and val/; else the recipe's.")
@click.option("--resume", is_flag=True, help="Go on with the run in the folder.")
@debug_option
def train(recipe: Path, output_dir: Path, data: Path | None, resume: bool) -> None:
    """Train the original generator of a RECIPE.

    RECIPE is a recipe.toml, or a folder that holds one.
    """
    from decig.source.recipe import load_recipe

    loaded = load_recipe(recipe)
    with needs_torch("decig train"):
        from decig.train.original import train as run
    if (written := run(loaded, output_dir, data=data, resume=resume)) is not None:
        click.echo(written)


@main.command()
@source_options(pixels=True)
@click.option("--profile", type=FILE, required=True, help="Cost table of MODEL on the device.")
@click.option("--data", type=FOLDER, help="Images to feed MODEL.")
@click.option("--targets", type=FOLDER, help="Real pictures for them, by the same names.")
@click.option("--output-dir", type=FOLDER, required=True, help="The run folder.")
@click.option("--target-latency", type=latency, metavar="20ms", help="On the device.")
@click.option("--target-speedup", type=Number(1, min_open=True), help="Over MODEL.")
@click.option("--budget", type=time_budget, metavar="20m", help="Training time.")
@click.option("--steps", type=click.IntRange(min=1), help="Training steps.")
@click.option("--config", type=FILE, help="Settings, TOML.")
@click.option("--fold-norms", is_flag=True, help="Make InstanceNorms part of convolutions.")
@click.option("--resume", is_flag=True, help="Go on with the run in the folder.")
@click.option("--dry-run", is_flag=True, help="Show the plan; train and write nothing.")
@force_option
@json_option
@debug_option
def compress(source: "Source", as_json: bool, dry_run: bool, force: bool, **asked: Any) -> None:
    """Make MODEL as fast as asked and train it.

    Plans with the cost table, slices, repairs, and distils the original into what is left.
    """
    from decig.device.cost.table import CostTable
    from decig.device.plan.target import Target
    from decig.report.progress import ProgressBar
    from decig.report.tables import print_figures

    one_of(asked, "target_latency", "target_speedup")
    one_of(asked, "budget", "steps")
    with needs_torch("decig compress"):
        from decig.train import pipeline
        from decig.train.config import Config
        from decig.train.examples import Folders
        from decig.train.planner import Goal
        from decig.train.schedule import Budget
        from decig.train.teacher import Teacher

    config = Config.read(asked["config"])
    target = Target.of(CostTable.load(asked["profile"]), source.model, force=force)
    target_ms = asked["target_latency"]
    if asked["target_speedup"]:
        target_ms = target.as_it_is_ms / asked["target_speedup"]
    budget = Budget(None if asked["steps"] else asked["budget"] or BUDGET_S, asked["steps"])
    what = (
        Teacher(source.model, source.require_pixels(), source.feeds),
        Folders(asked["data"], asked["targets"]),
        Goal(target, target_ms, budget, fold_norms=asked["fold_norms"]),
        config,
    )
    if dry_run:
        _show(pipeline.preview(*what), as_json, print_figures)
        return
    with ProgressBar() as bar:
        folder, resume = asked["output_dir"], asked["resume"]
        figures = pipeline.compress(*what, folder, resume=resume, progress=bar.update)
    if figures is not None:  # the main process alone speaks
        _show(figures, as_json, print_figures)


@main.command()
@output_option("The model to deploy.")
@source_options(pixels=True)
@click.option(
    "--precision", default="fp32", help="fp32 (default), fp16, int8, or auto: the fastest."
)
@click.option("--calibration", type=FOLDER, help="Images for fp16, int8, auto; else the run's.")
@click.option("--min-ssim", type=Number(-1, 1), help="Of fp16 or int8 to fp32; 0.98.")
@click.option("--min-psnr", type=POSITIVE, help="The same in dB; 32.")
@click.option("--pixel-io", is_flag=True, help="Take and give uint8 NHWC RGB images.")
@click.option("--opset", type=click.IntRange(min=1), help="Operator set of the file.")
@device_options
@json_option
@debug_option
def export(
    source: "Source",
    output: Path,
    device: "DeviceOptions",
    as_json: bool,
    min_ssim: float | None,
    min_psnr: float | None,
    **wanted: Any,
) -> None:
    """Write the file to deploy.

    MODEL is a run folder of compress, or any model. Exact rewrites and fewer bits are kept where
    they measure faster; the file is verified against the original and stamped.
    """
    from decig.deploy.export import Wanted
    from decig.deploy.export import export as write
    from decig.deploy.precision import Tolerance
    from decig.report.tables import print_export

    least = Tolerance()
    tolerance = Tolerance(
        least.min_ssim if min_ssim is None else min_ssim,
        least.min_psnr_db if min_psnr is None else min_psnr,
    )
    exported = write(source, output, device, Wanted(tolerance=tolerance, **wanted))
    _show(exported, as_json, print_export)


@main.command()
@click.argument("candidate")
@click.option("--reference", required=True, metavar="MODEL", help="The model it should replace.")
@click.option("--data", type=FOLDER, help="Images to feed both.")
@click.option("--max-latency", "max_latency_ms", type=latency, metavar="20ms", help="Of CANDIDATE.")
@click.option("--min-speedup", type=POSITIVE, help="Over the reference.")
@click.option("--min-ssim", type=Number(-1, 1), help="To the reference.")
@click.option("--min-psnr", "min_psnr_db", type=POSITIVE, help="To the reference, dB.")
@click.option("--grid", type=output_file, metavar="FILE", help="PNG (or .jpg) of the pictures.")
@click.option("--roofline", is_flag=True, help="Nodes of both next to the limits of the device.")
@weights_option
@input_shape_option
@pixel_options
@device_options
@json_option
@debug_option
def check(
    candidate: str,
    reference: str,
    data: Path | None,
    flags: "PixelFlags",
    input_shapes: list[tuple[str, list[int]]],
    weights: Path | None,
    device: "DeviceOptions",
    as_json: bool,
    grid: Path | None,
    roofline: bool,
    **asked: float | None,
) -> None:
    """Compare a model with its reference.

    Measures both in turns and compares their pictures. Exits with 3 if a tolerance is missed.
    """
    from decig.deploy.check import Tolerances
    from decig.deploy.check import check as compare
    from decig.errors import TargetMissedError
    from decig.report.tables import print_verdict
    from decig.source.resolve import resolve

    shapes = dict(input_shapes)
    ours = resolve(candidate, flags, shapes)
    theirs = resolve(reference, flags, shapes, weights)
    verdict = compare(ours, theirs, data, device, Tolerances(**asked), grid, roofline=roofline)
    _show(verdict, as_json, print_verdict)
    if verdict.failures:
        raise TargetMissedError(f"{candidate}: {'; '.join(verdict.failures)}")


def _table(path: Path | None) -> "CostTable | None":
    """Read a cost table, if one was given."""
    if path is None:
        return None
    from decig.device.cost.table import CostTable

    return CostTable.load(path)


def _show(result: Any, as_json: bool, show: Callable[[Any], None]) -> None:
    """Print a result as a table, or as JSON."""
    if as_json:
        from decig.files import json_text

        click.echo(json_text(result if isinstance(result, dict) else result.to_dict()))
    else:
        show(result)
