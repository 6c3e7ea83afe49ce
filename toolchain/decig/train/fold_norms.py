"""Stage II, last part (`--fold-norms`): InstanceNorms that become part of the layer before them.

A norm that takes its statistics from every image anew costs two passes over it, and keeps the
activation behind it from being fused. Replaced by the factor and the shift of each channel that
come closest to it on training images, it vanishes in its convolution (`decig.graph.norm_folding`).

Folding follows distilling: plan, slice and repair reckon with the statistics of every image, and
what a norm does to the picture can be told of a trained student only. In each round

1. the norm is replaced whose time costs the student's pictures least (`norm_ranking`),
2. the student is trained on with its share of the budget, as in distilling but on crops as large
   as the model's input: the statistics of a small crop are others, and would be learnt,
3. the norm stays folded if the SSIM to the teacher on held-out images is not lower than the best
   so far by more than the tolerance; otherwise the student of before the round is put back.

So every norm is tried once, and whatever style hangs on the statistics of the single image keeps
them.
"""

import logging
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import onnx
import torch
from torch.fx import GraphModule

from decig.graph import rewrite
from decig.graph.norm_folding import all_norms, foldable_norms
from decig.train.distilling import distillation, rate_share, stage_budget
from decig.train.job import Job
from decig.train.loop import Budget, Loop
from decig.train.module import write_back
from decig.train.norm_ranking import fold_least
from decig.train.pool import TeacherPool
from decig.train.run import RunFolder
from decig.train.state import reading_state, write_state

log = logging.getLogger(__name__)

_STATE = "fold.pt"


@dataclass
class _State:
    """Where folding stands between two rounds.

    Attributes:
        graph: the student.
        best: highest SSIM to the teacher so far.
        ssim: after its round, by norm, in the order of the rounds.
        folded: norms that stayed folded.
        steps: of training, in all rounds.
        seconds: likewise.
        stateful: of the losses; see `decig.train.loop.Stateful`.
    """

    graph: onnx.ModelProto
    best: float
    ssim: dict[str, float] = field(default_factory=dict)
    folded: list[str] = field(default_factory=list)
    steps: int = 0
    seconds: float = 0.0
    stateful: list[dict[str, Any]] = field(default_factory=list)

    def settle(self, norm: str, ssim: float, student: onnx.ModelProto, tolerance: float) -> None:
        """Let a norm stay folded if the student without it is good enough."""
        self.ssim[norm] = ssim
        if ssim >= self.best - tolerance:
            self.graph, self.best = student, max(self.best, ssim)
            self.folded.append(norm)

    def count(self, loop: Loop[GraphModule]) -> None:
        """Add what a round's training took, and keep what it changed beside the student."""
        self.steps += loop.step
        self.seconds += loop.elapsed_s
        self.stateful = [part.state_dict() for part in loop.stateful]

    @classmethod
    def load(cls, run: RunFolder) -> "_State | None":
        """Read what the last round left; None before the first."""
        file = run.file("state") / _STATE
        if not file.exists():
            return None
        with reading_state(file):
            saved = torch.load(file, weights_only=True)
            graph = onnx.ModelProto.FromString(saved.pop("graph").numpy().tobytes())
            return cls(graph, **saved)

    def save(self, run: RunFolder) -> None:
        """Write it atomically: a round has happened as a whole or not at all."""
        saved = {name: value for name, value in vars(self).items() if name != "graph"}
        content = np.frombuffer(self.graph.SerializeToString(), np.uint8)
        graph = torch.from_numpy(content.copy())
        write_state(run.file("state") / _STATE, {**saved, "graph": graph})


def with_joined_norms(proto: onnx.ModelProto) -> onnx.ModelProto:
    """Join norms that are spelled out in elementary operators, so that they can be seen."""
    return rewrite.apply(proto, ["join_instancenorm"])[0]


