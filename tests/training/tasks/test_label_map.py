import copy
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from torch.nn.functional import l1_loss, relu

from decig.errors import BadInputError
from decig.graph.model import initializers
from decig.training import tasks
from decig.training.originals import original
from decig.training.tasks.label_map import LabelMap, open_task
from tests.runtime import open_plain
from tests.training import small_originals

Make = Callable[..., LabelMap]


@pytest.fixture
def task(tmp_path: Path) -> Make:
    """Opens the task on a small data set, with lines of settings before the stages."""
    small_originals.write_data(tmp_path / "data", "label_map")

    def make(*settings: str, stages: str = small_originals.STAGES) -> LabelMap:
        text = "\n".join([*settings, stages])
        labels = {"labels": small_originals.ONE_HOT, "channels": 4, "input_range": "[0, 1]"}
        recipe = small_originals.write_recipe(tmp_path, "label_map", text, **labels)
        return open_task(recipe, tmp_path / "data", small_originals.with_rank(0))

    return make


def test_it_is_found_by_its_name() -> None:
    assert tasks.find("label_map").open_task is open_task


def test_losses_are_those_computed_by_hand(task: Make) -> None:
    made = task("feature_matching = 3")
    for net in made.nets.values():
        net.eval()
    batch = made.batch(0)
    assert batch.source.shape == (2, 4, 32, 32)
    with torch.no_grad():
        painted = made.forward(batch)
        fake, real = (made.discriminator(batch.source, image) for image in (painted, batch.real))
        found = made.losses("generator", batch, painted)
        judged = made.losses("discriminator", batch, painted)
    hinge, features, against = 0.0, 0.0, 0.0
    for on_fake, on_real in zip(fake, real, strict=True):
        hinge -= float(on_fake[-1].mean()) / 2
        layers = zip(on_fake[:-1], on_real[:-1], strict=True)
        features += sum(float(l1_loss(*layer)) for layer in layers) / 2
        against += float(relu(1 - on_real[-1]).mean() + relu(1 + on_fake[-1]).mean()) / 2
    assert list(found) == ["hinge", "features"] and list(judged) == ["hinge"]
    assert float(found["hinge"]) == pytest.approx(hinge, rel=1e-4, abs=1e-6)
    assert float(found["features"]) == pytest.approx(3 * features, rel=1e-4)
    assert float(judged["hinge"]) == pytest.approx(against, rel=1e-4)


def test_without_feature_matching_the_hinge_is_left(task: Make) -> None:
    made = task("feature_matching = 0")
    batch = made.batch(0)
    assert list(made.losses("generator", batch, made.forward(batch))) == ["hinge"]


def test_l1_is_the_weighted_difference_to_the_real_picture(task: Make) -> None:
    made = task("l1 = 10")
    batch = made.batch(0)
    painted = made.forward(batch)
    found = made.losses("generator", batch, painted)
    assert list(found) == ["hinge", "features", "l1"]
    expected = 10 * float(l1_loss(painted.detach(), batch.real))
    assert float(found["l1"].detach()) == pytest.approx(expected, rel=1e-5)


def test_the_discriminator_sees_what_is_augmented(task: Make) -> None:
    made = task('augment = ["colour", "translation", "cutout"]', "l1 = 10")
    for net in made.nets.values():
        net.eval()
    batch = made.batch(0)
    painted = made.forward(batch).detach()
    source, (fake, _) = made._augmentation(batch.source, [painted, batch.real], batch.seed)
    assert not torch.equal(source, batch.source)
    with torch.no_grad():
        found = made.losses("generator", batch, painted)
        judged = made.discriminator(source, fake)
    hinge = -sum(float(layers[-1].mean()) for layers in judged) / 2
    assert float(found["hinge"]) == pytest.approx(hinge, rel=1e-4, abs=1e-6)
    assert float(found["l1"]) == pytest.approx(10 * float(l1_loss(painted, batch.real)), rel=1e-5)


@pytest.mark.parametrize("group", ["generator", "discriminator"])
def test_gradients_reach_the_net_of_the_group_only(task: Make, group: str) -> None:
    found = small_originals.gradients_of(task('spectral_norm = ["4"]'), group)
    assert {name for name, yes in found.items() if yes} == {group}


