import copy
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from decig.errors import BadInputError, DecigError
from decig.source.recipe import Recipe
from decig.training.loop.engine import Engine, News
from decig.training.loop.processes import Processes
from decig.training.loop.schedule import Budget
from decig.training.tasks import find
from decig.training.tasks.paired import Paired, open_task
from tests.training.small_originals import NORMED, SIDE_BY_SIDE, rewrite_recipe, write_pairs

STAGES = "[{ crop = 32, batch = 2, steps = 6 }, { crop = 48, batch = 1, steps = 4 }]"
RECIPE = SIDE_BY_SIDE.format(side=32, output_range="[0, 1]", stages=STAGES)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "net.py").write_text(NORMED)
    write_pairs(tmp_path / "data", 48)
    return tmp_path


def recipe(folder: Path, *changes: tuple[str, str]) -> Recipe:
    return rewrite_recipe(folder, RECIPE, *changes)


def task(folder: Path, *changes: tuple[str, str], rank: int = 0) -> Paired:
    processes = Processes()
    processes.rank = rank
    return open_task(recipe(folder, *changes), folder / "data", processes)


def engine(running: Paired, **options: Any) -> Engine:
    return Engine(running, Budget(steps=running.steps), Processes(), seed=running.seed, **options)


def test_it_is_found_by_its_name() -> None:
    assert find("paired").open_task is open_task


def test_crops_follow_seed_step_and_rank_and_are_in_the_models_ranges(folder: Path) -> None:
    made = task(folder)
    batch = made.batch(0)
    assert batch.source.shape == batch.real.shape == (2, 3, 32, 32)
    assert -1 <= batch.source.min() < -0.9 and 0.9 < batch.source.max() <= 1
    assert 0 <= batch.real.min() < 0.1 and 0.9 < batch.real.max() <= 1
    assert torch.equal(made.batch(0).source, batch.source)
    assert torch.equal(task(folder).batch(0).source, batch.source)
    others = [
        made.batch(1),
        task(folder, rank=1).batch(0),
        task(folder, ("[train]", "[train]\nseed = 1")).batch(0),
    ]
    for other in others:
        assert not torch.equal(other.source, batch.source)


def test_stages_follow_each_other(folder: Path) -> None:
    made = task(folder)
    assert made.steps == 10
    shapes = [tuple(made.batch(step).source.shape) for step in range(10)]
    assert shapes == [(2, 3, 32, 32)] * 6 + [(1, 3, 48, 48)] * 4


def test_an_update_trains_both_nets(folder: Path) -> None:
    made, told = task(folder), []
    running = engine(made, report=told.append)
    running.budget = Budget(steps=1)
    before = {name: copy.deepcopy(net.state_dict()) for name, net in made.nets.items()}
    running.run()
    assert list(made.groups) == ["discriminator", "generator"]
    assert told[0].losses.keys() == {
        "discriminator",
        "discriminator/adversarial",
        "generator",
        "generator/l1",
        "generator/adversarial",
    }
    for name, net in made.nets.items():
        assert any(not torch.equal(v, before[name][key]) for key, v in net.state_dict().items())
    mean, trained = running.means["generator"], made.generator
    assert not torch.equal(mean[0].weight, before["generator"]["0.weight"])
    assert torch.equal(mean[1].running_mean, trained[1].running_mean)
    assert running.means.keys() == {"generator"}


def test_without_an_adversary_only_the_generator_learns(folder: Path) -> None:
    made, told = task(folder, ("[train]", "[train]\nadversarial = 0")), []
    judge = copy.deepcopy(made.discriminator.state_dict())
    engine(made, report=told.append).run()
    losses = told[0].losses
    assert losses.keys() == {"generator", "generator/l1"}
    assert losses["generator"] == losses["generator/l1"]
    for name, value in made.discriminator.state_dict().items():
        assert torch.equal(value, judge[name])
    # The generator begins with the same weights, with a discriminator or without.
    assert torch.equal(task(folder).batch(0).source, made.batch(0).source)
    both = [task(folder, ("[train]", f"[train]\nadversarial = {weight}")) for weight in (0, 1)]
    assert torch.equal(both[0].generator[0].weight, both[1].generator[0].weight)