def folding_share(job: Job, start: onnx.ModelProto) -> float:
    """Share of stage II's budget that folding gets: none where there is nothing to fold."""
    return job.settings.fold if foldable_norms(start) else 0.0


def fold_norms(job: Job, run: RunFolder) -> None:
    """Fold what can be folded of the distilled student; saves the student.

    Raises:
        DecigError: training failed, or the saved state is damaged.
    """
    start = run.load_graph("distilled.onnx").proto
    norms = foldable_norms(start)
    if not norms:
        log.warning("--fold-norms: no InstanceNorm stands behind a convolution of its own")
    state = _State.load(run) or _begin(job, run, start)
    budget = stage_budget(job, run).part(folding_share(job, start) / max(1, len(norms)))
    pool = job.pool(seed=job.settings.seed + 1, whole=True)  # other crops than distilling had
    while len(state.ssim) < len(norms):
        _play(job, run, state, budget, pool, len(norms))
    run.add_figures(_figures(job, start, state))
    run.save_graph("student.onnx", job.request.model.reopen(state.graph))


def _begin(job: Job, run: RunFolder, start: onnx.ModelProto) -> _State:
    """Start with the distilled student, and with the losses as distilling left them."""
    distilled, stateful = run.file("state") / "stage2.pt", []
    if distilled.exists():
        with reading_state(distilled):
            stateful = torch.load(distilled, weights_only=True)["stateful"]
    return _State(start, job.held_out.ssim_of_graph(start), stateful=stateful)


def _play(
    job: Job, run: RunFolder, state: _State, budget: Budget, pool: TeacherPool, rounds: int
) -> None:
    """Play one round and save what came of it."""
    left = [name for name in foldable_norms(state.graph) if name not in state.ssim]
    name, candidate = fold_least(state.graph, left, job.repair_inputs)
    before = job.held_out.ssim_of_graph(candidate)
    played = len(state.ssim)
    file = f"fold-{played}.pt"
    loop = distillation(
        job,
        run,
        candidate,
        budget,
        file,
        # What folding took away is the way to go, not what distilling could not reach.
        rate=rate_share(1 - max(0.0, state.best - before)),
        whole=True,
        pool=pool,
        first=state.steps,
    )
    for part, saved in zip(loop.stateful, state.stateful, strict=False):
        part.load_state_dict(saved)

    def report(_: Loop[GraphModule], share: float, loss: float) -> None:
        figures = {"loss": loss, "ssim": state.best, "folded": float(len(state.folded))}
        job.progress("fold norms", (played + share) / rounds, figures)

    loop.report = report
    loop.resume()
    trained = write_back(loop.run(), candidate)
    after = job.held_out.ssim_of_graph(trained)
    if after < before and job.request.targets is None:  # as in distilling
        trained, after = candidate, before
    state.settle(name, after, trained, job.settings.fold_tolerance)
    state.count(loop)
    state.save(run)
    (run.file("state") / file).unlink(missing_ok=True)


def _figures(job: Job, start: onnx.ModelProto, state: _State) -> dict[str, Any]:
    """What report.json says of it; SSIM is that after the round of a norm."""
    foldable = foldable_norms(start)
    figures: dict[str, Any] = {
        "ssim_before_folding": job.held_out.ssim_of_graph(start),
        "ssim": job.held_out.ssim_of_graph(state.graph),
        "norms_folded": {name: state.ssim[name] for name in state.folded},
        "norms_put_back": {n: ssim for n, ssim in state.ssim.items() if n not in state.folded},
        "norms_without_convolution": [n for n in all_norms(start) if n not in foldable],
        "folding_steps": state.steps,
        "folding_seconds": round(state.seconds, 1),
    }
    if (bench := job.request.device.bench) is not None:
        graphs = {"with_norms": start, "folded": state.graph}
        figures["latency_ms"] = {n: bench.latency(graph).median_ms for n, graph in graphs.items()}
    return figures
