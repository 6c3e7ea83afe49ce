import copy

import pytest
import torch

from decig.training.loop.schedule import HoldThenFall
from decig.training.originals.stretch import Part, Stretch, Taught
from decig.training.tasks.paired import open_task
from decig.training.tasks.unpaired import open_task as open_unpaired
from tests.training import small_originals


@pytest.fixture
def task(tmp_path):
    recipe = small_originals.write_recipe(tmp_path, "paired")
    small_originals.write_data(tmp_path / "data", "paired")
    return open_task(recipe, tmp_path / "data", small_originals.with_rank(0))


def test_the_learning_rate_runs_on_as_if_there_were_one_stretch():
    whole = HoldThenFall(0.5)
    first, second = Part(whole, 0.0, 0.75), Part(whole, 0.75, 1.0)
    assert first(0.0) == 1 and first(1.0) == second(0.0) == pytest.approx(0.5)
    assert second(0.5) == pytest.approx(0.25) and second(1.0) == 0


def test_batches_and_schedules_are_those_of_the_whole(task):
    stretch = Stretch(task, 4, 6)
    assert stretch.steps == 2
    assert torch.equal(stretch.batch(1).source, task.batch(5).source)
    assert list(stretch.groups) == list(task.groups)  # the order of the updates
    group = stretch.group_of("generator")
    assert group.schedule(0.0) == task.groups["generator"].schedule(4 / 6)


def test_the_teachers_term_is_the_difference_of_pictures(task):
    teacher = copy.deepcopy(task.nets["generator"]).eval()
    with torch.no_grad():
        teacher[-2].bias += 0.25
    stretch = Taught(task, 0, 6, teachers={"generator": teacher}, weight=3.0)
    batch = stretch.batch(0)
    shared = stretch.forward(batch)
    terms = stretch.losses("generator", batch, shared)
    expected = 3 * (shared - teacher(batch.source)).abs().mean()
    assert terms["teacher"].item() == pytest.approx(expected.item())
    assert {"l1", "adversarial"} < terms.keys()
    terms["teacher"].backward()
    assert task.nets["generator"][0].weight.grad.any()
    assert all(parameter.grad is None for parameter in teacher.parameters())
    assert "teacher" not in stretch.losses("discriminator", batch, stretch.forward(batch))
    without = Taught(task, 0, 6, teachers={"generator": teacher})
    assert "teacher" not in without.losses("generator", batch, stretch.forward(batch))


def test_both_generators_of_a_task_learn_from_their_own_teachers(tmp_path):
    recipe = small_originals.write_recipe(tmp_path, "unpaired")
    small_originals.write_data(tmp_path / "data", "unpaired")
    task = open_unpaired(recipe, tmp_path / "data", small_originals.with_rank(0))
    for net in task.nets.values():
        net.eval()
    names = ("generator", "generator_back")
    teachers = {name: copy.deepcopy(task.nets[name]) for name in names}
    with torch.no_grad():
        teachers["generator_back"][-2].bias += 0.5
    stretch = Taught(task, 0, 6, teachers=teachers, weight=1.0)
    batch = stretch.batch(0)
    terms = stretch.losses("generators", batch, stretch.forward(batch))
    assert terms["teacher_generator"].item() == 0
    assert terms["teacher_generator_back"].item() == pytest.approx(0.46, abs=0.02)  # tanh(0.5)
