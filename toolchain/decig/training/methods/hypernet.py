"""Hypernet: latent numbers make the weights and shrink to zero, then the graph is cut and trained.

After CoroNet-GAN (arXiv 2403.08261), which prunes the channels of conditional generators while they
are trained, to a ratio that is asked for; see `decig.training.narrowing.latents` for what is
trained. Here the ratio is one of latency, predicted from the cost table of a device, or of
multiply-accumulates where no device is named; channels shrink by what they cost there, and training
begins with the teacher cut to some multiple of what is wanted.

The paper needs no teacher: its generators are pruned while they are trained for the first time,
and so they are by `decig train` (`from_scratch`). As in DHP, latents are drawn from a normal
distribution there, since nothing is known yet of which channels will matter.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import onnx
from torch import nn
from torch.fx import GraphModule

from decig.device.cost.terms import WidthCost
from decig.errors import BadInputError
from decig.files import write_json
from decig.graph.channels import ChannelMap, analyse
from decig.graph.cost import count
from decig.graph.model import Model
from decig.graph.plan import Plan, uniform_widths
from decig.schema import Count, NotNegative, Share, WrittenByHand, read_json
from decig.source.recipe import Recipe
from decig.training.compression.distilling import distil
from decig.training.compression.job import Job
from decig.training.compression.slicing import (
    Origin,
    cut_to_begin,
    slice_and_repair,
    start_with_the_better,
)
from decig.training.compression.student import run_student, state_file, student_engine, student_task
from decig.training.data.stages import Latents, table_of
from decig.training.loop.engine import News
from decig.training.loop.schedule import Budget, constant
from decig.training.methods import Step
from decig.training.narrowing.bisection import bisect
from decig.training.narrowing.cut import Cut, plan_within
from decig.training.narrowing.fresh import Fresh
from decig.training.narrowing.hypernetworks import require_memory
from decig.training.narrowing.latents import LatentModule, LatentScores, first_latents
from decig.training.narrowing.shrinking import Shrinking
from decig.training.narrowing.steering import Steered
from decig.training.tasks.distil import STUDENT
from decig.training.trainable.slim import Slim


class Settings(WrittenByHand, frozen=True):
    """The table [hypernet] of a file of settings.

    Attributes:
        shrink: share of the budget in which latents shrink.
        shrink_from: shrinking begins with a graph cut to this many times the wanted latency; 0
            takes the full graph, as in the paper.
        least: share of the channels that the plan by scores gives a group for the wanted latency,
            which stay whatever the group's latents say.
        embedding: size of the embeddings of the paper's hypernetworks, which has 8; 0 trains
            weights as they are, with a tenth of the parameters.
    """

    shrink: Share = 0.4
    shrink_from: NotNegative = 2.0
    least: Share = 0.75
    embedding: Count = 0

    @property
    def needs_target(self) -> bool:
        """Latents shrink until a latency is reached."""
        return True


def steps(job: Job) -> list[Step]:
    """Return the steps of a compression by this method."""
    shrink = job.settings(Settings).shrink
    return [
        Step(
            "slice to begin with",
            ("hypernet-plan.json", "hypernet-start.onnx", "first-latents.json", "least.json"),
            lambda _: _begin(job),
            alone=True,
        ),
        Step("shrink", ("hypernet.onnx", "latents.json"), lambda b: _shrink(job, b), shrink),
        Step("slice", ("plan.json", "start.onnx"), lambda _: _slice(job), alone=True),
        Step("distil", ("student.onnx",), lambda b: _distil(job, b), 1 - shrink),
    ]


def _latencies(job: Job) -> tuple[float, float]:
    """Latency in ms at which shrinking begins, and at which it is to end."""
    assert job.goal.target_ms is not None
    full = job.planner.predict_ms(job.teacher.channels.widths)
    factor = job.settings(Settings).shrink_from
    return (min(full, job.goal.target_ms * factor) if factor else full), job.goal.target_ms


def _begin(job: Job) -> None:
    """Cut the graph with which shrinking begins: steps of the full graph take long."""
    begin, _ = _latencies(job)
    cut_to_begin(job, begin, "hypernet-plan.json", "hypernet-start.onnx")
    _require_memory(job)
    kept = Plan.load(job.run.file("hypernet-plan.json")).keep
    first = first_latents(job.planner.importance, kept)
    _save_latents(job, "first-latents.json", first)
    share, planned = job.settings(Settings).least, job.planner.plan.keep
    least = {name: math.ceil(share * len(indices)) for name, indices in planned.items()}
    write_json(job.run.file("least.json"), least)


def _require_memory(job: Job) -> None:
    """Refuse hypernetworks that do not fit into memory."""
    if embedding := job.settings(Settings).embedding:
        start = job.run.load_graph("hypernet-start.onnx").proto
        require_memory(count(start).params, embedding, job.processes.device, "hypernet")


def _save_latents(job: Job, file: str, latents: Mapping[str, np.ndarray]) -> None:
    write_json(job.run.file(file), {name: z.tolist() for name, z in latents.items()})


def _load_latents(job: Job, file: str) -> dict[str, np.ndarray]:
    found = read_json(job.run.file(file), dict[str, list[float]], "latents")
    return {name: np.array(z, np.float32) for name, z in found.items()}


def _shrink(job: Job, budget: Budget) -> None:
    """Train weights and latents, which shrink until the predicted latency is the wanted one."""
    start = job.run.load_graph("hypernet-start.onnx").proto
    channels, embedding = analyse(start), job.settings(Settings).embedding
    first = _load_latents(job, "first-latents.json")
    least = read_json(job.run.file("least.json"), dict[str, int], "least widths")
    made: list[LatentModule] = []

    def with_latents(net: GraphModule) -> LatentModule:
        seed = job.config.train.seed
        made.append(LatentModule(net, channels, first, embedding=embedding, seed=seed))
        return made[-1]

    task = student_task(job, start, rate=1.0, with_extras=True, features=False, wrap=with_latents)
    shrinking = Shrinking(made[0], channels, job.goal.target.predictor, least)
    predict_ms = job.planner.predict_ms
    part = Steered(shrinking, constant, predict_ms, *_latencies(job), job.processes)

    def report(news: News) -> None:
        if part.looked_at == news.step:
            predicted = job.goal.target.predicted(part.predicted_ms)
            figures = {"loss": news.losses[STUDENT], **predicted}
            job.progress("shrink", news.progress, figures)

    engine = student_engine(job, task, budget, state_file(job, "shrink.pt"), report, [part])
    run_student(job, engine)

    def finish() -> None:
        mean = engine.means[STUDENT]
        assert isinstance(mean, LatentModule)
        made[0].settle(mean)
        figures = {"steps": engine.step, "training_seconds": round(engine.elapsed_s, 1)}
        job.run.add_figures({"hypernet": figures})
        _save_latents(job, "latents.json", mean.scores())
        job.run.save_graph("hypernet.onnx", mean.graph(start))

    job.processes.on_main(finish)


def _slice(job: Job) -> None:
    """Cut the channels whose latents are zero, and what more the measured latency asks for."""
    proto = job.run.load_graph("hypernet.onnx").proto
    channels = analyse(proto)
    scores = LatentScores(_load_latents(job, "latents.json"), channels)
    plan = Plan.load(job.run.file("hypernet-plan.json"))
    origin = Origin(proto, channels, scores, plan)
    slice_and_repair(job, origin, job.goal.target_ms, "plan.json", "inherited.onnx")
    start_with_the_better(job, job.run.load_graph("inherited.onnx").proto)


def _distil(job: Job, budget: Budget) -> None:
    """Train what is left on."""
    distil(job, job.run.load_graph("start.onnx").proto, budget, "distil.pt", "student.onnx")


def from_scratch(recipe: Recipe, *, has_target: bool) -> "Shrunk":
    """Let latents shrink while a generator is trained.

    Raises:
        BadInputError: no target is asked for, or the table [train.hypernet] of the recipe does not
            fit.
    """
    if not has_target:
        raise BadInputError(
            "the method hypernet shrinks until a target is reached: give a latency, a speed-up or "
            "a number of multiply-accumulates"
        )
    return Shrunk(table_of(recipe, "hypernet", Latents))


@dataclass(frozen=True)
class Shrunk:
    """How generators become narrower by latents: see `decig.training.narrowing.fresh.Way`.

    Attributes:
        settings: the table [train.hypernet].
        teacher: 0, as there is none.
    """

    settings: Latents
    teacher: float = 0.0

    @property
    def share(self) -> float:
        """Of the steps in which latents shrink."""
        return self.settings.shrink

    def narrow(self, fresh: Fresh) -> "_Latent":
        """Multiply the weights of a generator by latents.

        Raises:
            BadInputError: no group is read by weights alone, or there is not enough memory.
        """
        settings, channels = self.settings, fresh.channels
        if settings.embedding:
            params, device = count(fresh.model.proto).params, next(fresh.net.parameters()).device
            require_memory(params, settings.embedding, device, "train.hypernet")
        net = LatentSlim(fresh.model, channels, settings.embedding, fresh.seed)
        fresh.require_some(net.latent.by_group())
        assert fresh.target_ms is not None
        predictor = fresh.target.predictor
        even = even_widths(predictor, channels, fresh.target_ms)
        least = {name: math.ceil(settings.least * width) for name, width in even.items()}
        shrinking = Shrinking(net.latent, channels, predictor, least)
        return _Latent(fresh, net, fresh.steered(shrinking, constant))


class LatentSlim(Slim):
    """A graph with fresh weights, multiplied by latents, trained instead of a generator."""

    def __init__(self, model: Model, channels: ChannelMap, embedding: int, seed: int) -> None:
        """Draw the first latents; what the graph computes stays the same.

        Args:
            model: the graph.
            channels: its channel groups.
            embedding: size of the embeddings of hypernetworks; 0 trains weights as they are.
            seed: of latents and hypernetworks.
        """
        super().__init__(model)
        random = np.random.default_rng(seed)
        drawn = {g.name: np.abs(random.standard_normal(g.channels)) for g in channels.prunable}
        # No group matters more than another: nothing says so yet.
        first = {name: sizes / sizes.mean() for name, sizes in drawn.items()}
        assert isinstance(self.graph, GraphModule)
        self.graph = LatentModule(self.graph, channels, first, embedding=embedding, seed=seed)

    @property
    def latent(self) -> LatentModule:
        """The graph with its latents."""
        assert isinstance(self.graph, LatentModule)
        return self.graph

    def written(self) -> onnx.ModelProto:
        """Return the graph with the weights that the latents make."""
        return self.latent.graph(self.proto)


def even_widths(predictor: WidthCost, channels: ChannelMap, target_ms: float) -> dict[str, int]:
    """The widths of the largest share of its channels that every group can keep for a target.

    The narrowest ones, where that is none.
    """

    def is_missed(share: float) -> bool:
        return predictor.predict_ms(uniform_widths(channels, share)) > target_ms

    _, share = bisect(is_missed, 1.0, 0.0)
    return uniform_widths(channels, share)


@dataclass(frozen=True)
class _Latent:
    """A generator with latents: see `decig.training.narrowing.fresh.Narrower`."""

    fresh: Fresh
    net: LatentSlim
    part: Steered

    def settle(self, mean: nn.Module) -> None:
        """Let the mean have no channel that has gone."""
        assert isinstance(mean, LatentSlim)
        self.net.latent.settle(mean.latent)

    def cut(self, model: Model, mean: nn.Module) -> Cut:
        """Cut the channels whose latents are zero, and what more the measured latency asks for."""
        assert isinstance(mean, LatentSlim) and self.fresh.target_ms is not None
        channels, latents = analyse(model.proto), mean.latent.scores()
        sizes = {
            group.name: np.abs(latents.get(group.name, np.ones(group.channels)))
            for group in channels.prunable
        }
        loss = LatentScores(latents, channels).loss
        target, target_ms = self.fresh.target, self.fresh.target_ms
        plan = plan_within(model, channels, sizes, loss, target, target_ms)
        return Cut(model, channels, sizes, dict.fromkeys(sizes), plan)
