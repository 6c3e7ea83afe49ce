import copy
import dataclasses
from pathlib import Path

import numpy as np
import pytest
import torch

from decig.data.pairs import Pair
from decig.errors import BadInputError, DecigError
from decig.graph.model import load_model
from decig.repair.activations import run_graph
from decig.source.recipe import Recipe, Stage, load_recipe
from decig.train.original_run import OriginalRun

RECIPE = """
[model]
onnx = "generator.onnx"
input_shape = [1, 3, 32, 32]
[pixels]
input_range = [-1, 1]
output_range = [0, 1]
[source]
python = "net.py:Net"
[train]
discriminator_width = 4
stages = [{ crop = 32, batch = 2, steps = 6 }, { crop = 48, batch = 1, steps = 4 }]
[train.data]
layout = "side-by-side"
input = "right"
"""
NET = """
from torch import nn
class Net(nn.Sequential):
    def __init__(self):
        super().__init__(
            nn.Conv2d(3, 4, 3, padding=1), nn.BatchNorm2d(4), nn.Dropout(0.5), nn.Conv2d(4, 3, 1)
        )
"""
STAGE = Stage(crop=32, batch=2, steps=6)


@pytest.fixture
def recipe(tmp_path: Path) -> Recipe:
    (tmp_path / "net.py").write_text(NET)
    (tmp_path / "recipe.toml").write_text(RECIPE)
    return load_recipe(tmp_path)


@pytest.fixture
def run(recipe: Recipe, tmp_path: Path) -> OriginalRun:
    return begin(recipe, tmp_path / "run")


def begin(recipe: Recipe, folder: Path, *, resume: bool = False) -> OriginalRun:
    (folder / "samples").mkdir(parents=True, exist_ok=True)
    assert recipe.train is not None
    return OriginalRun.start(recipe, recipe.train, folder, resume)


def pairs(count: int = 3) -> list[Pair]:
    rng = np.random.default_rng(0)
    noise = rng.integers(0, 256, (count, 2, 48, 48, 3), np.uint8)
    return [Pair(str(index), *images) for index, images in enumerate(noise)]


def weights(run: OriginalRun) -> dict[str, "torch.Tensor"]:
    return {k: v.clone() for k, v in run.generator.state_dict().items()}


def test_crops_follow_seed_and_step_and_are_in_the_models_ranges(run: OriginalRun) -> None:
    source, target = run.batch(pairs(), STAGE)
    assert source.shape == target.shape == (2, 3, 32, 32)
    assert -1 <= source.min() < -0.9 and 0.9 < source.max() <= 1
    assert 0 <= target.min() < 0.1 and 0.9 < target.max() <= 1
    assert torch.equal(run.batch(pairs(), STAGE)[0], source)
    run.step = 1
    assert not torch.equal(run.batch(pairs(), STAGE)[0], source)


def test_an_update_trains_both_nets_and_counts(run: OriginalRun) -> None:
    before = weights(run)
    judge = copy.deepcopy(run.discriminator.state_dict())
    losses = run.update(run.batch(pairs(), STAGE))
    assert losses.keys() == {"l1", "discriminator", "adversarial", "generator"}
    assert run.step == 1
    assert not torch.equal(weights(run)["0.weight"], before["0.weight"])
    changed = [not torch.equal(v, judge[n]) for n, v in run.discriminator.state_dict().items()]
    assert any(changed)
    mean = run.mean.state_dict()
    assert not torch.equal(mean["0.weight"], before["0.weight"])
    assert torch.equal(mean["1.running_mean"], run.generator.state_dict()["1.running_mean"])


def test_without_an_adversary_only_the_generator_learns(recipe: Recipe, tmp_path: Path) -> None:
    assert recipe.train is not None
    training = dataclasses.replace(recipe.train, adversarial=0.0)
    run = OriginalRun.start(recipe, training, tmp_path, resume=False)
    judge = copy.deepcopy(run.discriminator.state_dict())
    losses = run.update(run.batch(pairs(), STAGE))
    assert losses.keys() == {"l1", "generator"}
    assert losses["generator"] == pytest.approx(training.l1 * losses["l1"], rel=1e-5)
    for name, value in run.discriminator.state_dict().items():
        assert torch.equal(value, judge[name])


def test_training_brings_the_output_nearer(run: OriginalRun) -> None:
    batch = run.batch(pairs(), STAGE)
    losses = []
    for _ in range(12):
        run.step = 0  # at the full rate
        losses.append(run.update(batch)["l1"])
    assert np.diff(losses).max() < 0


def test_the_rate_holds_for_half_the_steps_and_falls_to_nothing(run: OriginalRun) -> None:
    assert run.last_step == 10
    rates = []
    for step in range(10):
        run.step = step
        run.update(run.batch(pairs(), STAGE))
        rates.append(run.optimisers["generator"].param_groups[0]["lr"])
    full = run.training.learning_rate
    assert rates == pytest.approx([full] * 6 + [full * share for share in (0.8, 0.6, 0.4, 0.2)])


def test_dropout_follows_seed_and_step(run: OriginalRun, recipe: Recipe, tmp_path: Path) -> None:
    other = begin(recipe, tmp_path / "other")
    torch.rand(7)  # whatever was drawn in between
    for each in (run, other):
        each.update(each.batch(pairs(), STAGE))
        torch.rand(3)
        each.update(each.batch(pairs(), STAGE))
    for name, value in weights(other).items():
        assert torch.equal(value, weights(run)[name]), name


def test_a_loss_that_is_no_number_names_the_net_and_takes_no_step(run: OriginalRun) -> None:
    source, target = run.batch(pairs(), STAGE)
    with torch.no_grad():
        next(run.discriminator.parameters()).fill_(float("nan"))
    before = weights(run)
    with pytest.raises(DecigError, match=r"the discriminator's loss became nan at step 0;.*state"):
        run.update((source, target))
    assert torch.equal(weights(run)["0.weight"], before["0.weight"])


def test_a_saved_run_goes_on_where_it_stood(
    run: OriginalRun, recipe: Recipe, tmp_path: Path
) -> None:
    for _ in range(2):
        run.update(run.batch(pairs(), STAGE))
    run.save()
    again = begin(recipe, tmp_path / "run", resume=True)
    assert again.step == 2
    for each in (run, again):
        each.update(each.batch(pairs(), STAGE))
    for name, value in run.mean.state_dict().items():
        assert torch.equal(again.mean.state_dict()[name], value), name


def test_a_run_is_not_begun_over_another_nor_resumed_from_nothing(
    run: OriginalRun, recipe: Recipe, tmp_path: Path
) -> None:
    with pytest.raises(BadInputError, match="no run to resume"):
        begin(recipe, tmp_path / "run", resume=True)
    run.save()
    with pytest.raises(BadInputError, match="holds a run already"):
        begin(recipe, tmp_path / "run")
    (tmp_path / "net.py").write_text(NET.replace("4", "5"))
    with pytest.raises(BadInputError, match=r"state\.pt: not the state of a run of this recipe"):
        begin(recipe, tmp_path / "run", resume=True)


def test_what_is_shown_is_the_mean(run: OriginalRun, tmp_path: Path) -> None:
    run.update(run.batch(pairs(), STAGE))
    path = run.show(pairs(2))
    assert (tmp_path / "run" / "samples" / "step-000001.png").is_file()
    noise = np.random.default_rng(0).random((1, 3, 32, 32), np.float32)
    with torch.no_grad():
        wanted = run.mean(torch.from_numpy(noise)).numpy()
    found = run_graph(load_model(path).proto, [{"input": noise}])
    np.testing.assert_allclose(found, wanted, atol=1e-5)
