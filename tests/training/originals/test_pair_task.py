import numpy as np
import pytest
import torch

from decig.errors import BadInputError
from decig.training import tasks
from tests.training import condensable, small_originals


@pytest.fixture(params=["paired", "label_map"])
def task(request, tmp_path):
    recipe = small_originals.write_recipe(
        tmp_path, request.param, **condensable.KINDS[request.param]
    )
    data = small_originals.write_data(tmp_path / "data", request.param)
    return tasks.find(request.param).open_task(recipe, data, small_originals.with_rank(0))


def test_it_paints_with_the_nets_that_it_has_by_then(task):
    batch = task.batch(0)
    task.nets["generator"].eval()
    before = task.forward(batch)
    assert before.shape == batch.real.shape
    assert torch.equal(task.paint(task.nets, batch)["generator"], before)
    assert task.pictures(before)["generator"] is before
    task.nets["generator"] = torch.nn.Conv2d(batch.source.shape[1], 3, 1, bias=False)
    with torch.no_grad():
        task.nets["generator"].weight.zero_()
    assert not task.forward(batch).any()


def test_what_it_takes_follows_from_the_recipe(task):
    assert (task.steps, list(task.sizes), task.seed) == (6, [(32, 32)], 0)
    assert torch.equal(task.batch(3).source, task.batch(3).source)
    assert not torch.equal(task.batch(3).source, task.batch(4).source)
    assert task.averages.keys() == {"generator"} and task.memories == {}


def test_it_shows_held_out_pairs_and_writes_its_generator(task):
    shown = task.show(task.nets)
    assert shown.keys() == {"input", "output", "real"}
    for images in shown.values():
        assert len(images) == 2
        assert all(image.shape == (32, 32, 3) and image.dtype == np.uint8 for image in images)
    assert task.exports(task.nets).keys() == {"generator.onnx"}


@pytest.mark.parametrize("name", ["paired", "label_map"])
def test_settings_are_those_of_the_task(tmp_path, name):
    other = {"paired": "scales = 2", "label_map": "adversarial = 1"}[name]
    recipe = small_originals.write_recipe(tmp_path, name, other, **condensable.KINDS[name])
    data = small_originals.write_data(tmp_path / "data", name)
    with pytest.raises(BadInputError, match=rf"unknown key train\.{other.split()[0]}"):
        tasks.find(name).open_task(recipe, data, small_originals.with_rank(0))
