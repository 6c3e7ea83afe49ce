import copy
from dataclasses import replace
from operator import attrgetter
from pathlib import Path

import numpy as np
import pytest
import torch

from decig.data.gallery import Gallery
from decig.data.images import read_image
from decig.data.pixels import PixelFormat
from decig.train.adversary import (
    Adversary,
    RealPictures,
    against_domain,
    against_pairs,
    width_for,
)
from decig.train.pool import Batch, Crops
from tests.samples import write_photos

PIXELS = PixelFormat((-1.0, 1.0), (0.0, 1.0))


def batch() -> Batch:
    draw = torch.Generator().manual_seed(0)
    source, teacher, target, real = (torch.rand(2, 3, 32, 32, generator=draw) for _ in range(4))
    return Batch((2 * source - 1,), 2 * source - 1, teacher, target, real)


def pairs(real: str = "target", weight: float = 0.5, seed: int = 0) -> Adversary:
    return against_pairs(attrgetter(real), PIXELS, inputs=3, width=4, weight=weight, seed=seed)


MADE = {
    "targets": lambda: pairs(),
    "teacher": lambda: pairs("teacher"),
    "domain": lambda: against_domain(width=4, weight=0.5, seed=0),
}


@pytest.mark.parametrize("kind", MADE)
def test_the_student_is_driven_and_the_discriminator_is_not_changed(kind: str) -> None:
    made, seen = MADE[kind](), batch()
    before = copy.deepcopy(made.net.state_dict())
    picture = torch.rand(2, 3, 32, 32).requires_grad_()
    made.student_loss(seen, picture).backward()
    assert picture.grad is not None and picture.grad.abs().sum() > 0
    assert all(parameter.grad is None for parameter in made.net.parameters())
    assert all(torch.equal(value, before[name]) for name, value in made.net.state_dict().items())


@pytest.mark.parametrize("kind", MADE)
def test_the_discriminator_learns_and_the_student_is_left_alone(kind: str) -> None:
    made, seen = MADE[kind](), batch()
    picture = torch.rand(2, 3, 32, 32).requires_grad_()
    made.loss(seen, picture).backward()
    assert picture.grad is None
    assert all(parameter.grad is not None for parameter in made.net.parameters())


def test_pairs_are_judged_beside_their_input_by_cross_entropy() -> None:
    made, seen = pairs(), batch()
    picture = torch.rand(2, 3, 32, 32)
    with torch.no_grad():
        source = (seen.source + 1) / 2  # the input scaled to 0..1
        logits = made.net(source, picture)
        wanted = torch.nn.functional.softplus(-logits).mean()
        assert float(made.student_loss(seen, picture)) == pytest.approx(float(wanted), rel=1e-5)
        real = torch.nn.functional.softplus(-made.net(source, seen.target)).mean()
        fake = torch.nn.functional.softplus(logits).mean()
        assert float(made.loss(seen, picture)) == pytest.approx(float((real + fake) / 2), rel=1e-5)


def test_pictures_of_a_domain_are_judged_alone_in_least_squares() -> None:
    made, seen = MADE["domain"](), batch()
    picture = torch.rand(2, 3, 32, 32)
    with torch.no_grad():
        wanted = (made.net(picture) - 1).square().mean()
        assert float(made.student_loss(seen, picture)) == pytest.approx(float(wanted))
        other = replace(seen, source=-seen.source, target=None, teacher=seen.real)
        assert torch.equal(made.loss(seen, picture), made.loss(other, picture))


def test_a_model_without_an_image_is_judged_by_its_picture_alone() -> None:
    made = against_pairs(attrgetter("teacher"), PIXELS, inputs=0, width=4, weight=1.0, seed=0)
    seen = replace(batch(), source=None)
    assert torch.isfinite(made.loss(seen, torch.rand(2, 3, 32, 32)).detach())


def test_the_first_weights_follow_from_the_seed() -> None:
    found = [next(iter(pairs(seed=seed).net.parameters())) for seed in (0, 0, 1)]
    assert torch.equal(found[0], found[1]) and not torch.equal(found[0], found[2])


@pytest.mark.parametrize(
    ("student", "teacher", "width"),
    [([64, 64], [64, 64], 64), ([16, 16], [64, 64], 16), ([1], [64], 8), ([], [], 8)],
)
def test_the_discriminator_is_as_narrow_as_the_student(
    student: list[int], teacher: list[int], width: int
) -> None:
    assert width_for(student, teacher) == width


def pictures(folder: Path, order: str = "rgb", seed: int = 0, rank: int = 0) -> RealPictures:
    gallery = Gallery(write_photos(folder, 4, 50, 60))
    pixels = PixelFormat((0.0, 1.0), (0.0, 1.0), channel_order=order)
    return RealPictures(gallery, Crops(32, 24, 3, 1.2), pixels, seed=seed, rank=rank)


def test_real_pictures_follow_from_seed_step_and_rank(tmp_path: Path) -> None:
    first = pictures(tmp_path).batch(5)
    assert first.shape == (3, 3, 32, 24) and 0 <= first.min() < first.max() <= 1
    assert torch.equal(first, pictures(tmp_path).batch(5))
    for other in (
        pictures(tmp_path).batch(6),
        pictures(tmp_path, seed=1).batch(5),
        pictures(tmp_path, rank=1).batch(5),
    ):
        assert not torch.equal(first, other)


def test_real_pictures_have_the_channel_order_of_the_model(tmp_path: Path) -> None:
    rgb, bgr = (pictures(tmp_path, order).batch(0) for order in ("rgb", "bgr"))
    assert torch.equal(rgb, bgr.flip(1)) and not torch.equal(rgb, bgr)


def test_small_pictures_are_enlarged_to_a_crop(tmp_path: Path) -> None:
    gallery = Gallery(write_photos(tmp_path, 2, 12, 16))
    made = RealPictures(gallery, Crops(32, 32, 1, 1.0), PIXELS, seed=0)
    found = made.batch(0)
    assert found.shape == (1, 3, 32, 32)
    mean = np.mean([read_image(file).mean() for file in sorted(tmp_path.iterdir())]) / 255
    assert float(found.mean()) == pytest.approx(mean, abs=0.2)
