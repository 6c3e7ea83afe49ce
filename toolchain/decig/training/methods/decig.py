"""DECIG: condense, cut, distil, fold norms.

N. A. Shah and G. Bharaj, "Towards Device Efficient Conditional Image Generation" (BMVC 2022):
stage I trains with a penalty by the run time that each channel costs
(`decig.training.narrowing.condense`), the condensed graph is cut, and stage II distils the original
into what is left. Here the cut is planned for a latency that is predicted from a cost table, and
its weights are repaired in closed form before stage II begins; stage I can be left out, and is by
default.

`decig train` takes stage I as the paper has it: the generator is condensed while it is trained for
the first time, and is cut at its hinges or for a latency (`from_scratch`).
"""

from dataclasses import dataclass
from typing import Annotated, Literal

import msgspec
from torch import nn
from torch.fx import GraphModule

from decig.graph.channels import analyse
from decig.graph.model import Model, initializers
from decig.graph.norm_folding import foldable_norms
from decig.schema import NotNegative, Share, WrittenByHand
from decig.source.recipe import Recipe
from decig.training.compression.distilling import distil
from decig.training.compression.fold_norms import fold_norms, with_joined_norms
from decig.training.compression.job import Job
from decig.training.compression.slicing import Origin, cut_to_begin, slice_and_repair
from decig.training.compression.student import (
    mean_of,
    run_student,
    state_file,
    student_engine,
    student_task,
)
from decig.training.data.stages import Condensing, table_of
from decig.training.loop.engine import News
from decig.training.loop.schedule import Budget
from decig.training.methods import Step
from decig.training.narrowing.condense import Condenser, run_times
from decig.training.narrowing.cut import Cut
from decig.training.narrowing.fresh import Fresh
from decig.training.narrowing.hinge_cut import cut_condensed
from decig.training.narrowing.steering import UNASKED, Steered
from decig.training.pytorch.binding import weights_of
from decig.training.tasks.distil import STUDENT
from decig.training.trainable.module import parameters_by_initializer, write_back


class Settings(WrittenByHand, frozen=True):
    """The table [decig] of a file of settings.

    Attributes:
        condense: share of the budget that stage I gets; 0 leaves it out. In budgets of minutes
            on a CPU its steps cost more than they give: see benchmarks/README.md.
        condense_from: stage I begins with a graph cut to this many times the wanted latency;
            0 takes the full graph, as in the paper, and so does a run without a wanted latency.
        weighting: f(j) of stage I, how the penalty grows over the sorted channels.
        device_weighted: whether I(i) of stage I is the run time on the device, as in the paper;
            otherwise it is 1 for every channel group.
        painter: which graph paints the pictures that stage II learns from: the original, or the
            one that stage I has condensed, as in the paper.
        bend: what decides the widths where no latency is asked for: the "hinge" of each group, or
            one "threshold" for all of them, which makes the graph as fast.
        fold: share of stage II's budget in which norms are folded, where that is asked for.
        fold_tolerance: SSIM to the teacher that folding all norms together may cost; below 0
            every norm has to make the pictures better.
    """

    condense: Share = 0.0
    condense_from: NotNegative = 2.0
    weighting: Literal["uniform", "linear", "exponential"] = "linear"
    device_weighted: bool = True
    painter: Literal["original", "condensed"] = "original"
    bend: Literal["hinge", "threshold"] = "hinge"
    fold: Share = 0.3
    fold_tolerance: Annotated[float, msgspec.Meta(ge=-1, le=2)] = 0.01

    @property
    def needs_target(self) -> bool:
        """Without stage I no channels are condensed, and there are no hinges to cut at."""
        return not self.condense


def steps(job: Job) -> list[Step]:
    """Return the steps of a compression by this method."""
    settings = job.settings(Settings)
    condense, fold = settings.condense, _folding_share(job, settings)
    folds = job.goal.fold_norms
    stage_one = [
        Step(
            "slice to begin with",
            ("condense-plan.json", "condense-start.onnx"),
            lambda _: _begin(job),
            alone=True,
        ),
        Step("condense", ("condensed.onnx",), lambda budget: _condense(job, budget), condense),
    ]
    result = "distilled.onnx" if folds else "student.onnx"
    stage_two = [
        Step("slice", ("plan.json", "start.onnx"), lambda _: _slice(job), alone=True),
        Step("distil", (result,), lambda budget: _distil(job, budget), (1 - condense) * (1 - fold)),
    ]
    tolerance = settings.fold_tolerance
    stage_three = [
        Step(
            "fold norms",
            ("student.onnx",),
            lambda budget: fold_norms(job, budget, tolerance),
            (1 - condense) * fold,
        )
    ]
    return [*(stage_one if condense else []), *stage_two, *(stage_three if folds else [])]


def _folding_share(job: Job, settings: Settings) -> float:
    """Share of stage II's budget that folding gets: none where there is nothing to fold."""
    if not job.goal.fold_norms:
        return 0.0
    return settings.fold if foldable_norms(with_joined_norms(job.teacher.model.proto)) else 0.0