def test_without_settings_training_is_that_of_the_authors(task: Make) -> None:
    made = task(stages="")
    assert list(made.groups) == ["generator", "discriminator"]
    rates = {name: (group.learning_rate, group.betas) for name, group in made.groups.items()}
    assert rates == {"generator": (1e-4, (0.0, 0.9)), "discriminator": (4e-4, (0.0, 0.9))}
    assert len(list(made.discriminator.children())) == 2
    assert made._settings.feature_matching == 10
    assert made.steps == 200 * 5 and made.averages["generator"].decay == 0
    normed = [part for part in made.discriminator.modules() if hasattr(part, "parametrizations")]
    assert len(normed) == 2 * 3


def test_spectral_norm_is_trained_and_not_exported(task: Make, tmp_path: Path) -> None:
    task("ema = 0.5", 'spectral_norm = ["0", "4"]')  # writes the recipe
    recipe = small_originals.load_recipe(tmp_path)
    file = original.train(recipe, tmp_path / "run", data=tmp_path / "data")
    state = torch.load(tmp_path / "run/state.pt", weights_only=True)
    mean = state["means"]["generator"]
    assert "0.parametrizations.weight.original" in mean and "4.weight" not in mean
    exported = initializers(onnx.load(file))
    assert {"0.weight", "4.weight", "6.weight"} <= exported.keys()
    orig, u, v = (
        mean[f"4.parametrizations.weight.{part}"] for part in ("original", "0._u", "0._v")
    )
    sigma = torch.dot(u, orig.flatten(1) @ v)
    np.testing.assert_allclose(exported["4.weight"], (orig / sigma).numpy(), rtol=1e-5)
    labels = np.zeros((1, 4, 32, 32), np.float32)
    (picture,) = open_plain(file).run(None, {"input": labels})
    assert picture.shape == (1, 3, 32, 32) and np.isfinite(picture).all()


def test_exports_leave_the_trained_net_as_it_is(task: Make) -> None:
    made = task('spectral_norm = ["4"]')
    before = copy.deepcopy(made.generator.state_dict())
    exported = made.exports({"generator": made.generator})["generator.onnx"]
    assert "4.weight" in exported.state_dict()
    after = made.generator.state_dict()
    assert before.keys() == after.keys()
    assert all(torch.equal(value, after[key]) for key, value in before.items())


def test_a_layer_that_is_not_there_is_named(task: Make, tmp_path: Path) -> None:
    message = rf"{tmp_path}/recipe\.toml: train\.spectral_norm: no layer is called 'blocks\.\*'"
    with pytest.raises(BadInputError, match=message) as raised:
        task('spectral_norm = ["blocks.*"]')
    assert "there are 0, 4, 6 and others" in str(raised.value)


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("cycle = 1", r"unknown key train\.cycle; known: .*feature_matching"),
        ("scales = 0", r"train\.scales: .*0"),
        ("scales = 6", r"train\.scales = 6 needs crops of at least 33 pixels, .* crops of 32"),
        ("discriminator_learning_rate = 2", r"train\.discriminator_learning_rate: .*2"),
        ("feature_matching = -1", r"train\.feature_matching: .*-1"),
    ],
)
def test_settings_that_cannot_be_meant(task: Make, line: str, message: str) -> None:
    with pytest.raises(BadInputError, match=message):
        task(line)


def test_bfloat16_gives_nearly_the_same_losses(task: Make) -> None:
    found = []
    for precision in ("fp32", "bf16"):
        made = task(f'precision = "{precision}"')
        batch = made.batch(0)
        torch.manual_seed(0)  # of the dropout
        with torch.no_grad():
            painted = made.forward(batch)
            found.append({g: made.losses(g, batch, painted) for g in made.groups})
    for group, terms in found[0].items():
        for name, value in terms.items():
            assert value.dtype == found[1][group][name].dtype == torch.float32
            assert float(found[1][group][name]) == pytest.approx(float(value), rel=0.05, abs=0.05)
            assert not torch.equal(found[1][group][name], value)
