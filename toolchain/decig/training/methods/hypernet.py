"""Hypernet: latent numbers make the weights and shrink to zero, then the graph is cut and trained.

After CoroNet-GAN (arXiv 2403.08261), which prunes the channels of conditional generators while they
are trained, to a ratio that is asked for; see `decig.training.latents` for what is trained. Here
the ratio is one of latency, predicted from the cost table of a device, or of multiply-accumulates
where no device is named; channels shrink by what they cost there, and training begins with the
teacher cut to some multiple of what is wanted.
"""

import math
from collections.abc import Mapping

import numpy as np
from torch.fx import GraphModule

from decig.files import write_json
from decig.graph.channels import analyse
from decig.graph.cost import count
from decig.graph.plan import Plan
from decig.schema import Count, NotNegative, Share, WrittenByHand, read_json
from decig.training.condense import Steered
from decig.training.distilling import (
    distil,
    run_student,
    state_file,
    student_engine,
    student_task,
)
from decig.training.engine import News
from decig.training.hypernetworks import require_memory
from decig.training.job import Job
from decig.training.latents import LatentModule, LatentScores, Shrinking, first_latents
from decig.training.methods import Step
from decig.training.schedule import Budget, constant
from decig.training.slicing import (
    Origin,
    cut_to_begin,
    slice_and_repair,
    start_with_the_better,
)
from decig.training.tasks.distil import STUDENT


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
        require_memory(count(start).params, embedding, job.processes.device)


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
    part = Steered(shrinking, constant, job.planner.predict_ms, *_latencies(job))

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
        # The mean of a latent that has reached zero is still on its way there.
        mean.latents.data[made[0].latents == 0] = 0
        figures = {"steps": engine.step, "training_seconds": round(engine.elapsed_s, 1)}
        job.run.add_figures({"hypernet": figures})
        scores = {n: z.cpu().numpy() * made[0].strength[n] for n, z in mean.by_group().items()}
        _save_latents(job, "latents.json", scores)
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