def test_training_brings_the_output_nearer(folder: Path) -> None:
    made = task(folder, ("[train]", "[train]\nlearning_rate = 1e-3\nadversarial = 0"))
    batch, losses = made.batch(0), []
    made.batch = lambda _: batch
    running = engine(made, report=lambda news: losses.append(news.losses["generator"]))
    running.budget = Budget(steps=12)
    running.seed = 0
    made.generator[2].p = 0.0
    running.run()
    assert np.diff(losses).max() < 0


def test_the_weights_of_the_losses_are_those_of_the_recipe(folder: Path) -> None:
    made = task(folder, ("[train]", "[train]\nl1 = 10\nadversarial = 0.5"))
    batch = made.batch(0)
    painted = made.forward(batch).detach()
    found = {n: loss.detach() for n, loss in made.losses("generator", batch, painted).items()}
    assert float(found["l1"]) == pytest.approx(float(10 * (painted - batch.real).abs().mean()))
    judged = made.discriminator(batch.source, painted).detach()
    wanted = 0.5 * torch.nn.functional.softplus(-judged).mean()
    assert float(found["adversarial"]) == pytest.approx(float(wanted), rel=1e-5)


def test_the_discriminator_sees_what_is_augmented(folder: Path) -> None:
    made = task(folder, ("[train]", '[train]\naugment = ["translation", "cutout"]'))
    batch = made.batch(0)
    assert batch.seed == made.batch(0).seed != made.batch(1).seed
    painted = made.forward(batch).detach()
    source, shown = made._augmentation(batch.source, [painted, batch.real], batch.seed)
    assert not torch.equal(source, batch.source)
    with torch.no_grad():
        fake, real = (made.discriminator(source, picture) for picture in shown)
        found = made.losses("generator", batch, painted)
        against = made.losses("discriminator", batch, painted)["adversarial"]
    softplus = torch.nn.functional.softplus
    assert float(found["adversarial"]) == pytest.approx(float(softplus(-fake).mean()), rel=1e-5)
    wanted = (softplus(fake).mean() + softplus(-real).mean()) / 2
    assert float(against) == pytest.approx(float(wanted), rel=1e-5)
    assert float(found["l1"]) == pytest.approx(float(100 * (painted - batch.real).abs().mean()))


def test_a_loss_that_is_no_number_names_the_net_and_takes_no_step(folder: Path) -> None:
    made = task(folder)
    with torch.no_grad():
        next(made.discriminator.parameters()).fill_(float("nan"))
    before = made.generator[0].weight.clone()
    with pytest.raises(DecigError, match=r"the discriminator's loss became nan at step 0"):
        engine(made).run()
    assert torch.equal(made.generator[0].weight, before)


def test_dropout_follows_seed_and_step(folder: Path) -> None:
    ends = []
    for draws in (0, 7):
        made = task(folder)

        def draw(_: News, count: int = draws) -> None:
            torch.rand(count)  # whatever else is drawn in between

        engine(made, report=draw).run()
        ends.append(made.generator[0].weight)
    assert torch.equal(*ends)


