"""The steps of a compression: condense, slice and repair, distil.

Each reads what the one before left in the run folder and leaves its own result there.
"""

import logging
from dataclasses import dataclass
from typing import Any

import onnx
from torch.fx import GraphModule

from decig.data.feeds import output_image
from decig.graph.channels import ChannelMap, analyse
from decig.graph.plan import Plan
from decig.repair.repair import repair
from decig.repair.scores import Importance
from decig.train.condense import Condenser
from decig.train.distilling import distillation, rate_share, stage_budget
from decig.train.fold_norms import folding_share, with_joined_norms
from decig.train.job import Job
from decig.train.loop import Loop
from decig.train.module import build_module, parameter_names, write_back
from decig.train.run import RunFolder

log = logging.getLogger(__name__)

_STEER_EVERY = 10
"""Steps between two looks at the latency that stage I has reached."""


@dataclass(frozen=True)
class _Source:
    """A graph to slice, and how its channels lie in the teacher (None: it is the teacher)."""

    proto: onnx.ModelProto
    channels: ChannelMap
    scores: Importance
    plan: Plan | None


def condense(job: Job, run: RunFolder) -> None:
    """Stage I: train with the device-weighted penalty until few channels carry the picture.

    A step of the full graph is dear, so it begins with a graph that was sliced and repaired to
    `Settings.condense_from` times the target latency (0: the full graph, as in the paper).
    """
    full = job.predictor.predict_ms(job.channels.widths)
    target = job.request.target_ms or full / 4
    begin = min(full, target * job.settings.condense_from) if job.settings.condense_from else full
    if not run.done("condense-start.onnx"):
        _slice(job, run, _teacher(job), begin, ("condense-plan.json", "condense-start.onnx"))
    start = run.load_graph("condense-start.onnx").proto
    student = build_module(start, outputs=[output_image(start).name], input_size=job.crop())
    loop = job.loop(student, job.request.budget.part(job.settings.condense), run, "stage1.pt")
    condenser = Condenser(
        student, parameter_names(student), analyse(start), job.run_time(), job.settings.weighting
    )
    loop.after_step = condenser.step
    loop.stateful.append(condenser)

    def report(loop: Loop[GraphModule], share: float, loss: float) -> None:
        if loop.step % _STEER_EVERY:
            return
        predicted = job.predictor.predict_ms(condenser.live())
        # Geometric: every step of the schedule takes the same share of what is left.
        condenser.steer(predicted, begin * (target / begin) ** share)
        job.progress("condense", share, {"loss": loss, "predicted_ms": predicted})

    loop.report = report
    loop.resume()
    run.save_graph("condensed.onnx", write_back(loop.run(), start))


def slice_and_repair(job: Job, run: RunFolder) -> None:
    """Cut what stage I left, or the teacher itself, to the target and repair it."""
    source = _teacher(job)
    if run.done("condensed.onnx"):
        proto = run.load_graph("condensed.onnx").proto
        channels = analyse(proto)
        before = Plan.load(run.file("condense-plan.json"))
        source = _Source(proto, channels, job.score(proto, channels), before)
    _slice(job, run, source, job.request.target_ms, ("plan.json", "start.onnx"))


def distil(job: Job, run: RunFolder) -> None:
    """Stage II: train the sliced graph to paint what the teacher paints.

    Saves the student, or with `--fold-norms` what `decig.train.fold_norms` starts from.
    """
    start = run.load_graph("start.onnx").proto
    budget = stage_budget(job, run)
    if job.request.fold_norms:
        start = with_joined_norms(start)
        budget = budget.part(1 - folding_share(job, start))
    before = job.held_out.ssim_of_graph(start)
    loop = distillation(job, run, start, budget, "stage2.pt", rate=rate_share(before))
    predicted = job.predictor.predict_ms(analyse(start).widths)
    figures: dict[str, float] = {"predicted_ms": predicted}

    def report(loop: Loop[GraphModule], share: float, loss: float) -> None:
        if job.held_out.due(share):
            figures["ssim"] = job.held_out.ssim_of_graph(write_back(loop.mean, start))
        job.progress("distil", share, {"loss": loss, **figures})

    loop.report = report
    loop.resume()
    result = write_back(loop.run(), start)
    after = job.held_out.ssim_of_graph(result)
    if after < before and job.request.targets is None:
        log.warning("training made nothing better in this budget: the repaired graph is kept")
        result, after = start, before
    quality = {"ssim": after, "ssim_before_distilling": before}
    run.add_figures(quality | _figures(job, run, loop))
    if job.request.fold_norms:
        run.save_graph("distilled.onnx", result)
    else:
        run.save_graph("student.onnx", job.request.model.reopen(result))


def _teacher(job: Job) -> _Source:
    return _Source(job.request.model.proto, job.channels, job.importance, None)


def _slice(
    job: Job, run: RunFolder, source: _Source, target_ms: float | None, names: tuple[str, str]
) -> None:
    """Plan, slice and repair a graph; the plan that is saved counts the teacher's channels."""
    if source.plan is None and target_ms == job.request.target_ms:
        plan = job.plan
    else:
        plan = job.plan_for(source.proto, source.channels, source.scores, target_ms)
    repaired = repair(source.proto, source.channels, plan, job.repair_inputs)
    plan.after(source.plan).save(run.file(names[0]))
    run.save_graph(names[1], repaired)


def _figures(job: Job, run: RunFolder, loop: Loop[GraphModule]) -> dict[str, Any]:
    widths = {name: len(kept) for name, kept in Plan.load(run.file("plan.json")).keep.items()}
    return {
        "held_out_images": len(job.validation),
        "predicted_latency_ms": job.predictor.predict_ms(widths),
        "widths": widths,
        "steps": loop.step,
        "training_seconds": round(loop.elapsed_s, 1),
    }
