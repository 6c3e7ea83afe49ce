import copy
from typing import Any

import numpy as np
import pytest
import torch

from decig.data.feeds import Inputs
from decig.data.pixels import PixelFormat
from decig.errors import BadInputError
from decig.graph.model import ValueInfo
from decig.training.compression.adversary import adversary_of, fresh_discriminator
from decig.training.compression.inner import InnerValues
from decig.training.compression.terms import TERMS
from decig.training.data.pool import Crops, Example, TeacherPool
from decig.training.loop.engine import Engine, News
from decig.training.loop.precision import Precision
from decig.training.loop.processes import Processes
from decig.training.loop.schedule import Budget
from decig.training.losses.games import GAMES, GameName
from decig.training.nets.judged import verdicts
from decig.training.tasks import Prepares
from decig.training.tasks.distil import Distil, Learning, Settings
from tests.training.simple_task import weights

PIXELS = PixelFormat((0.0, 1.0), (0.0, 1.0))
CPU = torch.device("cpu")


def student() -> "torch.nn.Module":
    torch.manual_seed(0)
    layers = [torch.nn.Conv2d(3, 4, 3, padding=1), torch.nn.ReLU(), torch.nn.Conv2d(4, 3, 1)]
    return torch.nn.Sequential(*layers)


def teacher() -> "torch.nn.Module":
    torch.manual_seed(1)
    made = torch.nn.Conv2d(3, 3, 3, padding=1).requires_grad_(False)
    torch.nn.init.constant_(made.weight, 0.02)
    return made


def pool(*, targets: bool = False) -> TeacherPool:
    rng = np.random.default_rng(0)
    inputs = Inputs(ValueInfo("x", [1, 3, 32, 32], np.dtype(np.float32)), order=("x",))
    noise = rng.integers(0, 256, (4, 1 + targets, 32, 32, 3), np.uint8)
    examples = [Example("a", tuple(images)) for images in noise]
    crops = Crops(28, 28, 2, 1.1)
    return TeacherPool(
        examples, teacher(), PIXELS, inputs, crops, refresh=2, capacity=3, seed=0, device=CPU
    )


def task(net: Any = None, *, targets: bool = False, seed: int = 0, **options: Any) -> Distil:
    settings = options.pop("settings", Settings())
    learning = Learning(5e-3, 0.03, 0.9, seed)
    source, exact = pool(targets=targets), Precision("cpu")
    if targets:
        options["paired"] = True
    if targets and settings.adversarial:
        judge = fresh_discriminator(3, 16, seed)
        options["adversary"] = adversary_of(
            judge,
            PIXELS,
            real="target",
            weight=settings.adversarial,
            trained=False,
            game=settings.game,
        )
    return Distil(net or student(), source, PIXELS, settings, learning, exact, **options)


def train(made: Distil, steps: int) -> list[dict[str, float]]:
    told: list[News] = []
    Engine(made, Budget(steps=steps), Processes(), report=told.append).run()
    return [dict(news.losses) for news in told]


def test_the_student_comes_closer_to_its_teacher() -> None:
    losses = [each["student"] for each in train(task(), 40)]
    assert np.mean(losses[-5:]) < 0.7 * np.mean(losses[:5])


def test_batches_that_were_taken_before_do_not_come_again() -> None:
    made, whole = task(first=5), pool()
    expected = [whole.batch(step) for step in range(8)][5:]
    for number, batch in enumerate(expected):
        assert torch.equal(made.batch(number).source, batch.source)