def test_what_is_shown_is_painted_by_the_nets_that_are_given(folder: Path) -> None:
    made = task(folder)
    net = copy.deepcopy(made.generator).eval()
    columns = made.show({"generator": net})
    assert list(columns) == ["input", "output", "real"]
    for images in columns.values():
        assert [image.shape for image in images] == [(32, 32, 3)] * 3
    source = torch.from_numpy(columns["input"][0].transpose(2, 0, 1)[None].astype(np.float32))
    with torch.no_grad():
        wanted = net(source / 127.5 - 1)[0].numpy().transpose(1, 2, 0)
    found = columns["output"][0] / 255
    np.testing.assert_allclose(found, wanted.clip(0, 1), atol=0.003)
    assert made.exports({"generator": net}) == {"generator.onnx": net}


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("[train]", "[train]\nunknown = 1", r"unknown key train\.unknown; known: .*learning_rate"),
        ("steps = 6", "steps = 0", r"train\.stages\[0\]\.steps: expected `int` >= 1, not 0"),
        ("crop = 48", "crop = 31", r"train\.stages\[1\]\.crop: expected `int` >= 32, not 31"),
        ("steps = 6", "epoch = 6", r"unknown key train\.stages\[0\]\.epoch; known: .*epochs"),
        ("steps = 6", "steps = 6, epochs = 6", "give one of steps and epochs for each stage"),
        (", steps = 6", "", "give one of steps and epochs for each stage"),
        ("steps = 6", "steps = 6, load = 31", "load is 31, less than crop, which is 32"),
        ('"side-by-side"', '"unpaired"', r"train\.data\.layout: .*auto, folders, side-by"),
        ('"BtoA"', '"right"', r"train\.data\.direction: expected one of AtoB, BtoA"),
        ("[train]", "[train]\nl1 = 0\nadversarial = 0", "train: .* nothing would be trained"),
        *(
            ("[train]", f"[train]\n{key} = {value}", rf"train\.{key}: .*{value.strip('-')}")
            for key, value in (
                ("learning_rate", "0"),
                ("learning_rate", "-0.5"),
                ("learning_rate", "1.5"),
                ("seed", "-1"),
                ("seed", "9223372036854775808"),
                ("seed", "0.5"),
                ("l1", "-1"),
                ("adversarial", "-1"),
                ("zoom", "0.9"),
                ("ema", "1.0"),
                ("ema", "-0.1"),
                ("precision", "'fp16'"),
            )
        ),
        ("discriminator_width = 4", "discriminator_width = 0", r"train\.discriminator_width: .*0"),
        ("[pixels]", '[pixels]\nlayout = "nhwc"', "training needs pixels.layout nchw"),
        ("[1, 3, 32, 32]", "[1, 4, 32, 32]", "Net cannot take an input"),
        ('[source]\npython = "net.py:Net"', "", r"has no \[source\] table to train from"),
    ],
)
def test_what_cannot_be_trained_is_one_line(folder: Path, old: str, new: str, message: str) -> None:
    with pytest.raises(BadInputError, match=message) as raised:
        task(folder, (old, new))
    assert "\n" not in str(raised.value)


def test_without_stages_training_is_that_of_pix2pix(folder: Path) -> None:
    made = task(folder, (f"stages = {STAGES}", ""), ("discriminator_width = 4", ""))
    assert made.steps == 200 * 3  # epochs of three pairs, one crop per step
    rates = [made.groups["generator"].schedule(p) for p in (0.0, 0.5, 0.75, 1.0)]
    assert rates == [1.0, 1.0, 0.5, 0.0]
    for group in made.groups.values():
        assert (group.learning_rate, group.betas) == (2e-4, (0.5, 0.999))
    assert made.discriminator.model[0].out_channels == 64
    assert made.batch(0).source.shape == (1, 3, 32, 32)
    assert made.averages["generator"].decay == 0
    painted = made.forward(made.batch(0)).detach()
    off = (painted - made.batch(0).real).abs().mean()
    found = made.losses("generator", made.batch(0), painted)
    assert float(found["l1"]) == pytest.approx(100 * float(off))


def test_an_empty_list_of_stages_is_refused(folder: Path) -> None:
    with pytest.raises(BadInputError, match=r"train\.stages: expected .* >= 1") as raised:
        task(folder, (STAGES, "[]"))
    assert str(raised.value).startswith(f"{folder}/recipe.toml: train")


def test_a_small_picture_is_refused_before_training(folder: Path) -> None:
    with pytest.raises(BadInputError, match=r"0\.png: a 48x48 image is too small for 64x64 crops"):
        task(folder, ("crop = 48", "crop = 64"))
    task(folder, ("crop = 48", "crop = 64, load = 70"))


def test_the_folder_of_the_data_may_be_given_or_named(folder: Path) -> None:
    with pytest.raises(BadInputError, match=r"give --data or folder in \[train\.data\]"):
        open_task(recipe(folder), None, Processes())
    named = recipe(folder, ("[train.data]", '[train.data]\nfolder = "data"'))
    assert open_task(named, None, Processes()).batch(0).source.shape == (2, 3, 32, 32)
    with pytest.raises(BadInputError, match="absent: no such folder"):
        open_task(named, folder / "absent", Processes())


def test_a_net_that_cannot_be_trained_is_refused_before_pictures_are_read(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("decig.data.images.read_image", lambda _: pytest.fail("an image was read"))
    (folder / "net.py").write_text(NORMED.replace("nn.Conv2d(4, 3, 1)", "nn.Conv2d(4, 2, 1)"))
    with pytest.raises(BadInputError, match="training needs"):
        task(folder)
    (folder / "net.py").write_text(NORMED)
    for file in (folder / "data" / "val").iterdir():
        file.unlink()
    with pytest.raises(BadInputError, match="val: no images there"):
        task(folder)
