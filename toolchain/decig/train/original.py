"""Training an original generator from pairs: L1 and PatchGAN, as in pix2pix.

Isola et al., "Image-to-Image Translation with Conditional Adversarial Networks" (CVPR 2017),
with crops that grow from stage to stage and a running mean of the weights as the result.
"""

import logging
import time
from collections.abc import Iterator
from pathlib import Path

from decig.data.labels import Labels
from decig.data.pairs import Pair, by_stem, side_by_side
from decig.errors import BadInputError, DecigError
from decig.source.recipe import Data, Recipe, Stage, Training
from decig.train.original_run import OriginalRun

_log = logging.getLogger(__name__)

_LOG_EVERY = 100
_SAVE_EVERY = 250
_SAMPLES = 4


def train(
    recipe: Recipe,
    output_dir: Path,
    *,
    data: Path | None = None,
    resume: bool = False,
    sample_every_s: float = 600.0,
) -> Path:
    """Train the recipe's generator on pairs and export it.

    Processes started by `accelerate launch` each take their own crops and average gradients, so
    N processes train on N times the batch.

    The run folder receives `state.pt` (all that is needed to go on), `samples/*.png` (input,
    output, real, of held-out examples) and `generator.onnx`, renewed with every sample sheet
    and at the end. Every choice derives from the seed and the step number, so a run that was
    killed and resumed ends with the weights of one that was not.

    Args:
        recipe: with its tables [source] and [train].
        output_dir: the run folder; made if missing.
        data: folder of pairs laid out as `recipe.train.data` says; else its own `folder`.
        resume: go on from `state.pt` of the run folder.
        sample_every_s: seconds between sample sheets.

    Returns:
        The path of the exported ONNX file.

    Raises:
        BadInputError: the recipe cannot be trained, the data does not fit, a run is there
            already and `resume` is false, or none is there and it is true.
        DecigError: the loss is no number, or the run was interrupted; the last saved state is
            kept.
    """
    training = _trainable(recipe)
    folder = data or _data_folder(recipe, training)
    examples = load_split(folder, "train", training.data, recipe.pixels.labels)
    held_out = load_split(folder, "val", training.data, recipe.pixels.labels)[:_SAMPLES]
    (output_dir / "samples").mkdir(parents=True, exist_ok=True)
    run = OriginalRun.start(recipe, training, output_dir, resume)
    sampled = logged = time.monotonic()
    try:
        for stage in _remaining(training.stages, run.step):
            losses = run.update(run.batch(examples, stage))
            if run.step % _SAVE_EVERY == 0:
                run.save()
            if run.step % _LOG_EVERY == 0:
                now = time.monotonic()
                _report(run, losses, (now - logged) / _LOG_EVERY)
                logged = now
            if time.monotonic() - sampled >= sample_every_s:
                run.show(held_out)
                sampled = time.monotonic()
    except KeyboardInterrupt as interrupt:
        raise DecigError(
            f"{output_dir}: stopped at step {run.step}; go on from the last saved one with --resume"
        ) from interrupt
    run.save()
    path = run.show(held_out)
    run.accelerator.wait_for_everyone()
    return path


def _trainable(recipe: Recipe) -> Training:
    if recipe.train is None:
        raise BadInputError(f"{recipe.folder}/recipe.toml: has no [train] table")
    if recipe.pixels.layout != "nchw":
        raise BadInputError(f"{recipe.folder}/recipe.toml: training needs pixels.layout nchw")
    return recipe.train


def _data_folder(recipe: Recipe, training: Training) -> Path:
    if not training.data.folder:
        raise BadInputError(
            f"{recipe.folder}/recipe.toml: names no data; give --data or folder in [train.data]"
        )
    return recipe.folder / training.data.folder


def load_split(data: Path, split: str, layout: Data, labels: Labels | None) -> list[Pair]:
    """Read the pairs of `data`/`split` as the recipe's [train.data] says.

    `labels` says what inputs mean, where they are label maps.

    Raises:
        BadInputError: folders or images are missing or do not match.
    """
    if layout.layout == "side-by-side":
        return side_by_side(data / split, layout.input, labels)
    return list(by_stem(data / split / "input", data / split / "target", labels))


def _remaining(stages: list[Stage], done: int) -> Iterator[Stage]:
    """Yield the stage of every step from step `done` on."""
    for stage in stages:
        yield from [stage] * max(0, stage.steps - done)
        done = max(0, done - stage.steps)


def _report(run: OriginalRun, losses: dict[str, float], pace: float) -> None:
    """Log losses, speed and the time left."""
    left = (run.last_step - run.step) * pace / 60
    figures = ", ".join(f"{name} {value:.3f}" for name, value in losses.items())
    _log.info(
        "step %d of %d: %s, %.3f s a step, %.0f min left",
        run.step,
        run.last_step,
        figures,
        pace,
        left,
    )
