import itertools
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from decig.device.plan.target import Target
from decig.errors import BadInputError
from decig.graph.plan import Plan
from decig.training.compression.judge import Judge
from decig.training.config import Config
from decig.training.loop.schedule import Budget
from decig.training.methods import supernet
from decig.training.methods.supernet import Settings, steps
from decig.training.narrowing.search import Lattice
from decig.training.tasks.distil import Distil
from tests.device.bench import FakeBench
from tests.training.killed import kill_in, require_going_on
from tests.training.methods.test_decig import widths
from tests.training.small import Asked, small, total_ms, with_settings
from tests.training.tiny import tiny_generator

FEW = {"plans": 12, "population": 6, "menu": 4, "scored": 2}


def ask(folder: Path, **changes: Any) -> Asked:
    asked = small(folder, tiny_generator(size=48, width=32), photos=8)
    config = Config.read(None, "supernet")
    own = {"crop": 32, "batch": 2, "held_out": 2, "repair_crops": 4, "precision": "fp32"}
    return asked.but(config=with_settings(config, **own, **FEW), budget=Budget(steps=20)).but(
        **changes
    )


def test_the_student_is_the_plan_that_scored_best(tmp_path: Path) -> None:
    asked = ask(tmp_path)
    figures = asked.compress()
    run = asked.output_dir
    band = json.loads((run / "band.json").read_text())
    found = figures["search"]
    assert 1 < found["plans"] <= FEW["plans"]
    assert found["ssim"] >= found["ssim_of_first_plan"]
    plan = Plan.load(run / "plan.json")
    kept = {name: len(channels) for name, channels in plan.keep.items()}
    assert kept == figures["widths"]
    limit = asked.goal.target.predictor.predict_ms(band["planned"][0])
    assert asked.goal.target.predictor.predict_ms(kept) <= limit * 1.0001
    widest = Plan.load(run / "supernet-plan.json").keep
    for name, channels in plan.keep.items():
        assert set(channels) <= set(widest[name])
        assert band["narrowest"][name] <= len(channels) <= len(widest[name])
    assert figures["supernet"]["steps"] == 10 and figures["steps"] == 10


