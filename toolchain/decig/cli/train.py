"""`decig train`: train an original generator."""

import contextlib
import shlex
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import click

from decig.cli.options import force_option
from decig.cli.process import debug_option, one_of
from decig.cli.resuming import (
    ResumableCommand,
    output_dir_option,
    resume_option,
    said,
    says_how_to_go_on,
    tensorboard_option,
)
from decig.cli.values import (
    EXISTING,
    EXISTING_FILE,
    EXISTING_FOLDER,
    Number,
    latency,
    number_of_macs,
    time_budget,
)
from decig.errors import TargetMissedError
from decig.extras import needs_torch, require_training

if TYPE_CHECKING:
    from decig.training.data.stages import Direction

_TARGETS = ("target_latency", "target_speedup", "target_macs")
_NO_TABLE = (
    "Give the recipe's cost table, --profile TABLE.json: make it with decig profile RECIPE "
    "-o TABLE.json, which needs no weights."
)
_NO_DEVICE = "--target-macs is for no device: leave --profile out."
_NO_METHOD = (
    "--method makes the generator narrower while it trains: give --profile TABLE.json or "
    "--target-macs."
)


@click.command(
    cls=ResumableCommand,
    exclusive=(_TARGETS,),
)
@click.argument("recipe", type=EXISTING)
@output_dir_option(required=True)
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
    help="Make the generator narrower while it trains: its cost table on the device, by decig "
    "profile RECIPE. Without a target, it is cut where its channels stop mattering.",
)
@click.option("--target-latency", type=latency, metavar="20ms", help="Latency on the device.")
@click.option(
    "--target-speedup",
    type=Number(1, min_open=True),
    metavar="4",
    help="How many times faster than the whole generator.",
)
@click.option(
    "--target-macs",
    type=number_of_macs,
    metavar="2G",
    help="Multiply-accumulates, or a share of the whole generator's (0.25), for no device, so "
    "without --profile.",
)
@click.option(
    "--method",
    metavar="NAME",
    help="How channels are taken away: decig (default) by a penalty, hypernet by latent numbers, "
    "or a module of yours.",
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
    method: str | None,
    **targets: float | None,
) -> None:
    """Train the original generator of a RECIPE.

    RECIPE is a recipe.toml, or a folder that holds one. Data sets lie as those of pix2pix,
    CycleGAN and GauGAN do: trainA trainB testA testB; train_A train_B ...; A/train B/train ...;
    train_label train_img ...; train test with both sides in each image.
    """
    from decig.api.training import train as run
    from decig.cli.trained import print_training

    require_training("decig train")
    given = one_of(targets, *_TARGETS)
    if profile is None and given not in (None, "target_macs"):
        raise click.UsageError(_NO_TABLE)
    if profile is not None and given == "target_macs":
        raise click.UsageError(_NO_DEVICE)
    with needs_torch("decig train"):
        from decig.training.methods import find_way
        from decig.training.narrowing.hinge_cut import waits_for_target
        from decig.training.originals.original import STATE_FILE

    if method is not None:
        find_way(method)  # whoever must profile first is told now that it cannot train
    if profile is None and given is None and method is not None:
        raise click.UsageError(_NO_METHOD)
    what_target = _says_what_target(output_dir, waits_for_target, counts=given == "target_macs")
    with says_how_to_go_on(output_dir, STATE_FILE), what_target:
        written = run(
            recipe,
            output_dir,
            data=data,
            direction=direction,
            table=profile,
            force=force,
            target_latency_ms=targets["target_latency"],
            target_speedup=targets["target_speedup"],
            target_macs=targets["target_macs"],
            method=method,
            sample_every_s=sample_every,
            tensorboard=tensorboard,
            resume=resume,
            said=said(),
        )
    if written is None:  # of several processes one writes
        return
    if profile is None and given is None:
        click.echo(written)
    else:
        print_training(output_dir, written)


@contextlib.contextmanager
def _says_what_target(
    folder: Path, waits: Callable[[Path], bool], *, counts: bool
) -> Iterator[None]:
    """Answer a target that was missed when the condensed generators were cut: how to go on.

    Args:
        folder: of the run.
        waits: whether a run waits for another target.
        counts: whether multiply-accumulates are asked for.

    Raises:
        TargetMissedError: it was missed.
    """
    try:
        yield
    except TargetMissedError as error:
        if not waits(folder):
            raise
        command = f"decig train --resume --output-dir {shlex.quote(str(folder))}"
        latency = "--target-latency LATENCY (or --target-speedup TIMES)"
        other = "--target-macs NUMBER" if counts else latency
        raise TargetMissedError(f"{error}: {command} {other}") from error