def _begin(job: Job) -> None:
    """Cut the graph with which stage I begins: steps of the full graph take long."""
    cut_to_begin(job, _wanted(job)[0], "condense-plan.json", "condense-start.onnx")


def _wanted(job: Job) -> tuple[float, float]:
    """Latency in ms at which stage I begins, and at which it is to end.

    Where none is asked for, it begins with the whole graph, as nobody knows what is too far.
    """
    full = job.planner.predict_ms(job.teacher.channels.widths)
    target_ms, factor = job.goal.target_ms, job.settings(Settings).condense_from
    if target_ms is None:
        return full, full / UNASKED
    return (min(full, target_ms * factor) if factor else full), target_ms


def _condense(job: Job, budget: Budget) -> None:
    """Stage I: train with the device-weighted penalty until few channels carry the picture."""
    start = job.run.load_graph("condense-start.onnx").proto
    task = student_task(job, start, rate=1.0, with_extras=False)
    settings, run_time = job.settings(Settings), job.planner.run_time()
    student = task.student
    assert isinstance(student, GraphModule)
    student.to(job.processes.device)  # before anything is bound to where its weights are
    condenser = Condenser(
        parameters_by_initializer(student),
        analyse(start),
        run_time if settings.device_weighted else dict.fromkeys(run_time, 1.0),
        settings.weighting,
    )
    begin, end = _wanted(job)
    schedule = task.groups[STUDENT].schedule
    part = Steered(condenser, schedule, job.planner.predict_ms, begin, end, job.processes)

    def report(news: News) -> None:
        if part.looked_at == news.step:
            predicted = job.goal.target.predicted(part.predicted_ms)
            figures = {"loss": news.losses[STUDENT], **predicted}
            job.progress("condense", news.progress, figures)

    engine = student_engine(job, task, budget, state_file(job, "stage1.pt"), report, [part])
    run_student(job, engine)

    def finish() -> None:
        figures = {"steps": engine.step, "training_seconds": round(engine.elapsed_s, 1)}
        job.run.add_figures({"condense": figures})
        job.run.save_graph("condensed.onnx", write_back(mean_of(engine), start))

    job.processes.on_main(finish)


def _slice(job: Job) -> None:
    """Cut what stage I left, or the teacher itself, to the wanted latency."""
    origin = Origin.teacher(job)
    if job.run.done("condensed.onnx"):
        origin = Origin.of_run(job, "condensed.onnx", "condense-plan.json")
    widths = None
    if job.goal.target_ms is None and job.settings(Settings).bend == "threshold":
        widths = job.planner.threshold_widths(origin.proto, origin.channels)
    slice_and_repair(job, origin, job.goal.target_ms, "plan.json", "start.onnx", widths=widths)


def _distil(job: Job, budget: Budget) -> None:
    """Stage II; where norms are to be folded they are joined first, so that they can be seen."""
    start = job.run.load_graph("start.onnx").proto
    painter = None
    condensed = job.processes.from_main(job.run.done("condensed.onnx"))
    if job.settings(Settings).painter == "condensed" and condensed:
        painter = job.run.load_graph("condensed.onnx").proto
    if job.goal.fold_norms:
        start, files = with_joined_norms(start), ("stage2.pt", "distilled.onnx")
    else:
        files = ("stage2.pt", "student.onnx")
    distil(job, start, budget, *files, painter=painter)


def from_scratch(recipe: Recipe, *, has_target: bool) -> "Penalised":
    """Condense while a generator is trained; without a target, its hinges decide.

    Raises:
        BadInputError: the table [train.condense] of the recipe does not fit.
    """
    del has_target
    return Penalised(table_of(recipe, "condense", Condensing))


@dataclass(frozen=True)
class Penalised:
    """How generators are condensed: see `decig.training.narrowing.fresh.Way`.

    Attributes:
        settings: the table [train.condense].
    """

    settings: Condensing

    @property
    def share(self) -> float:
        """Of the steps that stage I takes."""
        return self.settings.share

    @property
    def teacher(self) -> float:
        """Weight of the difference to the condensed generator's pictures."""
        return self.settings.teacher

    def narrow(self, fresh: Fresh) -> "_Condensed":
        """Let a penalty act on the weights of the task's own module.

        Raises:
            BadInputError: no group is read by weights of its own alone.
        """
        weights = weights_of(fresh.net, fresh.exported, initializers(fresh.model.proto))
        times = run_times(fresh.target.spent(), fresh.channels)
        condenser = Condenser(weights, fresh.channels, times, self.settings.weighting)
        fresh.require_some(condenser.groups)
        return _Condensed(fresh, fresh.steered(condenser, fresh.schedule))


@dataclass(frozen=True)
class _Condensed:
    """A generator under the penalty: see `decig.training.narrowing.fresh.Narrower`."""

    fresh: Fresh
    part: Steered

    @property
    def net(self) -> nn.Module:
        """The task's own module, whose weights are changed in place."""
        return self.fresh.net

    def settle(self, mean: nn.Module) -> None:
        """The running mean is written as it is."""

    def cut(self, model: Model, mean: nn.Module) -> Cut:
        """Cut for the latency, or at the hinges."""
        del mean
        return cut_condensed(model, self.fresh.target, self.fresh.target_ms)
