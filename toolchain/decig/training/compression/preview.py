"""What a compression would do: the plan, its predicted latency, and how long training would take.

Nothing is trained to the end, and nothing is written.
"""

from pathlib import Path
from typing import Any

from decig.graph.cost import count
from decig.graph.slicing import slice_graph
from decig.training.compression.job import Job
from decig.training.compression.pipeline import prepare
from decig.training.compression.planner import Goal
from decig.training.compression.student import student_task
from decig.training.compression.teacher import Teacher
from decig.training.config import Config
from decig.training.data.examples import Folders
from decig.training.loop.engine import Engine, News
from decig.training.loop.processes import Processes, together
from decig.training.loop.schedule import Budget
from decig.training.runs.run import RunFolder

_TRIED = 4
"""Steps that are taken to see how long one lasts; the first one, which warms up, does not count."""


@together()
def preview(
    teacher: Teacher, folders: Folders, goal: Goal, config: Config
) -> dict[str, Any] | None:
    """Plan for one target; arguments and errors as for `pipeline.compress`.

    Returns:
        What `preview_of` says; None in all processes but the main one.
    """
    nowhere, processes = RunFolder(Path()), Processes()
    job = prepare(teacher, folders, goal, config, nowhere, processes, lambda *_: None)
    found = processes.on_main(lambda: preview_of(job))
    return found if processes.main else None


def preview_of(job: Job) -> dict[str, Any]:
    """What is planned for one target, and what it would take, by the keys of `--dry-run --json`."""
    target, plan = job.goal.target, job.planner.plan
    widths = {name: len(kept) for name, kept in plan.keep.items()}
    proto = job.teacher.model.proto
    before, after = count(proto), count(slice_graph(proto, job.teacher.channels, plan))
    warnings = {"warnings": list(target.warnings)} if target.warnings else {}
    return {
        "method": job.config.method,
        **target.asked(job.goal.target_ms),
        **target.prediction(job.planner.predict_ms(widths)),
        "widths": widths,
        "channels": {group.name: group.channels for group in job.teacher.channels.prunable},
        "macs": {"before": before.macs, "after": after.macs},
        "params": {"before": before.params, "after": after.params},
        "steps": job.goal.budget.steps,
        "expected_seconds": _expected_seconds(job),
        **warnings,
    }


def _expected_seconds(job: Job) -> float | None:
    """How long training would take; None where that cannot be told beforehand.

    Where steps are counted, a few are taken of the graph that the plan leaves.
    """
    budget = job.goal.budget
    if budget.steps is None:
        return budget.seconds
    if job.config.plans_on_the_way or job.goal.fold_norms or job.processes.count > 1:
        return None  # not all steps are steps of the graph that is planned here
    start = slice_graph(job.teacher.model.proto, job.teacher.channels, job.planner.plan)
    task = student_task(job, start, rate=1.0, with_extras=True, features=False)
    ends: list[float] = []

    def report(news: News) -> None:
        ends.append(news.elapsed_s)

    train = job.config.train
    tried = Budget(steps=_TRIED)
    engine = Engine(
        task, tried, job.processes, seed=train.seed, accumulate=train.accumulate, report=report
    )
    engine.run()
    return budget.steps * (ends[-1] - ends[0]) / (len(ends) - 1)
