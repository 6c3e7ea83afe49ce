"""How a sliced graph is trained to paint what the teacher paints."""

import numpy as np
import onnx
from torch.fx import GraphModule

from decig.data.feeds import output_image
from decig.graph.operators import Kind, find
from decig.graph.plan import Plan
from decig.train.job import Job
from decig.train.loop import Budget, Loop
from decig.train.losses.extras import FeatureLoss, TargetLoss, features_by_kept_index
from decig.train.module import build_module
from decig.train.pool import TeacherPool
from decig.train.run import RunFolder

_FAR, _NEAREST = 0.25, 0.005
"""1 - SSIM from which on a start gets the whole learning rate, and the least that counts."""


def stage_budget(job: Job, run: RunFolder) -> Budget:
    """What of the budget stage II has, after stage I if there was one."""
    condensed = job.settings.condense if run.done("condensed.onnx") else 0.0
    return job.request.budget.part(1 - condensed)


def distillation(
    job: Job,
    run: RunFolder,
    start: onnx.ModelProto,
    budget: Budget,
    state: str,
    *,
    rate: float,
    whole: bool = False,
    pool: TeacherPool | None = None,
    first: int = 0,
) -> Loop[GraphModule]:
    """Set up the training of a student with all losses that the settings ask for.

    Args:
        job: with the teacher.
        run: holds the plan by which the teacher was sliced.
        start: the student as it stands; what the loop gives is written back into it.
        budget: how long.
        state: name of the loop's state file.
        rate: share of the learning rate; see `rate_share`.
        whole: train on crops as large as the model's input.
        pool: of crops of that size; a new one if None.
        first: how many of the pool's batches were taken before.
    """
    values = _feature_values(job, start) if job.settings.features else []
    picture = output_image(start).name
    size = job.crop(whole=whole)
    student = build_module(start, outputs=[picture, *values], input_size=size)
    pool = pool or job.pool(seed=job.settings.seed, whole=whole)
    loop = job.loop(student, budget, run, state, rate=rate, pool=pool)
    loop.first = first
    _add_losses(job, run, loop, values, size)
    return loop


def rate_share(ssim: float) -> float:
    """Share of the learning rate for a start of this likeness to what it should become.

    Weights have a way to go that is as long as the start is far: with the full rate, a start that
    is nearly perfect is thrown back further than a short budget can make up for.
    """
    return min(1.0, max(1 - ssim, _NEAREST) / _FAR)


def _feature_values(job: Job, start: onnx.ModelProto) -> list[str]:
    """Outputs of the convolutions whose channels are prunable: what can be told by kept index."""
    convolutions = (node for node in start.graph.node if find(node).kind is Kind.CONVOLUTION)
    values = [node.output[0] for node in convolutions]
    found = (job.channels.ids_of(value) for value in values)
    return [v for v, ids in zip(values, found, strict=True) if ids is not None and ids.size > 1]


def _add_losses(
    job: Job,
    run: RunFolder,
    loop: Loop[GraphModule],
    values: list[str],
    size: tuple[int, int] | None,
) -> None:
    device = job.accelerator.device
    if values:
        teacher = build_module(job.request.model.proto, outputs=values, input_size=size)
        kept: list[np.ndarray | None] = features_by_kept_index(
            job.channels, Plan.load(run.file("plan.json")), values
        )
        frozen = job.accelerator.prepare_model(teacher.eval(), evaluation_mode=True)
        loop.extra.append(FeatureLoss(frozen, kept, job.settings.features, device))
    if job.request.targets is not None:
        channels = job.input_channels + 3
        targets = TargetLoss(channels, job.request.pixels, job.settings, device)
        loop.extra.append(targets)
        loop.stateful.append(targets)
