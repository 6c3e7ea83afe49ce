"""Supernet: train slim networks that share weights, search among them, distil the best one.

After Li et al., "GAN Compression: Efficient Architectures for Interactive Conditional GANs" (CVPR
2020): a "once-for-all" network is trained at many widths, all plans are compared with the weights
that they inherit, and the best one is trained on. Some things differ. The network is the teacher
cut to the widest widths that could be chosen at the wanted latency, with weights repaired in closed
form, instead of the whole teacher. Its widths are those near that latency, by the cost table of the
device, instead of a range of multiply-accumulates. The search begins with the plan that scored
channels give, and goes by SSIM to the teacher's pictures instead of Frechet distance. A step trains
the narrowest and the widest network and drawn ones instead of one, and learns from pictures alone:
inner values (`distil.features`) count when the chosen network is trained on. Of several targets,
one network is trained, whose widths are those near any of them.
"""

import math
import time
from typing import Annotated, Any

import msgspec
import numpy as np
import onnx

from decig.device.run.timing import OVER
from decig.files import write_json
from decig.graph.channels import analyse
from decig.graph.plan import Plan
from decig.schema import AtLeastOne, Count, Share, WrittenByHand, read_json
from decig.training.compression.distilling import distil
from decig.training.compression.job import Job
from decig.training.compression.judge import Judge
from decig.training.compression.slicing import cut, order_left, start_with_the_better
from decig.training.compression.student import (
    mean_of,
    run_student,
    state_file,
    student_engine,
    student_task,
)
from decig.training.loop.engine import Engine, News
from decig.training.loop.schedule import Budget
from decig.training.methods import Step
from decig.training.narrowing.search import Lattice, Scores, search_widths
from decig.training.tasks.sandwich import Menu, Sandwich
from decig.training.trainable.elastic import Elastic, Widths
from decig.training.trainable.module import build_module, write_back
from decig.training.trainable.recalibrate import recalibrated

_TRAINED = "supernet.onnx"
"""The graph of the trained supernet."""
_MEASURED = 3
"""Plans of the search that are measured at most."""
_NEAR = 0.96
"""Share of the wanted latency from which on a plan that fits, as measured, ends the search."""
_BELOW = 0.999
"""Share of the predicted latency of a plan that was too slow which the next one may have."""


class Settings(WrittenByHand, frozen=True):
    """The table [supernet] of a file of settings.

    Attributes:
        train: share of the budget in which the supernet is trained.
        search: share of the budget that the search may take, where that is a time; steps are all
            trained with, and the search ends after `plans` plans.
        narrowest: latency of the narrowest network that trains, as a share of the lowest wanted.
        widest: latency of the widest one, as a multiple of the highest wanted.
        menu: plans drawn near each wanted latency, from which each step takes some.
        drawn: how many of them train in a step, beside the narrowest and the widest.
        plans: how many plans are scored at most.
        population: how many of them evolve together.
        scored: training images, kept from the training of the supernet, on which plans are
            compared.
    """

    train: Share = 0.5
    search: Share = 0.1
    narrowest: Annotated[float, msgspec.Meta(ge=0.1, le=1)] = 0.75
    widest: Annotated[float, msgspec.Meta(ge=1, le=10)] = 1.5
    menu: Count = 16
    drawn: Count = 1
    plans: AtLeastOne = 120
    population: Annotated[int, msgspec.Meta(ge=5)] = 16
    scored: AtLeastOne = 6

    @property
    def needs_target(self) -> bool:
        """Which widths are near is said by the latency alone."""
        return True

    def __post_init__(self) -> None:
        """Check what no range of one key says."""
        if self.train + self.search > 1:
            raise ValueError("train and search are more than the whole budget together")


class _Band(msgspec.Struct, frozen=True):
    """The file band.json: plans of the teacher's groups.

    Attributes:
        narrowest: widths of the narrowest network.
        planned: widths that were planned, and measured, for each wanted latency, the highest
            first.
        order: of the supernet's channels by group, the most important first.
    """

    narrowest: dict[str, int]
    planned: list[dict[str, int]]
    order: dict[str, list[int]]