def test_what_a_batch_needs_is_painted_when_it_is_prepared(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    made, asked = task(first=5), []
    assert isinstance(made, Prepares)
    monkeypatch.setattr(made._pool, "prepare", asked.append)
    made.prepare(2)
    assert asked == [7]


def test_the_weights_of_the_output_loss_are_those_of_the_settings() -> None:
    bare = task(settings=Settings(chroma=0.0, gradient=0.0, structure=0.0))
    batch = bare.batch(0)
    picture, *_ = shared = bare.forward(batch)
    terms = bare.losses("student", batch, shared)
    wanted = ((picture - batch.teacher).square() + 1e-6).sqrt().mean()
    assert list(terms) == ["output"]
    assert torch.equal(terms["output"], wanted)
    full = task().losses("student", batch, shared)
    assert full["output"].detach() > terms["output"].detach()


def test_inner_values_are_compared_where_that_is_asked_for() -> None:
    inner = InnerValues(Shows().body[0], [None], Precision("cpu"), CPU)
    made = task(Shows(), terms={"features": 0.5, "feature_relations": 1.0}, inner=inner)
    batch = made.batch(0)
    terms = made.losses("student", batch, made.forward(batch))
    assert list(terms) == ["output", "features", "feature_relations"]
    assert float(terms["feature_relations"].detach()) == 0.0
    assert float(terms["features"].detach()) == 0.0  # the same first layer
    with torch.no_grad():
        made.student.body[0].weight.add_(0.1)
    assert made.losses("student", batch, made.forward(batch))["features"].detach() > 0.01


def test_each_game_has_the_optimiser_of_its_authors() -> None:
    found = {name: (game.learning_rate, game.betas) for name, game in GAMES.items()}
    assert found["hinge"] == (4e-4, (0.0, 0.9))
    assert found["cross-entropy"] == found["least-squares"] == (2e-4, (0.5, 0.999))
    judge = task(targets=True, settings=Settings(game="hinge")).groups["discriminator"]
    assert (judge.learning_rate, judge.betas) == found["hinge"]


class Shows(torch.nn.Module):
    """A student that shows the values of its first layer."""

    def __init__(self) -> None:
        super().__init__()
        self.body = student()

    def forward(self, x: Any) -> Any:
        return self.body(x), self.body[0](x)


def test_every_term_has_the_weight_of_the_settings() -> None:
    torch.manual_seed(3)
    inner = InnerValues(torch.nn.Conv2d(3, 4, 3, padding=1), [None], Precision("cpu"), CPU)
    net, found = Shows(), []
    for weight in (0.3, 0.6):
        settings = Settings(target=weight, adversarial=weight)
        terms = dict.fromkeys(TERMS, weight)
        made = task(net, targets=True, settings=settings, terms=terms, inner=inner)
        batch = made.batch(0)
        found.append(made.losses("student", batch, made.forward(batch)))
    once, twice = found
    assert once.keys() == twice.keys() == {"output", "targets", "adversarial", *TERMS}
    for name in once:
        assert float(once[name].detach()) > 0
        assert torch.equal(twice[name], (1 if name == "output" else 2) * once[name]), name


@pytest.mark.parametrize("game", GAMES)
def test_the_game_counts_by_its_weight(game: GameName) -> None:
    net = fresh_discriminator(3, 8, 0)
    adversary = adversary_of(net, PIXELS, real="teacher", weight=0.3, trained=False, game=game)
    made = task(adversary=adversary)
    batch = made.batch(0)
    picture, *_ = shared = made.forward(batch)
    wanted = 0.3 * GAMES[game].generator(verdicts(adversary.judge(batch, picture)))
    assert torch.equal(made.losses("student", batch, shared)["adversarial"], wanted)


def test_the_game_has_one_weight_with_real_pictures_and_one_without() -> None:
    settings = Settings(adversarial=0.3, imitation=0.7)
    assert settings.adversarial_weight(real=True) == 0.3
    assert settings.adversarial_weight(real=False) == 0.7


def test_the_adversary_learns_first_and_drives_the_picture() -> None:
    made = task(targets=True)
    assert list(made.groups) == ["discriminator", "student"]
    group = made.groups["discriminator"]
    assert (group.learning_rate, group.betas, group.schedule(0.9)) == (2e-4, (0.5, 0.999), 1.0)
    before = copy.deepcopy(made.nets["discriminator"].state_dict())
    losses = train(made, 3)[0]
    assert {
        "discriminator",
        "student/output",
        "student/targets",
        "student/adversarial",
    } <= losses.keys()
    after = made.nets["discriminator"].state_dict()
    assert any(not torch.equal(value, before[name]) for name, value in after.items())
    alone = task(targets=True, settings=Settings(adversarial=0.0))
    train(alone, 3)
    assert not torch.equal(weights(alone.student), weights(made.student))


def test_without_an_adversary_targets_are_l1() -> None:
    made = task(targets=True, settings=Settings(target=2.0, adversarial=0.0))
    assert list(made.nets) == list(made.groups) == ["student"]
    batch = made.batch(0)
    picture, *_ = shared = made.forward(batch)
    found = made.losses("student", batch, shared)["targets"].detach()
    wanted = 2 * (picture - batch.target).abs().mean().detach()
    assert float(found) == pytest.approx(float(wanted))


def test_the_adversary_begins_by_the_seed() -> None:
    made = []
    for seed in (0, 0, 1):
        torch.rand(len(made) + 1)  # whatever was drawn before
        made.append(weights(task(targets=True, seed=seed).nets["discriminator"]))
    assert torch.equal(made[0], made[1]) and not torch.equal(made[0], made[2])


@pytest.mark.parametrize(
    ("size", "paired", "message"),
    [
        ((10, 40), False, r"pictures of 10x40 pixels .* distil\.structure, which needs 11"),
        ((16, 16), True, r"pictures of 16x16 pixels .* distil\.adversarial, which needs 24"),
        ((16, 16), False, None),
        ((16, 1), False, r"pictures of 16x1 pixels .* distil\.structure, which needs 11"),
        ((24, 24), True, None),
    ],
)
def test_crops_that_are_too_small_for_a_loss_are_refused(
    size: tuple[int, int], paired: bool, message: str | None
) -> None:
    if message is None:
        Settings().require_crop(size, real=paired)
        return
    with pytest.raises(BadInputError, match=message):
        Settings().require_crop(size, real=paired)
    Settings(structure=0.0, adversarial=0.0).require_crop(size, real=paired)


def test_the_least_crops_that_are_taken_can_be_trained_on() -> None:
    made = task(targets=True)
    rng = np.random.default_rng(0)
    examples = [Example("a", tuple(rng.integers(0, 256, (2, 24, 24, 3), np.uint8)))] * 2
    made._pool._examples, made._pool._crops = examples, Crops(24, 24, 1, 1.0)
    assert np.isfinite(train(made, 2)[-1]["discriminator"])


def test_convolutions_lie_with_their_channels_last() -> None:
    made = task()
    assert made.student[0].weight.is_contiguous(memory_format=torch.channels_last)


@pytest.mark.parametrize(
    ("weights", "size", "message"),
    [
        ({"haar": 1.0}, (1, 30), r"distil\.haar, which needs 2"),
        ({"relations": 1.0}, (30, 1), r"distil\.relations, which needs 2"),
        ({"discriminator_style": 1.0}, (20, 30), r"distil\.discriminator_style, which needs 24"),
        ({"imitation": 1.0}, (20, 30), r"distil\.imitation, which needs 24"),
    ],
)
def test_every_term_says_what_it_can_look_at(
    weights: dict[str, float], size: tuple[int, int], message: str
) -> None:
    settings = Settings(structure=0.0, **weights)
    with pytest.raises(BadInputError, match=message):
        settings.require_crop(size, real=False)
    settings.require_crop((24, 24), real=False)


def test_a_given_discriminator_says_how_small_pictures_may_be() -> None:
    Settings().require_crop((16, 16), real=True, judged=12)
    with pytest.raises(BadInputError, match=r"distil\.adversarial, which needs 48"):
        Settings().require_crop((32, 32), real=True, judged=48)


def test_the_discriminator_shows_its_layers_for_both_pictures() -> None:
    made = task(targets=True, terms={"discriminator_features": 2.0, "discriminator_style": 3.0})
    batch = made.batch(0)
    terms = made.losses("student", batch, made.forward(batch))
    assert list(terms) == [
        "output", "discriminator_features", "discriminator_style", "targets", "adversarial",
    ]  # fmt: skip
    alike = made.losses("student", batch, (batch.teacher.requires_grad_(),))
    for name in ("discriminator_features", "discriminator_style"):
        assert terms[name].detach() > 0 and alike[name].item() == 0
    alike["discriminator_features"].backward()
    assert all(p.grad is None for p in made.nets["discriminator"].parameters())
    assert terms["discriminator_features"].requires_grad


def test_a_discriminator_may_be_looked_at_without_a_game() -> None:
    net = fresh_discriminator(3, 8, 0)
    adversary = adversary_of(net, PIXELS, real="teacher", weight=0.0, trained=False)
    made = task(adversary=adversary, terms={"discriminator_features": 1.0})
    losses = train(made, 2)[-1]
    assert "discriminator" in losses and "student/discriminator_features" in losses
    assert "student/adversarial" not in losses
