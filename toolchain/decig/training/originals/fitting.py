"""What fits the way in which an original is trained: statistics of batch norms, range of pictures.

Batch norms are trained with the mean and variance of each batch. In a batch of one picture these
are the picture's own, and running statistics follow about the last ten pictures: a net that is
deployed with those paints otherwise than it was trained to. pix2pix is trained on one picture at a
time, and its authors let it paint so too (Isola et al., "Image-to-Image Translation with
Conditional Adversarial Networks", CVPR 2017, section 3.3).
"""

import logging
from dataclasses import replace

from decig.errors import BadInputError
from decig.source.recipe import Recipe
from decig.training import tasks
from decig.training.loop.processes import Processes
from decig.training.pytorch.statistics import running_norms
from decig.training.tasks import Original

_log = logging.getLogger(__name__)

_MUCH = 4.0
"""Times as large as usual from which on numbers of pixels harm a training."""


def with_fitting_statistics(
    recipe: Recipe, task: Original, processes: Processes, *, condensed: bool
) -> Recipe:
    """Say for a recipe that says nothing which statistics its exported generators use.

    Args:
        recipe: of the generator.
        task: that trains it. One that has no `crops_per_step` is left to its recipe.
        processes: that train together; the main one says what was chosen.
        condensed: whether generators are condensed while they are trained: the cost table that was
            taken of the recipe fits the statistics that it says, and no others.

    Returns:
        The recipe, with `batch_statistics` true where its generators have batch norms that end
        their training on one picture at a time.

    Raises:
        BadInputError: the recipe asks for each picture's own statistics, and there are no batch
            norms.
    """
    source = recipe.source
    norms = sum(len(running_norms(task.nets[name])) for name in task.averages)
    if source is None or source.batch_statistics:
        if source is not None and not norms:
            net = source.python.rpartition(":")[2]
            raise BadInputError(f"{net}: has no batch norms that could use a picture's statistics")
        return recipe
    if not norms or getattr(task, "crops_per_step", 0) != 1:
        return recipe
    if condensed or source.batch_statistics is False:
        # Who asked for running statistics need not be warned of them.
        told = _log.info if source.batch_statistics is False else _log.warning
        say = told if processes.main else _log.debug
        anew = " (and profile anew)" if condensed else ""
        say(
            "%d batch norms are trained on one picture at a time, but exported with running "
            "statistics, which follow the last few: pictures will be others than in training; say "
            "batch_statistics = true under [source]%s, or train on several crops per step ([train] "
            "stages)",
            norms,
            anew,
        )
        return recipe
    say = _log.info if processes.main else _log.debug
    say(
        "%d batch norms are trained on one picture at a time, and are exported so: as instance "
        "norms, which use each picture's own statistics; with batch_statistics = false under "
        "[source] they are exported with running ones",
        norms,
    )
    return replace(recipe, source=replace(source, batch_statistics=True))


def warn_of_range(recipe: Recipe, task: Original, processes: Processes) -> None:
    """Warn where losses do not count as their authors have it, who paint from -1 to 1.

    Not of a task of another package, which may have weights of its own.
    """
    black, white = recipe.pixels.output_range
    own = type(task).__module__.startswith(f"{tasks.__name__}.")
    times = (white - black) / 2
    if own and (black, white) != (-1.0, 1.0) and processes.main:
        say = _log.warning if times > _MUCH else _log.info
        say(
            "output_range is [%g, %g], and the usual weights under [train] are for [-1, 1]: here "
            "terms that compare pixels count %.3g times as much, and discriminators see other "
            "numbers; let the generator paint from -1 to 1, or change the weights",
            black,
            white,
            times,
        )