def steps(job: Job) -> list[Step]:
    """Return the steps of a compression by this method."""
    settings = job.settings(Settings)
    # Searching takes no steps: where these are counted, its share is trained with.
    search = settings.search if job.goal.budget.steps is None else 0.0
    rest = 1 - settings.train - search
    return [
        Step(
            "slice to the widest",
            ("supernet-plan.json", "band.json", "supernet-start.onnx"),
            lambda _: _begin(job),
            alone=True,
            shared=True,
        ),
        Step("supernet", (_TRAINED,), lambda b: _train(job, b), settings.train, shared=True),
        Step(
            "search",
            ("plan.json", "start.onnx"),
            lambda b: _search(job, b),
            search,
            alone=True,
        ),
        Step("distil", ("student.onnx",), lambda b: _distil(job, b), rest),
    ]


def _begin(job: Job) -> None:
    """Cut the teacher to the widest widths of the band, repair it, and write the band down."""
    planner, settings, wanted = job.planner, job.settings(Settings), _wanted(job)
    planned = [
        {name: len(kept) for name, kept in each.plan.keep.items()} for each in job.shared.planners
    ]
    slim = planner.predicted_widths(settings.narrowest * wanted[-1])
    broad = planner.predicted_widths(settings.widest * wanted[0])
    widest = {name: max(broad[name], *(p[name] for p in planned)) for name in planned[0]}
    narrowest = {name: min(slim[name], *(p[name] for p in planned)) for name in planned[0]}
    plan = planner.best_channels(planner.importance, widest)
    ranked = planner.importance.order
    order = {name: order_left(ranked[name], kept).tolist() for name, kept in plan.keep.items()}
    start = cut(job, job.teacher.model.proto, job.teacher.channels, plan)
    run = job.shared.run
    plan.save(run.file("supernet-plan.json"))
    write_json(run.file("band.json"), msgspec.to_builtins(_Band(narrowest, planned, order)))
    run.save_graph("supernet-start.onnx", start)


def _wanted(job: Job) -> list[float]:
    """Latencies of all targets in ms, the highest first."""
    return [each.target_ms for each in job.shared.planners if each.target_ms is not None]


class _Supernet:
    """The supernet, and the plans that its networks may have.

    Attributes:
        band: what is known of these plans.
        planned: widths that were planned for the target of the job.
        channels: groups of the supernet.
        elastic: the supernet.
        widest: widths of the whole supernet.
        lattice: the plans.
    """

    def __init__(self, job: Job, graph: str) -> None:
        """Read what the first step left.

        Args:
            job: of the compression.
            graph: name of the supernet's graph in the folder of what is shared.
        """
        run = job.shared.run
        proto = run.load_graph(graph).proto
        self.band = read_json(run.file("band.json"), _Band, "band of a supernet")
        self.planned = self.band.planned[job.shared.planners.index(job.planner)]
        self.channels = analyse(proto)
        order = {name: np.array(indices) for name, indices in self.band.order.items()}
        outputs, size = [job.teacher.picture], job.examples.crop()
        self.elastic = Elastic(proto, self.channels, order, outputs, size)
        self.widest = {group.name: group.channels for group in self.channels.prunable}
        plans = [self.band.narrowest, *self.band.planned, self.widest]
        self.lattice = Lattice.between(job.goal.target.predictor, plans)


def _train(job: Job, budget: Budget) -> None:
    """Train the supernet: the narrowest, the widest and some drawn networks in every step."""
    settings, run = job.settings(Settings), job.shared.run
    found = _Supernet(job, "supernet-start.onnx")
    rng = np.random.default_rng(job.config.train.seed)
    drawn = [
        found.lattice.widths(row)
        for wanted in _wanted(job)
        for row in found.lattice.draw(settings.menu, (0.85 * wanted, 1.1 * wanted), rng)
    ]
    menu = Menu(
        (found.band.narrowest, found.widest),
        (*found.band.planned, *drawn),
        settings.drawn,
        job.config.train.seed,
    )
    distil_task = student_task(
        job,
        found.elastic.proto,
        rate=1.0,
        with_extras=True,
        features=False,
        examples=_for_training(job),
    )
    task = Sandwich(distil_task, found.elastic, menu)

    def report(news: News) -> None:
        job.progress("supernet", news.progress, {"loss": news.losses["student"]})

    state = run.file("state") / "supernet.pt"
    engine: Engine = student_engine(job, task, budget, state, report)
    run_student(job, engine)

    def finish() -> None:
        figures = {"steps": engine.step, "training_seconds": round(engine.elapsed_s, 1)}
        run.add_figures({"supernet": figures})
        run.save_graph(_TRAINED, write_back(mean_of(engine), found.elastic.proto))

    job.processes.on_main(finish)


