"""The student of a compression as it is trained: its task, its teacher's pictures, its engine."""

import logging
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import onnx
from torch import Tensor, nn
from torch.fx import GraphModule

from decig.graph.channels import analyse
from decig.graph.operators import Kind, find
from decig.graph.plan import Plan
from decig.training.compression.adversary import (
    Adversary,
    adversary_of,
    fresh_discriminator,
    trained_discriminator,
    width_for,
)
from decig.training.compression.inner import InnerValues, comparable_values, kept_indices
from decig.training.compression.job import Job
from decig.training.compression.terms import TERMS, VALUES
from decig.training.data.pool import Crops, TeacherPool
from decig.training.data.real_pictures import RealPictures
from decig.training.loop.engine import Engine, News, Part
from decig.training.loop.events import logged
from decig.training.loop.schedule import Budget
from decig.training.nets.recognise import Discriminator
from decig.training.tasks import Task
from decig.training.tasks.distil import STUDENT, Distil, Learning
from decig.training.trainable.module import build_module, takes_batches
from decig.training.trainable.parity import keeps_images_apart

_log = logging.getLogger(__name__)

_KEPT_BYTES = 512 * 2**20
"""Memory for pictures of the teacher that students for other targets will learn from too."""
_POOL_BYTES = 4 * 2**30
"""Memory for the batches of a pool."""


def student_task(
    job: Job,
    start: onnx.ModelProto,
    *,
    rate: float,
    with_extras: bool,
    features: bool = True,
    whole: bool = False,
    pool: TeacherPool | None = None,
    first: int = 0,
    examples: int | None = None,
    wrap: Callable[[GraphModule], nn.Module] = lambda net: net,
) -> Distil:
    """Set a student's task up by the settings of the compression.

    Args:
        job: of the compression.
        start: the student as it begins.
        rate: share of the learning rate; see `rate_share`.
        with_extras: add the losses beside the output's that the settings ask for.
        features: whether those of inner values may be among them, which need `plan.json`.
        whole: train on crops as large as the model's input.
        pool: of crops of that size; a new one if None.
        first: how many of the pool's batches were taken before.
        examples: how many of the training images to cut from, the first ones; all if None.
        wrap: makes the net that is trained of the student's module.
    """
    train, settings, size = job.config.train, job.config.distil, job.examples.crop(whole=whole)
    terms = settings.terms if with_extras else {}
    inner = [name for name in terms if TERMS[name].compares == VALUES]
    values = _inner_values(job, start) if features and inner else []
    if not values:
        terms = {name: weight for name, weight in terms.items() if name not in inner}
    return Distil(
        # Running statistics are those by which the graph was repaired. A crop has others, and the
        # student would learn to paint with what it is not deployed with.
        wrap(build_module(start, [job.teacher.picture, *values], size, fixed_statistics=True)),
        pool or teacher_pool(job, seed=train.seed, whole=whole, examples=examples),
        job.teacher.pixels,
        settings,
        Learning(rate * train.learning_rate, train.warmup, train.ema, train.seed),
        job.precision,
        terms=terms,
        inner=_teacher_values(job, values, size) if values else None,
        adversary=_adversary(job, start) if with_extras else None,
        paired=with_extras and job.examples.paired,
        real=_real_pictures(job, whole=whole) if with_extras else None,
        first=first,
    )


def _adversary(job: Job, start: onnx.ModelProto) -> Adversary | None:
    """The discriminator that the user's pictures and the settings call for."""
    settings, examples, file = job.config.distil, job.examples, job.examples.discriminator
    if not settings.needs_judge(real=not examples.only_teacher):
        return None
    inputs, seed = examples.condition_channels, job.config.train.seed
    colours = examples.picture_channels
    net: Discriminator
    if file is not None:
        net = trained_discriminator(file, inputs, examples.real, seed, colours=colours)
    else:
        whole = job.teacher.channels.widths
        narrow = width_for(list(analyse(start).widths.values()), list(whole.values()))
        width, beside = settings.discriminator_width or narrow, examples.real != "real"
        net = fresh_discriminator(inputs if beside else 0, width, seed, colours=colours)
    return adversary_of(
        net,
        job.teacher.pixels,
        real=examples.real,
        weight=settings.adversarial_weight(real=not examples.only_teacher),
        trained=file is not None,
        game=settings.game,
        colours=colours,
    )


def _real_pictures(job: Job, *, whole: bool) -> Callable[[int], Tensor] | None:
    gallery, settings = job.examples.unpaired, job.config.distil
    if gallery is None or not settings.needs_judge(real=True):
        return None
    crops = Crops(*job.examples.pictures(whole=whole), settings.batch, settings.zoom)
    seed, rank = job.config.train.seed, job.processes.rank
    pixels, channels = job.teacher.pixels, job.examples.picture_channels
    return RealPictures(gallery, crops, pixels, channels=channels, seed=seed, rank=rank).batch


def student_engine(
    job: Job,
    task: Task,
    budget: Budget,
    state: Path,
    report: Callable[[News], None],
    parts: Sequence[Part] = (),
) -> Engine:
    """Set the training of a student up; see `Engine` for the arguments."""
    train = job.config.train
    return Engine(
        task,
        budget,
        job.processes,
        seed=train.seed,
        accumulate=train.accumulate,
        parts=parts,
        state_file=state,
        report=report,
    )


