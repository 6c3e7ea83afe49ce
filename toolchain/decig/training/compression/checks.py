"""What may be wrong with a compression, found before anything expensive begins."""

import torch

from decig.data.ports import output_image
from decig.errors import BadInputError
from decig.quality.metrics import SSIM_WINDOW
from decig.training.compression.adversary import trained_discriminator
from decig.training.compression.teacher import Teacher
from decig.training.config import Config
from decig.training.data.examples import Examples, Folders
from decig.training.data.pool import Crops, TeacherPool
from decig.training.trainable.parity import require_parity


def look_over(teacher: Teacher, folders: Folders, config: Config, *, whole: bool) -> Examples:
    """Find out what can be found out of a compression without its device; takes seconds.

    Args:
        teacher: the model.
        folders: its images.
        config: settings.
        whole: whether crops as large as the model's input will be asked for.

    Returns:
        The images, of which the first one was read.

    Raises:
        BadInputError: images do not fit or are too few, a node of the model cannot be trained, or
            nothing would learn from what is given.
        DecigError: the trainable module does not compute what the model does.
    """
    examples = Examples(teacher, folders, config.distil, seed=config.train.seed, whole=whole)
    _require_learning(examples, config)
    judged = _require_judge(examples, config)
    real = not examples.only_teacher
    config.distil.require_crop(examples.pictures(), real=real, judged=judged)
    _require_judged(teacher)
    crop = examples.crop()
    module = teacher.module(crop)
    feeds = examples.feeds([examples.first])[0]
    require_parity(module, teacher.model.proto, feeds, [teacher.picture])
    if examples.paired:
        _require_aligned(teacher, examples, config)
    return examples


def _require_learning(examples: Examples, config: Config) -> None:
    """Refuse real pictures from which nothing would learn: they would cost more than they give."""
    settings = config.distil
    if examples.only_teacher or settings.needs_judge(real=True):
        return
    if examples.unpaired is not None:
        raise BadInputError(
            f"{examples.folders.unpaired}: nothing would learn from these pictures: adversarial "
            "is 0 in the table [distil] of the settings (--config)"
        )
    if not settings.target:
        raise BadInputError(
            f"{examples.folders.targets}: nothing would learn from these targets: target and "
            "adversarial are 0 in the table [distil] of the settings (--config)"
        )


def _require_judge(examples: Examples, config: Config) -> int | None:
    """Refuse a discriminator that fits neither the model nor what is asked of it.

    Returns:
        The least side of the pictures that it can judge; None where none was given.
    """
    file = examples.discriminator
    if file is None:
        return None
    if not config.distil.needs_judge(real=not examples.only_teacher):
        why = "adversarial is 0 in the table [distil] of the settings (--config)"
        if examples.only_teacher:
            why = (
                "give real pictures (--targets DIR or --unpaired DIR), or let it take the "
                "teacher's for real, with imitation above 0 in the table [distil] of the settings "
                "(--config)"
            )
        raise BadInputError(f"{file}: this discriminator would judge nothing: {why}")
    return trained_discriminator(
        file, examples.condition_channels, examples.real, colours=examples.picture_channels
    ).smallest


def _require_judged(teacher: Teacher) -> None:
    """Refuse pictures that are too small to be judged."""
    height, width = teacher.pixels.size_of(output_image(teacher.model.proto, teacher.pixels).shape)
    if min(height, width) < SSIM_WINDOW:
        raise BadInputError(
            f"{teacher.model.path}: its pictures of {height}x{width} pixels are too small to be "
            f"judged, which needs {SSIM_WINDOW}x{SSIM_WINDOW}"
        )


def _require_aligned(teacher: Teacher, examples: Examples, config: Config) -> None:
    """Let the teacher paint one crop, and refuse targets that would have another size."""
    height, width = size = examples.crop() or examples.size
    pool = TeacherPool(
        [examples.first],
        teacher.module(examples.crop()),
        teacher.pixels,
        examples.inputs,
        Crops(*size, examples.inputs.batch, config.distil.zoom),
        refresh=1,
        capacity=1,
        seed=config.train.seed,
        device=torch.device("cpu"),
    )
    painted = tuple(pool.batch(0).teacher.shape[2:])
    if painted != examples.pictures():
        rows, columns = examples.pictures()
        raise BadInputError(
            f"{teacher.model.path}: of crops of {height}x{width} pixels it makes pictures of "
            f"{painted[0]}x{painted[1]}, and targets are cut to {rows}x{columns}: give none, "
            "or another size of crops (crop in the table [distil] of the settings, --config)"
        )
