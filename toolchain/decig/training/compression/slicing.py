"""The step that cuts: plan, slice and repair a graph."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import onnx

from decig.graph.channels import ChannelMap, analyse
from decig.graph.plan import Plan
from decig.graph.slicing import slice_graph
from decig.repair.repair import repair
from decig.training.compression.job import Job
from decig.training.compression.judge import Judge
from decig.training.compression.planner import Scores
from decig.training.runs.recording import record_plans, record_scores

_COMPARED = 8
"""Training images on which two starts are compared."""


@dataclass(frozen=True)
class Origin:
    """A graph to cut.

    Attributes:
        proto: the graph.
        channels: its channel groups.
        scores: how much its channels matter.
        plan: which of the teacher's channels it has; None where it is the teacher.
    """

    proto: onnx.ModelProto
    channels: ChannelMap
    scores: Scores
    plan: Plan | None = None

    @classmethod
    def teacher(cls, job: Job) -> "Origin":
        """The teacher itself."""
        return cls(job.teacher.model.proto, job.teacher.channels, job.planner.importance)

    @classmethod
    def of_run(cls, job: Job, graph: str, plan: str) -> "Origin":
        """A graph of the run folder that was cut from the teacher by a plan, and trained since."""
        proto = job.run.load_graph(graph).proto
        channels = analyse(proto)
        scores = job.planner.score(proto, channels)
        return cls(proto, channels, scores, Plan.load(job.run.file(plan)))


def slice_and_repair(
    job: Job,
    origin: Origin,
    target_ms: float | None,
    plan_file: str,
    graph_file: str,
    *,
    widths: Mapping[str, int] | None = None,
) -> None:
    """Plan for a latency, cut, repair the weights that are left, and save plan and graph.

    Args:
        job: of the compression.
        origin: what to cut.
        target_ms: latency on the device; None lets the hinges decide.
        plan_file: name in the run folder; the plan counts the teacher's channels.
        graph_file: name in the run folder.
        widths: of the graph's groups, where they are known; nothing is planned then.

    Raises:
        TargetMissedError: no plan is that fast; the message names the fastest.
    """
    if widths is not None:
        plan = job.planner.best_channels(origin.scores, widths)
    elif origin.plan is None and target_ms == job.goal.target_ms:
        plan = job.planner.plan
    else:
        plan = job.planner.plan_for(origin.proto, origin.channels, origin.scores, target_ms)
    record_plans(job)
    if origin.plan is not None:
        record_scores(job, "trained", origin.proto, origin.channels, origin.scores)
    sliced = cut(job, origin.proto, origin.channels, plan)
    plan.after(origin.plan).save(job.run.file(plan_file))
    job.run.save_graph(graph_file, sliced)


def cut(job: Job, proto: onnx.ModelProto, channels: ChannelMap, plan: Plan) -> onnx.ModelProto:
    """Cut a graph by a plan, and repair the weights that are left unless the settings forbid it."""
    if not job.config.distil.repair:
        return slice_graph(proto, channels, plan)
    return repair(proto, channels, plan, job.examples.for_repair)


def cut_to_begin(job: Job, begin_ms: float, plan_file: str, graph_file: str) -> None:
    """Cut and repair the teacher for a stage that makes it narrower yet, and save plan and graph.

    Args:
        job: of the compression.
        begin_ms: predicted latency to begin with; from that of the whole teacher on, nothing is
            cut and nothing measured.
        plan_file: name in the run folder.
        graph_file: name in the run folder.

    Raises:
        TargetMissedError: no plan is that fast; the message names the fastest.
    """
    teacher = job.teacher
    if begin_ms < job.planner.predict_ms(teacher.channels.widths):
        slice_and_repair(job, Origin.teacher(job), begin_ms, plan_file, graph_file)
        return
    every = {group.name: list(range(group.channels)) for group in teacher.channels.prunable}
    Plan(teacher.model.sha256, every).save(job.run.file(plan_file))
    job.run.save_graph(graph_file, teacher.model.proto)


def start_with_the_better(job: Job, inherited: onnx.ModelProto) -> None:
    """Save the better of two starts for the distilling of a plan.

    Weights that a method has trained on the way to its plan need not be better than the teacher's,
    cut by the same plan and repaired: that costs no training. Both are compared on training images.

    Args:
        job: of the compression; its run folder holds plan.json.
        inherited: the graph with the weights that the method has trained.
    """
    plan = Plan.load(job.run.file("plan.json"))
    teacher = job.teacher
    repaired = cut(job, teacher.model.proto, teacher.channels, plan)
    judge = Judge(teacher.model.proto, job.examples.for_repair[:_COMPARED], teacher.pixels)
    found = {"inherited": judge.ssim(inherited), "repaired": judge.ssim(repaired)}
    better = found["repaired"] > found["inherited"]
    job.run.add_figures({"ssim_of_starts": found})
    job.run.save_graph("start.onnx", repaired if better else inherited)


def order_left(order: np.ndarray, kept: Sequence[int]) -> np.ndarray:
    """Order of the channels that a plan leaves of a group, counted among themselves.

    Args:
        order: indices of all of the group's channels, the most important first.
        kept: those that stay, ascending.
    """
    return np.searchsorted(kept, order[np.isin(order, kept)])