def _for_training(job: Job) -> int:
    """How many images train the supernet: those of the search are kept from it, if any are left."""
    count = len(job.examples.training)
    return max(count - job.settings(Settings).scored, (count + 1) // 2)


def _search(job: Job, budget: Budget) -> None:
    """Choose the plan whose pictures are most like the teacher's, as fast as was asked for.

    The plan that was made first was measured then, and is taken where no other one fits. One that
    is faster than asked gives pictures away, so the search goes on with a higher limit.
    """
    settings = job.settings(Settings)
    found = _Supernet(job, _TRAINED)
    kept_back = job.examples.training[_for_training(job) :] or job.examples.training
    judge = Judge(
        job.teacher.model.proto,
        job.examples.feeds(kept_back[: settings.scored]),
        job.teacher.pixels,
    )
    module = build_module(found.elastic.proto)
    began, timed = time.monotonic(), budget.seconds is not None

    def graph(widths: Widths) -> onnx.ModelProto:
        return recalibrated(found.elastic.cut(module, widths), job.examples.for_repair)

    def score(widths: Widths) -> float:
        ssim = judge.ssim(graph(widths))
        job.progress("search", min(1.0, len(scores.known) / settings.plans), {"ssim": ssim})
        return ssim

    scores = Scores(score, state_file(job, "scores.json"))
    limit_ms = job.planner.predict_ms(found.planned)
    fitting, most_ms = [dict(found.planned)], math.inf
    for _ in range(_MEASURED):
        widths = search_widths(
            found.lattice,
            found.planned,
            limit_ms,
            scores,
            plans=settings.plans,
            population=settings.population,
            seed=job.config.train.seed,
            enough=lambda: timed and budget.progress(0, time.monotonic() - began) >= 1.0,
        )
        predicted_ms = job.planner.predict_ms(widths)
        share = 1.0 if widths == found.planned else _share_of_wanted(job, graph(widths))
        if share <= OVER:
            fitting.append(widths)
        else:
            most_ms = min(most_ms, predicted_ms * _BELOW)
        if _NEAR <= share <= OVER:
            break
        # The next plan will be as much slower or faster than predicted as this one is.
        limit_ms = min(predicted_ms / share, most_ms)
    widths = max(fitting, key=scores)
    earlier = Plan.load(job.shared.run.file("supernet-plan.json"))
    found.elastic.plan(widths).after(earlier).save(job.run.file("plan.json"))
    trained = {"supernet": job.shared.run.figures().get("supernet")}
    job.run.add_figures(trained | _figures(scores, found, widths))
    start_with_the_better(job, graph(widths))


def _share_of_wanted(job: Job, proto: onnx.ModelProto) -> float:
    """Measured latency of a graph, as a share of the wanted one; 1 where nothing is measured.

    A graph that seems to fit is measured again and the slower figure counts: of several graphs,
    the search would pick the one that a lucky measurement made look fast.
    """
    bench, wanted = job.goal.target.bench, job.goal.target_ms
    if bench is None or wanted is None:
        return 1.0
    share = bench.latency(proto).median_ms / wanted
    return share if share > OVER else max(share, bench.latency(proto).median_ms / wanted)


def _figures(scores: Scores, found: _Supernet, widths: Widths) -> dict[str, Any]:
    best, planned = scores(widths), scores(found.planned)
    return {"search": {"plans": len(scores.known), "ssim": best, "ssim_of_first_plan": planned}}


def _distil(job: Job, budget: Budget) -> None:
    """Train the chosen network on."""
    distil(job, job.run.load_graph("start.onnx").proto, budget, "distil.pt", "student.onnx")
