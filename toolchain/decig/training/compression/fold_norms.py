"""The step that folds norms: InstanceNorms become part of the layer before them.

A norm that takes its statistics from every image anew costs two passes over it, and keeps the
activation behind it from being fused. Replaced by the factor and the shift of each channel that
come closest to it on training images, it vanishes in its convolution (`decig.graph.norm_folding`).

Folding follows distilling: plan, cut and repair assume the statistics of every image, and what a
norm does to the picture can be told from a trained student only. In each round

1. the norm is replaced whose time costs the student's pictures least (`norm_ranking`),
2. the student is trained on with its share of the budget, as in distilling but on crops as large
   as the model's input: a small crop has other statistics, and these would be learnt,
3. the norm stays folded if the SSIM to the teacher on held-out images is not lower than the best
   so far by more than the tolerance; otherwise the student of before the round is put back.

So every norm is tried once, and a style that depends on the statistics of the single image keeps
its norms.
"""

import logging
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import onnx
import torch

from decig.graph import rewrite
from decig.graph.norm_folding import all_norms, foldable_norms
from decig.training.compression.distilling import rate_share
from decig.training.compression.job import Job
from decig.training.compression.norm_ranking import fold_least
from decig.training.compression.student import (
    mean_of,
    run_student,
    save_student,
    state_file,
    student_engine,
    student_task,
    teacher_pool,
)
from decig.training.data.pool import TeacherPool
from decig.training.loop.engine import Engine, News
from decig.training.loop.schedule import Budget
from decig.training.loop.state import read_state, reading_state, write_state
from decig.training.runs.run import RunFolder
from decig.training.tasks.distil import DISCRIMINATOR, STUDENT
from decig.training.trainable.module import write_back

_log = logging.getLogger(__name__)

_STATE = "fold.pt"


@dataclass(frozen=True)
class _Standing:
    """Where folding stands between two rounds.

    Attributes:
        graph: the student.
        best: highest SSIM to the teacher so far.
        ssim: SSIM after its round, by norm, in the order of the rounds.
        folded: norms that stayed folded.
        steps: of training, in all rounds.
        seconds: of training, in all rounds.
        adversary: weights and optimiser of the discriminator, where there is one.
    """

    graph: onnx.ModelProto
    best: float
    ssim: dict[str, float] = field(default_factory=dict)
    folded: tuple[str, ...] = ()
    steps: int = 0
    seconds: float = 0.0
    adversary: dict[str, Any] | None = None

    def after(
        self, norm: str, ssim: float, student: onnx.ModelProto, tolerance: float, engine: Engine
    ) -> "_Standing":
        """Return the standing after a round; the norm stays folded if the student is good enough.

        Args:
            norm: that was folded in the round.
            ssim: of the student without it.
            student: that one.
            tolerance: SSIM below the best so far that is good enough.
            engine: that trained it.
        """
        found = replace(
            self,
            ssim={**self.ssim, norm: ssim},
            steps=self.steps + engine.step,
            seconds=self.seconds + engine.elapsed_s,
            adversary=_adversary(engine),
        )
        if ssim < self.best - tolerance:
            return found
        best = max(self.best, ssim)
        return replace(found, graph=student, best=best, folded=(*self.folded, norm))

    @classmethod
    def load(cls, run: RunFolder) -> "_Standing | None":
        """Read what the last round left; None before the first."""
        file = run.file("state") / _STATE
        if not file.exists():
            return None
        saved = read_state(file)
        with reading_state(file):
            graph = onnx.ModelProto.FromString(saved.pop("graph").numpy().tobytes())
            return cls(graph, **saved | {"folded": tuple(saved["folded"])})

    def save(self, run: RunFolder) -> None:
        """Write it atomically: a round has happened as a whole or not at all."""
        saved = {name: value for name, value in vars(self).items() if name != "graph"}
        content = np.frombuffer(self.graph.SerializeToString(), np.uint8)
        graph = torch.from_numpy(content.copy())
        write_state(run.file("state") / _STATE, {**saved, "graph": graph})


def with_joined_norms(proto: onnx.ModelProto) -> onnx.ModelProto:
    """Join norms that are spelled out in elementary operators, so that they can be seen."""
    return rewrite.apply(proto, ["join_instancenorm"])[0]


