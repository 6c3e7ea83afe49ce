from pathlib import Path

import numpy as np
import pytest
import torch

from decig.graph.channels import analyse
from decig.training.compression.student import student_task
from decig.training.loop.engine import Engine, News
from decig.training.loop.processes import Processes
from decig.training.loop.schedule import Budget
from decig.training.tasks import Prepares
from decig.training.tasks.sandwich import Menu, Sandwich
from decig.training.trainable.elastic import Elastic
from tests.samples import write_photos
from tests.training.small import small

NARROW, WIDE, BETWEEN = {"c1": 4, "c2": 4}, {"c1": 16, "c2": 16}, {"c1": 8, "c2": 4}


def sandwich(folder: Path, menu: Menu, *, targets: bool = False) -> Sandwich:
    asked = small(folder)
    if targets:
        asked = asked.but(targets=write_photos(folder / "targets", 6, 60, 64))
    job = asked.job()
    proto = job.teacher.model.proto
    order = {name: np.arange(16) for name in WIDE}
    elastic = Elastic(proto, analyse(proto), order, ["output"], (32, 32))
    distil = student_task(job, proto, rate=1.0, with_extras=True)
    return Sandwich(distil, elastic, menu)


def test_some_widths_train_always_and_others_now_and_then() -> None:
    menu = Menu([NARROW, WIDE], [BETWEEN, {"c1": 5}, {"c1": 6}], drawn=1, seed=0)
    steps = [menu.of_step(number) for number in range(40)]
    assert all(step[:2] == [NARROW, WIDE] and len(step) == 3 for step in steps)
    assert {step[2].get("c1") for step in steps} == {8, 5, 6}
    assert steps == [menu.of_step(number) for number in range(40)]
    assert Menu([NARROW], [], drawn=2, seed=0).of_step(0) == [NARROW]


def test_the_loss_is_the_mean_over_the_networks(tmp_path: Path) -> None:
    both = sandwich(tmp_path, Menu([NARROW, WIDE], [], 0, 0))
    batch = both.batch(0)
    terms = both.losses("student", batch, both.forward(batch))
    each = []
    for widths in (NARROW, WIDE):
        alone = Sandwich(both._distil, both._elastic, Menu([widths], [], 0, 0))
        batch = alone.batch(0)
        each.append(float(alone.losses("student", batch, alone.forward(batch))["output"].detach()))
    assert list(terms) == ["output"]
    assert float(terms["output"].detach()) == pytest.approx(sum(each) / 2)
    assert each[1] < 1e-2 < each[0]  # the whole network is the teacher


def test_what_a_batch_needs_is_painted_when_it_is_prepared(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    both, asked = sandwich(tmp_path, Menu([WIDE], [], 0, 0)), []
    assert isinstance(both, Prepares)
    monkeypatch.setattr(both._distil, "prepare", asked.append)
    both.prepare(2)
    assert asked == [2]


def test_all_networks_come_closer_to_the_teacher(tmp_path: Path) -> None:
    task = sandwich(tmp_path, Menu([NARROW, WIDE], [BETWEEN], 1, 0))
    told: list[News] = []
    Engine(task, Budget(steps=60), Processes(), report=told.append).run()
    losses = [news.losses["student"] for news in told]
    assert np.mean(losses[-5:]) < 0.8 * np.mean(losses[:5])


def test_an_adversary_judges_the_pictures_of_all(tmp_path: Path) -> None:
    task = sandwich(tmp_path, Menu([NARROW, WIDE], [], 0, 0), targets=True)
    batch = task.batch(0)
    shared = task.forward(batch)
    assert list(task.groups) == ["discriminator", "student"]
    assert list(task.losses("discriminator", batch, shared)) == ["adversarial"]
    assert list(task.losses("student", batch, shared)) == ["output", "targets", "adversarial"]
    assert not torch.equal(shared[0], shared[1])