def test_it_is_trained_near_the_wanted_latency_on_images_that_the_search_does_not_see(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    job = ask(tmp_path).job()
    images, menus = dict[str, set[str]](), list[tuple[Any, ...]]()
    make_task, judge, menu = supernet.student_task, supernet.Judge, supernet.Menu
    feeds = type(job.examples).feeds

    def task_made(*arguments: Any, **options: Any) -> Distil:
        made = make_task(*arguments, **options)
        images["train"] = {example.name for example in made._pool._examples}
        return made

    def fed(self: Any, examples: Any, *rest: Any, **options: Any) -> Any:
        images["latest"] = {example.name for example in examples}
        return feeds(self, examples, *rest, **options)

    def judged(*arguments: Any, **options: Any) -> Judge:
        images["search"] = images["latest"]
        return judge(*arguments, **options)

    def menu_made(*arguments: Any, **options: Any) -> Any:
        menus.append(arguments)
        return menu(*arguments, **options)

    monkeypatch.setattr(supernet, "student_task", task_made)
    monkeypatch.setattr(type(job.examples), "feeds", fed)
    monkeypatch.setattr(supernet, "Judge", judged)
    monkeypatch.setattr(supernet, "Menu", menu_made)
    for step in steps(job)[:3]:
        step.run(*job.goal.budget.parts([step.share]))
    assert len(images["train"]) > 1 and len(images["search"]) == FEW["scored"]
    assert images["train"].isdisjoint(images["search"])
    ((_, (planned, *drawn), *_),) = menus
    assert planned == json.loads(job.shared.run.file("band.json").read_text())["planned"][0]
    latencies = [job.planner.predict_ms(widths) for widths in drawn]
    assert len(latencies) > 1
    assert min(latencies) / job.goal.target_ms >= 0.85
    assert max(latencies) / job.goal.target_ms <= 1.1


def test_the_network_is_that_of_the_supernet_or_a_better_one(tmp_path: Path) -> None:
    asked = ask(tmp_path)
    job = asked.job()
    first, train, search, _ = steps(job)
    for step in (first, train):
        step.run(*job.goal.budget.parts([step.share]))
    search.run(*job.goal.budget.parts([search.share]))
    start = job.run.load_graph("start.onnx").proto
    figures = json.loads(job.run.file("report.json").read_text())["search"]
    assert widths(start) == {
        name: len(kept) for name, kept in Plan.load(job.run.file("plan.json")).keep.items()
    }
    scored = job.examples.feeds(job.examples.training[-FEW["scored"] :])
    judge = Judge(job.teacher.model.proto, scored, job.teacher.pixels)
    assert judge.ssim(start) >= figures["ssim"] - 1e-6


@pytest.mark.parametrize("lucky", [False, True])
def test_plans_that_are_measured_to_be_too_slow_are_not_taken(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, lucky: bool
) -> None:
    """Nor are those that a lucky first measurement made look as fast as wanted."""
    asked = ask(tmp_path)
    limits: list[float] = []
    turns = itertools.cycle([1.0, 2.0] if lucky else [2.0])

    def narrowest(lattice: Lattice, *rest: Any, **_: Any) -> dict[str, int]:
        limits.append(rest[1])
        return lattice.widths(np.zeros(len(lattice.choices)))

    def slow_but_for_the_first(proto: Any) -> float:
        searching = (asked.output_dir / "band.json").exists()
        return next(turns) * asked.goal.target_ms if searching else total_ms(proto)

    monkeypatch.setattr(supernet, "search_widths", narrowest)
    bench = FakeBench(slow_but_for_the_first)
    figures = asked.but(target=Target(asked.goal.target.table, bench)).compress()
    band = json.loads((asked.output_dir / "band.json").read_text())
    assert [figures["widths"]] == band["planned"] != [band["narrowest"]]
    least = asked.goal.target.predictor.predict_ms(band["narrowest"])
    assert limits[1:] == pytest.approx([least / 2] * 2)  # it took twice as long as wanted


def test_plans_that_are_measured_to_be_faster_are_not_the_last(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = ask(tmp_path)
    limits: list[float] = []

    def narrowest_then_more(lattice: Lattice, *rest: Any, **_: Any) -> dict[str, int]:
        limits.append(rest[1])
        tops = (len(widths) - 1 for widths in lattice.choices.values())
        levels = [min(len(limits) - 1, top) for top in tops]
        found = lattice.widths(np.array(levels))
        rest[2](found)
        return found

    def faster_when_searching(proto: Any) -> float:
        searching = (asked.output_dir / "band.json").exists()
        return total_ms(proto) if not searching else asked.goal.target_ms * 0.8

    monkeypatch.setattr(supernet, "search_widths", narrowest_then_more)
    target = Target(asked.goal.target.table, FakeBench(faster_when_searching))
    figures = asked.but(target=target).compress()
    band = json.loads((asked.output_dir / "band.json").read_text())
    least = asked.goal.target.predictor.predict_ms(band["narrowest"])
    assert limits[1] == pytest.approx(least / 0.8)  # it took less than was wanted
    assert len(limits) == 3 and limits[2] > limits[1]
    assert figures["search"]["ssim"] >= figures["search"]["ssim_of_first_plan"]


def test_a_latency_must_be_asked_for(tmp_path: Path) -> None:
    with pytest.raises(BadInputError, match="give the latency to reach"):
        ask(tmp_path, target_ms=None).job()


def test_shares_above_the_whole_are_refused() -> None:
    with pytest.raises(ValueError, match="more than the whole budget"):
        Settings(train=0.8, search=0.3)
    assert np.isclose(Settings().train + Settings().search, 0.6)


@pytest.mark.usefixtures("saving_always")
@pytest.mark.parametrize("stage", ["supernet", "search", "distil"])
def test_a_killed_run_ends_with_the_student_of_an_unbroken_one(tmp_path: Path, stage: str) -> None:
    whole = ask(tmp_path)
    whole.compress()
    broken = whole.but(output_dir=tmp_path / "broken")
    with pytest.raises(RuntimeError, match="killed"):
        broken.compress(kill_in(stage))
    again = broken.but(resume=True)
    if stage == "search":  # which trains nothing
        again.compress()
    else:
        require_going_on(again.compress, broken.output_dir / "state" / f"{stage}.pt")
    # The student may begin with the teacher's weights: what was trained before is compared itself.
    for name in ("supernet.onnx", "plan.json", "student.onnx"):
        same = [(asked.output_dir / name).read_bytes() for asked in (whole, broken)]
        assert same[0] == same[1], name