def fold_norms(job: Job, budget: Budget, tolerance: float) -> None:
    """Fold what can be folded of the distilled student, and save the student.

    Args:
        job: of the compression; its run folder holds `distilled.onnx`.
        budget: of all rounds together.
        tolerance: SSIM to the teacher that all folding together may cost.

    Raises:
        DecigError: training failed, or the saved state is damaged.
    """
    start = job.run.load_graph("distilled.onnx").proto
    norms = foldable_norms(start)
    if not norms:
        _log.warning("norms to fold: no InstanceNorm stands behind a convolution of its own")
    standing = job.processes.on_main(lambda: _Standing.load(job.run) or _begin(job, start))
    pool = teacher_pool(job, seed=job.config.train.seed + 1, whole=True)  # not distilling's crops
    for part in budget.parts([1 / len(norms)] * len(norms) if norms else [])[len(standing.ssim) :]:
        standing = _play(job, standing, part, pool, len(norms), tolerance)

    def finish() -> None:
        job.run.add_figures(_figures(job, start, standing))
        save_student(job, standing.graph, "student.onnx")

    job.processes.on_main(finish)


def _begin(job: Job, start: onnx.ModelProto) -> _Standing:
    """Start with the distilled student, and with the discriminator as distilling left it."""
    file, adversary = state_file(job, "stage2.pt"), None
    if file.exists():
        adversary = read_state(file)["groups"].get(DISCRIMINATOR)
    return _Standing(start, job.judge.ssim(start), adversary=adversary)


def _adversary(engine: Engine) -> dict[str, Any] | None:
    if DISCRIMINATOR not in engine.task.groups:
        return None
    found: dict[str, Any] = _on_processor(engine.group_state(DISCRIMINATOR))
    return found


def _on_processor(state: Any) -> Any:
    """Copy tensors out of the GPU: the state goes to all processes, and would fill its memory."""
    if isinstance(state, dict):
        return {key: _on_processor(value) for key, value in state.items()}
    if isinstance(state, list):
        return [_on_processor(value) for value in state]
    return state.cpu() if isinstance(state, torch.Tensor) else state


def _play(
    job: Job,
    standing: _Standing,
    budget: Budget,
    pool: TeacherPool,
    rounds: int,
    tolerance: float,
) -> _Standing:
    """Play one round, and save what came of it."""

    def choose() -> tuple[str, onnx.ModelProto, float]:
        left = [name for name in foldable_norms(standing.graph) if name not in standing.ssim]
        name, folded = fold_least(
            standing.graph, left, job.examples.for_repair, job.teacher.picture
        )
        return name, folded, job.judge.ssim(folded)

    norm, candidate, before = job.processes.on_main(choose)
    played = len(standing.ssim)
    # What folding took away is the way to go, not what distilling could not reach.
    rate = rate_share(1 - max(0.0, standing.best - before))

    def report(news: News) -> None:
        folded = float(len(standing.folded))
        figures = {"loss": news.losses[STUDENT], "ssim": standing.best, "folded": folded}
        job.progress("fold norms", (played + news.progress) / rounds, figures)

    file = state_file(job, f"fold-{played}.pt")
    taken = standing.steps * job.config.train.accumulate
    task = student_task(
        job, candidate, rate=rate, with_extras=True, whole=True, pool=pool, first=taken
    )
    engine = student_engine(job, task, budget, file, report)
    if standing.adversary is not None:
        engine.load_group(DISCRIMINATOR, standing.adversary)
    run_student(job, engine)

    def settle() -> _Standing:
        trained = write_back(mean_of(engine), candidate)
        after = job.judge.ssim(trained)
        if after < before and job.examples.only_teacher:  # as in distilling
            trained, after = candidate, before
        found = standing.after(norm, after, trained, tolerance, engine)
        found.save(job.run)
        file.unlink(missing_ok=True)
        return found

    return job.processes.on_main(settle)


def _figures(job: Job, start: onnx.ModelProto, standing: _Standing) -> dict[str, Any]:
    """What report.json says of it; an SSIM is that after the round of its norm."""
    foldable = foldable_norms(start)
    ssim, after = standing.ssim, job.judge.likeness(standing.graph)
    figures: dict[str, Any] = {
        "ssim_before_folding": job.judge.ssim(start),
        "ssim": after.ssim,
        "psnr_db": after.psnr_db,
        "norms_folded": {name: ssim[name] for name in standing.folded},
        "norms_put_back": {n: value for n, value in ssim.items() if n not in standing.folded},
        "norms_without_convolution": [n for n in all_norms(start) if n not in foldable],
        "folding_steps": standing.steps,
        "folding_seconds": round(standing.seconds, 1),
    }
    if (bench := job.goal.target.bench) is not None:
        graphs = {"with_norms": start, "folded": standing.graph}
        figures["latency_ms"] = {n: bench.latency(graph).median_ms for n, graph in graphs.items()}
    return figures
