"""Where condensed generators are cut: at the hinge of every channel group, or for a latency.

What is looked at is what stage I has condensed: how large the weights are by which consumers read
each channel. Channels that are dead there are read by nobody, so that cutting them changes nothing.
"""

import contextlib
from collections.abc import Iterator
from pathlib import Path

from decig.device.plan.compute import MacsTarget
from decig.device.plan.edges import to_stair_edges
from decig.device.plan.target import Target
from decig.errors import TargetMissedError
from decig.files import write_json
from decig.graph.channels import analyse
from decig.graph.model import Model
from decig.graph.plan import plan_from_widths
from decig.graph.scoring import magnitude_loss
from decig.training.narrowing.cut import Cut, plan_within
from decig.training.narrowing.hinge import at_hinge, find_hinge, read_norms, shares
from decig.training.runs.run import SCHEMA_VERSION

HINGES_FILE = "hinges.json"
"""File of the run folder with how much every channel counts, and where generators were cut."""
MISSED_FILE = "missed.json"
"""File of the run folder that says that no cut of the condensed generators reached the target."""


def cut_condensed(model: Model, target: Target | MacsTarget, target_ms: float | None) -> Cut:
    """Choose what stays of a condensed generator.

    A hinge goes up to the edge of the device's stair: the channels up to there take no time. At
    the hinge, no group is cut below the width that cutting by shares leaves it (`floor_of`). For
    a latency, the channels go that are read least: what a group loses is the share that they have
    of the squares of all weights that read it.

    Args:
        model: the condensed graph.
        target: the model on the device of its cost table, or for no device.
        target_ms: latency there, or millions of multiply-accumulates; None lets the hinges decide.

    Raises:
        TargetMissedError: no plan is that fast; the message names the fastest.
    """
    channels = analyse(model.proto)
    norms = read_norms(model.proto, channels)
    read = {name: shares(norm) for name, norm in norms.items()}
    if target_ms is None:
        wanted = {group.name: at_hinge(group, norms[group.name]) for group in channels.prunable}
        edges = to_stair_edges(target.predictor, wanted)
        widths = {name: min(edges[name], channels.widths[name]) for name in wanted}
        plan = plan_from_widths(channels, widths, read, model.sha256)
    else:
        plan = plan_within(model, channels, read, magnitude_loss(read), target, target_ms)
    hinges = {name: find_hinge(norm) for name, norm in norms.items()}
    return Cut(model, channels, norms, hinges, plan)


@contextlib.contextmanager
def keeps_what_is_condensed(folder: Path) -> Iterator[None]:
    """Note that a target was missed at the cut: the training may go on with another one.

    Raises:
        TargetMissedError: it was; says that stage I is kept.
    """
    try:
        yield
        (folder / MISSED_FILE).unlink(missing_ok=True)
    except TargetMissedError as error:
        write_json(folder / MISSED_FILE, {"schema_version": SCHEMA_VERSION, "missed": str(error)})
        raise TargetMissedError(
            f"{error}; what stage I has condensed is kept in {folder}, which can be resumed with "
            "another target"
        ) from error


def waits_for_target(folder: Path) -> bool:
    """Whether a training was condensed, but not cut, as it missed its target."""
    return (folder / MISSED_FILE).is_file() and not (folder / HINGES_FILE).is_file()
