"""The step that distils: a sliced graph is trained to paint what its teacher paints."""

import logging
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import onnx
from torch import Tensor, nn
from torch.fx import GraphModule

from decig.device.run.timing import missed
from decig.graph.channels import analyse
from decig.graph.operators import Kind, find
from decig.graph.plan import Plan
from decig.quality.metrics import Likeness
from decig.training.adversary import (
    Adversary,
    adversary_of,
    fresh_discriminator,
    trained_discriminator,
    width_for,
)
from decig.training.engine import Engine, News, Part
from decig.training.events import logged
from decig.training.inner import InnerValues, comparable_values, kept_indices
from decig.training.job import Job
from decig.training.module import build_module, takes_batches, write_back
from decig.training.nets.recognise import Discriminator
from decig.training.patience import Patience
from decig.training.pool import Crops, TeacherPool
from decig.training.real_pictures import RealPictures
from decig.training.schedule import Budget
from decig.training.tasks import Task
from decig.training.tasks.distil import STUDENT, Distil, Learning
from decig.training.terms import TERMS, VALUES

_log = logging.getLogger(__name__)

_KEPT_BYTES = 512 * 2**20
"""Memory for pictures of the teacher that students for other targets will learn from too."""
_FAR, _NEAREST = 0.25, 0.005
"""1 - SSIM from which on a start gets the whole learning rate, and the least that counts."""


def distil(
    job: Job,
    start: onnx.ModelProto,
    budget: Budget,
    state: str,
    graph_file: str,
    *,
    painter: onnx.ModelProto | None = None,
) -> None:
    """Train a graph with all losses that the settings ask for, and save what is better.

    Args:
        job: of the compression; its run folder holds the plan by which the teacher was cut.
        start: the student as it begins.
        budget: how long.
        state: name of the file, in the run's folder of states, from which a stopped run goes on.
        graph_file: name of the result in the run folder. `student.onnx` gets the open axes of
            the teacher's file.
        painter: graph that paints the pictures to learn from; the teacher's if None. Held-out
            pictures are compared with the teacher's in any case.

    Raises:
        DecigError: a loss became no number, or a file cannot be written; the state is kept.
    """
    job.processes.on_main(lambda: _measure_start(job, start))
    before = job.processes.on_main(lambda: job.judge.likeness(start))
    predicted = job.goal.target.predicted(job.planner.predict_ms(analyse(start).widths))
    pool = None if painter is None else teacher_pool(job, seed=job.config.train.seed, proto=painter)
    task = student_task(job, start, rate=rate_share(before.ssim), with_extras=True, pool=pool)

    def look() -> Likeness:
        return job.judge.likeness(write_back(mean_of(engine), start))

    def report(news: News) -> None:
        figures = predicted | {"ssim": watch.latest.ssim}
        job.progress("distil", news.progress, {"loss": news.losses[STUDENT], **figures})

    patience = job.config.train.patience if job.examples.only_teacher else 0.0
    watch = Patience(look if job.processes.main else None, before, patience)
    engine = student_engine(job, task, budget, state_file(job, state), report, [watch])
    run_student(job, engine)

    def finish() -> None:
        if watch.reason:
            _log.info("training ended early: %s", watch.reason)
        result, after = write_back(mean_of(engine), start), look()
        if after.ssim < before.ssim and job.examples.only_teacher:
            _log.warning("training made nothing better in this budget: the repaired graph is kept")
            result, after = start, before
        job.run.add_figures(
            {
                "ssim": after.ssim,
                "psnr_db": after.psnr_db,
                "ssim_before_distilling": before.ssim,
                "psnr_db_before_distilling": before.psnr_db,
                "ended_early": watch.reason or None,
                **_figures(job, engine),
            }
        )
        save_student(job, result, graph_file)

    job.processes.on_main(finish)


def _measure_start(job: Job, start: onnx.ModelProto) -> None:
    """Measure the start once more, and say if it misses the target.

    Training changes no latency: a start that is too slow ends as a student that is too slow.
    """
    target, target_ms = job.goal.target, job.goal.target_ms
    measured_ms = target.measure_again(start, target_ms)
    if measured_ms is not None:
        job.run.add_figures({"start_latency_ms": measured_ms})
        if target_ms is not None and missed(measured_ms, target_ms):
            _log.warning(
                "this run will miss its target of %.4g ms: the graph that it trains, measured once "
                "more, takes %.4g ms, which training does not change; to meet it, stop here and "
                "ask for a lower latency",
                target_ms,
                measured_ms,
            )
            # Read when all is over: beside the last measurement, which may say otherwise.
            job.run.add_warnings(
                [
                    f"before training, its graph took {measured_ms:.4g} ms, over the "
                    f"{target_ms:.4g} ms asked for"
                ]
            )


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
        wrap(build_module(start, [job.teacher.picture, *values], size)),
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
    inputs, seed = examples.input_channels, job.config.train.seed
    net: Discriminator
    if file is not None:
        net = trained_discriminator(file, inputs, examples.real, seed)
    else:
        whole = job.teacher.channels.widths
        narrow = width_for(list(analyse(start).widths.values()), list(whole.values()))
        width, beside = settings.discriminator_width or narrow, examples.real != "real"
        net = fresh_discriminator(inputs if beside else 0, width, seed)
    return adversary_of(
        net,
        job.teacher.pixels,
        real=examples.real,
        weight=settings.adversarial_weight(real=not examples.only_teacher),
        trained=file is not None,
        game=settings.game,
    )


def _real_pictures(job: Job, *, whole: bool) -> Callable[[int], Tensor] | None:
    gallery, settings = job.examples.unpaired, job.config.distil
    if gallery is None or not settings.needs_judge(real=True):
        return None
    size = job.examples.crop(whole=whole) or job.examples.size
    crops = Crops(*size, settings.batch, settings.zoom)
    seed, rank = job.config.train.seed, job.processes.rank
    return RealPictures(gallery, crops, job.teacher.pixels, seed=seed, rank=rank).batch


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


def rate_share(ssim: float) -> float:
    """Share of the learning rate for a start of this likeness to what it should become.

    Weights have a way to go that is as long as the start is far: with the full rate, a start that
    is nearly perfect is thrown back further than a short budget can make up for.
    """
    return min(1.0, max(1 - ssim, _NEAREST) / _FAR)


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
    if max(batch, 1) != made_for and not takes_batches(teacher):
        _log.warning("the model is made for %d images at a time: batch = %d", made_for, made_for)
        batch = made_for
    return TeacherPool(
        job.examples.training[: what.examples],
        teacher,
        job.teacher.pixels,
        job.examples.inputs,
        Crops(*size, max(1, batch), settings.zoom),
        refresh=settings.refresh,
        capacity=settings.pool,
        seed=what.seed,
        device=processes.device,
        precision=job.precision,
        rank=processes.rank,
        kept_bytes=kept_bytes,
    )


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


def _figures(job: Job, engine: Engine) -> dict[str, Any]:
    kept = Plan.load(job.run.file("plan.json")).keep
    widths = {name: len(channels) for name, channels in kept.items()}
    return {
        "held_out_images": len(job.examples.held_out),
        **job.goal.target.prediction(job.planner.predict_ms(widths)),
        "widths": widths,
        "steps": engine.step,
        "training_seconds": round(engine.elapsed_s, 1),
    }
