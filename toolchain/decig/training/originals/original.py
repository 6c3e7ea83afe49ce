"""`decig train`: an original generator, trained from data as its recipe describes."""

import logging
import tempfile
from dataclasses import replace
from pathlib import Path

from decig.errors import BadInputError
from decig.files import make_folder, require_folder
from decig.repeating import Said, was_said
from decig.source.recipe import Recipe
from decig.training import tasks
from decig.training.data.stages import Direction
from decig.training.loop.engine import Engine
from decig.training.loop.processes import Processes, together
from decig.training.loop.schedule import Budget
from decig.training.narrowing.hinge_cut import waits_for_target
from decig.training.originals.asked import FILE as ASKED_FILE
from decig.training.originals.asked import STEPS, asked_of, require_same, write_asked
from decig.training.originals.condensing_goal import CondensingGoal
from decig.training.originals.fitting import warn_of_range, with_fitting_statistics
from decig.training.originals.from_scratch import Condensation
from decig.training.originals.shown import Shown, Training
from decig.training.runs.repeat import write_said
from decig.training.runs.run import hold, require_no_other

_log = logging.getLogger(__name__)

STATE_FILE = "state.pt"
"""File of a run folder from which a stopped training goes on."""


@together()
def train(
    recipe: Recipe,
    output_dir: Path,
    *,
    data: Path | None = None,
    direction: Direction | None = None,
    resume: bool = False,
    said: Said | None = None,
    sample_every_s: float = 600.0,
    tensorboard: bool = False,
    wanted: CondensingGoal | None = None,
) -> Path | None:
    """Train the recipe's generator and export it.

    The run folder receives `training.json` (what is trained, and how), `state.pt` (all that is
    needed to go on), `samples/*.png` (pictures of held-out examples), the ONNX files of the task
    and its discriminators (`discriminator.safetensors`), by which a compression can judge students;
    files are renewed with every sheet of samples and at the end. Every choice follows from the seed
    and the step number, so a run that was killed and resumed ends with the weights of one that
    was not.

    Args:
        recipe: with its tables [source] and [train].
        output_dir: the run folder; made if missing.
        data: folder of the data; None takes the recipe's own.
        direction: "AtoB" or "BtoA", which of the data's two sides is made of the other; None
            takes the recipe's own.
        resume: go on from `state.pt` of the run folder; where a target was missed when condensed
            generators were cut, it may be another one now.
        said: what the command was told, for run.toml; None writes none.
        sample_every_s: seconds between two sheets of samples.
        tensorboard: log losses and sheets of samples for TensorBoard, in the run folder.
        wanted: condenses the generators while they are trained, and cuts them; see
            `decig.training.originals.from_scratch`.

    Returns:
        The path of the exported ONNX file, of the first one where the task exports several; None
        in all processes but the main one.

    Raises:
        BadInputError: the recipe cannot be trained, the data does not fit, a run is there
            already and `resume` is false, none is there, or one by another recipe, and it is
            true, or another process is at work there. With `wanted`, also: the method needs a
            trained generator, the task, or its net, cannot be condensed, or the cost table is of
            another one.
        TargetMissedError: the latency of `wanted` is out of reach.
        DecigError: a loss is no number, or a file cannot be written; the last saved state is kept.
        KeyboardInterrupt: Ctrl-C or SIGTERM; the state is kept.
    """
    processes = Processes()
    state = output_dir / STATE_FILE
    processes.on_main(lambda: _check(output_dir, state, resume=resume))
    way = None if wanted is None else wanted.way(recipe)
    module = tasks.find(str((recipe.train or {}).get("task", "paired")))
    if direction is not None:
        recipe = _directed(recipe, direction)
    task = module.open_task(recipe, data, processes)
    warn_of_range(recipe, task, processes)
    fitting = with_fitting_statistics(recipe, task, processes, condensed=wanted is not None)
    training = Training(fitting, task, output_dir, sample_every_s, tensorboard)
    condensation = None
    if wanted is not None and way is not None:
        goes_on = resume and _has_begun(output_dir) and not waits_for_target(output_dir)
        begins = not processes.from_main(goes_on)
        condensation = Condensation(training, wanted, way, processes, begins=begins)
    # How many steps passes over the data take depends on the images and on the processes.
    more = {STEPS: task.steps} | ({} if wanted is None else {"condense": wanted.record()})
    asked = asked_of(recipe, more)
    with hold(output_dir) as take:

        def begin() -> None:
            make_folder(output_dir / "samples")
            take()
            _check(output_dir, state, resume=resume)
            if resume and _has_begun(output_dir):
                if not waits_for_target(output_dir):
                    require_same(output_dir, asked)
                    return
                require_same(output_dir, asked, free=("condense.target_ms", "condense.target_macs"))
            elif condensation is None:
                _require_exportable(training)
            if wanted is not None:
                wanted.save(output_dir)
            if said is not None:
                table = wanted is not None and wanted.table is not None
                write_said(output_dir, said, table=table)
            write_asked(output_dir, asked)  # last, as it says that the training has begun

        processes.on_main(begin)
        if condensation is not None:
            written = condensation.run(state)
        else:
            written = _train_whole(training, processes, state)
    return written if processes.main else None


def _train_whole(training: Training, processes: Processes, state: Path) -> Path:
    """Train all nets of the task from the first step to the last."""
    task = training.task
    engine = Engine(task, Budget(steps=task.steps), processes, seed=task.seed, state_file=state)
    if engine.resume() and engine.step >= task.steps and processes.main:
        what = "%s: this training is finished: all of its %d steps are taken"
        _log.info(what, training.folder, task.steps)
    shown = Shown(engine, training, lambda: training.export(engine.means, training.folder))
    return shown.run(shown.write)


def _require_exportable(training: Training) -> None:
    """Export the task's nets as they are: what fails must fail now, not when they are trained.

    Raises:
        BadInputError, DecigError: as for `export_onnx`.
    """
    with tempfile.TemporaryDirectory() as scratch:
        training.export(training.task.nets, Path(scratch))


def _directed(recipe: Recipe, direction: Direction) -> Recipe:
    """Put a direction into the table [train.data]; what fits no table is for the task to refuse."""
    table = (recipe.train or {}).get("data", {})
    if recipe.train is None or not isinstance(table, dict):
        return recipe
    return replace(recipe, train={**recipe.train, "data": {**table, "direction": direction}})


def _has_begun(folder: Path) -> bool:
    """Whether a training has begun in a folder, so that whatever goes on must be the same."""
    return any((folder / name).is_file() for name in (STATE_FILE, ASKED_FILE))


def _check(folder: Path, state: Path, *, resume: bool) -> None:
    """Raise BadInputError if the run folder does not hold what `resume` expects."""
    require_folder(folder)
    require_no_other(folder, "train")
    if resume and not (_has_begun(folder) or was_said(folder, "train")):
        raise BadInputError(
            f"{folder}: holds no run that could go on, as nothing is kept before a run begins to "
            "train: leave --resume out"
        )
    if state.exists() and not resume:
        raise BadInputError(f"{folder}: holds a run already; go on with --resume")