def run_student(job: Job, engine: Engine) -> None:
    """Train a student to the end of its budget, from the saved state on if there is one."""
    engine.resume()
    assert engine.state_file is not None
    with logged(engine, job.run.events(engine.state_file.stem)):
        engine.run()


def mean_of(engine: Engine) -> GraphModule:
    """The running mean of a student's weights, which is what is kept of its training."""
    mean = engine.means[STUDENT]
    assert isinstance(mean, GraphModule)
    return mean


def state_file(job: Job, name: str) -> Path:
    """Path of a file from which a stopped run goes on."""
    return job.run.file("state") / name


def save_student(job: Job, proto: onnx.ModelProto, graph_file: str) -> None:
    """Save a result; the student itself with the open axes of the teacher's file."""
    final = graph_file == "student.onnx"
    job.run.save_graph(graph_file, job.teacher.model.reopen(proto) if final else proto)


def teacher_pool(
    job: Job,
    *,
    seed: int,
    whole: bool = False,
    examples: int | None = None,
    proto: onnx.ModelProto | None = None,
) -> TeacherPool:
    """Make a pool of crops that the teacher paints, or take the one of another target.

    Args:
        job: of the compression.
        seed: of every random choice.
        whole: cut crops as large as the model's input, and as few per step as cost the same.
        examples: how many of the training images to cut from, the first ones; all if None.
        proto: graph that paints instead of the teacher's.
    """
    what = _Painted(seed, whole, examples)
    if proto is not None or len(job.shared.planners) == 1:
        return _new_pool(job, what, proto, kept_bytes=0)
    if what not in job.shared.pools:
        job.shared.pools[what] = _new_pool(job, what, None, kept_bytes=_KEPT_BYTES)
    return job.shared.pools[what]


@dataclass(frozen=True)
class _Painted:
    """What a pool holds; see the arguments of `teacher_pool`."""

    seed: int
    whole: bool
    examples: int | None


def _new_pool(
    job: Job, what: _Painted, proto: onnx.ModelProto | None, *, kept_bytes: int
) -> TeacherPool:
    settings, processes = job.config.distil, job.processes
    cut = job.examples.crop(whole=what.whole)
    size = cut or job.examples.size
    graph = job.teacher.model.proto if proto is None else proto
    teacher = build_module(graph, [job.teacher.picture], cut).eval().to(processes.device)
    pixels = settings.crop**2 or math.prod(size)
    batch = settings.batch * pixels // math.prod(size)
    made_for = job.examples.inputs.batch

    def pool_of(batch: int) -> TeacherPool:
        return TeacherPool(
            job.examples.training[: what.examples],
            teacher,
            job.teacher.pixels,
            job.examples.inputs,
            Crops(*size, batch, settings.zoom),
            refresh=settings.refresh,
            capacity=_capacity(job, what, batch),
            seed=what.seed,
            device=processes.device,
            precision=job.precision,
            rank=processes.rank,
            kept_bytes=kept_bytes,
        )

    pool = pool_of(batch := max(1, batch))
    if batch == made_for:
        return pool
    if takes_batches(teacher) and (
        # Processes look at batches of their own, and all must come to the same.
        batch == 1 or processes.from_main(keeps_images_apart(teacher, pool.batch(0).inputs))
    ):
        return pool
    _log.warning("the model is made for %d images at a time: batch = %d", made_for, made_for)
    return pool_of(made_for)


def _capacity(job: Job, what: _Painted, batch: int) -> int:
    """Batches that a pool keeps: as many as the settings say, if there is room for them.

    It follows from shapes alone, so that a run that goes on has the same.
    """
    examples, wanted = job.examples, job.config.distil.pool
    cut = examples.crop(whole=what.whole)
    image = 0 if cut is None else math.prod(cut)
    picture = math.prod(examples.pictures(whole=what.whole))
    # Crops of images and of their targets as bytes, pictures as half floats.
    size = 3 * image + picture * (3 * examples.paired + 2 * examples.picture_channels)
    room = max(1, _POOL_BYTES // (batch * size))
    if room < wanted:
        gigabytes = _POOL_BYTES / 2**30
        _log.warning("pool = %d: more batches would take more than %g GB", room, gigabytes)
    return min(room, wanted)


def _inner_values(job: Job, start: onnx.ModelProto) -> list[str]:
    """Outputs of the student's convolutions whose channels can be told apart by their identity."""
    convolutions = (node for node in start.graph.node if find(node).kind is Kind.CONVOLUTION)
    return comparable_values(job.teacher.channels, [node.output[0] for node in convolutions])


def _teacher_values(job: Job, values: list[str], size: tuple[int, int] | None) -> InnerValues:
    device = job.processes.device
    plan = Plan.load(job.run.file("plan.json"))
    kept = kept_indices(job.teacher.channels, plan, values)
    teacher = job.teacher.module(size, values).to(device)
    return InnerValues(teacher, kept, job.precision, device)
