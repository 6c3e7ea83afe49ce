"""What trains originals: train. It needs the extra decig[train]."""

import logging
from pathlib import Path
from typing import Literal

from decig.api.models import File, as_path, as_table
from decig.api.targets import NO_DEVICE, wanted_of
from decig.device.cost.table import CostTable
from decig.errors import BadInputError, DecigError
from decig.extras import needs_torch
from decig.repeating import Said, require_text
from decig.source.recipe import load_recipe

_log = logging.getLogger(__name__)


def train(
    recipe: File,
    output_dir: File,
    *,
    data: File | None = None,
    direction: Literal["AtoB", "BtoA"] | None = None,
    table: CostTable | File | None = None,
    force: bool = False,
    target_latency_ms: float | None = None,
    target_speedup: float | None = None,
    target_macs: float | None = None,
    method: str | None = None,
    sample_every_s: float = 600.0,
    tensorboard: bool = False,
    resume: bool = False,
    said: Said | None = None,
) -> Path | None:
    """Train the original generator of a recipe, and make it narrower on the way if asked.

    Args:
        recipe: recipe.toml, or the folder that holds one.
        output_dir: the run folder, which is made.
        data: folder of the data set; None takes the one that the recipe names.
        direction: which side of the data is made of the other; None as the recipe says.
        table: cost table of the recipe's generator, which then becomes narrower while it is
            trained, and is cut: to a target, or else where its channels stop mattering.
        force: accept a table of another device.
        target_latency_ms: latency to condense to, in milliseconds; needs `table`.
        target_speedup: how many times faster than the whole generator; needs `table`.
        target_macs: multiply-accumulates, or below 1 a share of the whole generator's, for no
            device.
        method: how channels are taken away; None for "decig", or that of the run to go on with.
            "hypernet" needs a target.
        sample_every_s: seconds between two sheets of samples.
        tensorboard: log losses and samples for TensorBoard in the run folder.
        resume: go on with the run in `output_dir`; all else must be asked as before.
        said: what a command was told, which is written into run.toml; None writes none.

    Returns:
        The path of the generator's ONNX file; None in all processes but the main one.

    Raises:
        BadInputError: the recipe cannot be trained, or what is asked for does not go together.
        TargetMissedError: the target is out of reach.
        DecigError: a loss is no number, or a file cannot be written; the state is kept.
        KeyboardInterrupt: Ctrl-C or SIGTERM; the state is kept.
    """
    from decig.report.hinges import draw_hinges

    require_text(said)
    loaded = load_recipe(Path(recipe))
    with needs_torch("decig train"):
        from decig.training.loop.events import require_events
        from decig.training.methods import DEFAULT, find_way
        from decig.training.originals.condensing_goal import CondensingGoal, method_of_run
        from decig.training.originals.original import train as run

    if tensorboard:
        require_events("--tensorboard")
    narrow = None
    target = next(iter(wanted_of(target_latency_ms, target_speedup, target_macs)), None)
    counts = target is not None and target.kind == "macs"
    if table is None and target is not None and not counts:
        raise BadInputError("a latency or a speed-up needs the recipe's cost table")
    if table is not None and counts:
        raise BadInputError(NO_DEVICE)
    if method is not None:
        find_way(method)
    if table is not None or counts:
        costs = None if table is None else as_table(table)
        usual = method_of_run(Path(output_dir)) if resume else DEFAULT
        narrow = CondensingGoal(costs, target, method or usual, force)
    elif method is not None:
        raise BadInputError(
            "a method makes the generator narrower while it trains: give the recipe's cost table, "
            "or a target of multiply-accumulates"
        )
    written: Path | None = run(
        loaded,
        Path(output_dir),
        data=as_path(data),
        direction=direction,
        resume=resume,
        said=said,
        sample_every_s=sample_every_s,
        wanted=narrow,
        tensorboard=tensorboard,
    )
    if written is not None and narrow is not None:
        try:
            draw_hinges(Path(output_dir))
        except DecigError as error:  # what was trained is there all the same
            _log.warning("no drawing of the hinges: %s", error)
    return written
