"""The step that distils: a sliced graph is trained to paint what its teacher paints."""

import logging
from typing import Any

import onnx

from decig.device.run.timing import missed
from decig.graph.channels import analyse
from decig.graph.plan import Plan
from decig.quality.metrics import Likeness
from decig.training.compression.job import Job
from decig.training.compression.judge import Judge
from decig.training.compression.student import (
    mean_of,
    run_student,
    save_student,
    state_file,
    student_engine,
    student_task,
    teacher_pool,
)
from decig.training.data.examples import JUDGED
from decig.training.loop.engine import Engine, News
from decig.training.loop.patience import Patience
from decig.training.loop.schedule import Budget
from decig.training.tasks.distil import STUDENT
from decig.training.trainable.module import write_back

_log = logging.getLogger(__name__)

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
    before, first = job.processes.on_main(lambda: _likeness(job.judge, start))
    predicted = job.goal.target.predicted(job.planner.predict_ms(analyse(start).widths))
    pool = None if painter is None else teacher_pool(job, seed=job.config.train.seed, proto=painter)
    task = student_task(job, start, rate=rate_share(before.ssim), with_extras=True, pool=pool)

    def look(judge: Judge) -> Likeness:
        return judge.likeness(write_back(mean_of(engine), start))

    def glance() -> Likeness:
        return look(job.judge.first(JUDGED))

    def report(news: News) -> None:
        figures = predicted | {"ssim": watch.latest.ssim}
        job.progress("distil", news.progress, {"loss": news.losses[STUDENT], **figures})

    patience = job.config.train.patience if job.examples.only_teacher else 0.0
    own_look, timed = glance if job.processes.main else None, budget.steps is None
    watch = Patience(own_look, first, patience, timed=timed)
    engine = student_engine(job, task, budget, state_file(job, state), report, [watch])
    run_student(job, engine)

    def finish() -> None:
        if watch.reason:
            _log.info("training ended early: %s", watch.reason)
        result, after = write_back(mean_of(engine), start), look(job.judge)
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


def _likeness(judge: Judge, start: onnx.ModelProto) -> tuple[Likeness, Likeness]:
    """How like the teacher's pictures those of a start are: all, and the few of looks in training.

    Looks take time of the budget, so they do with no more images than it takes to judge.
    """
    painted, expected = judge.pictures(start), judge.expected
    few = judge.first(JUDGED).expected
    return Likeness.of(painted, expected), Likeness.of(painted[: len(few)], few)


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


def rate_share(ssim: float) -> float:
    """Share of the learning rate for a start of this likeness to what it should become.

    Weights have a way to go that is as long as the start is far: with the full rate, a start that
    is nearly perfect is thrown back further than a short budget can make up for.
    """
    return min(1.0, max(1 - ssim, _NEAREST) / _FAR)


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
