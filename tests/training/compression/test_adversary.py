import copy
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from decig.data.pixels import PixelFormat
from decig.errors import BadInputError
from decig.training.compression.adversary import (
    Adversary,
    adversary_of,
    fresh_discriminator,
    game_of,
    trained_discriminator,
    width_for,
)
from decig.training.data.pool import Batch
from decig.training.nets.multiscale import MultiscaleDiscriminator
from decig.training.nets.patch_gan import PatchDiscriminator

PIXELS = PixelFormat((-1.0, 1.0), (0.0, 1.0))
SIGNED = PixelFormat((0.0, 1.0), (-1.0, 1.0))


def batch(channels: int = 3) -> Batch:
    draw = torch.Generator().manual_seed(0)
    source = 2 * torch.rand(2, channels, 32, 32, generator=draw) - 1
    teacher, target, real = (torch.rand(2, 3, 32, 32, generator=draw) for _ in range(3))
    return Batch((source,), source, teacher, target, real)


def fresh(real: Any = "target", inputs: int = 3, seed: int = 0) -> Adversary:
    net = fresh_discriminator(inputs, 4, seed)
    return adversary_of(net, PIXELS, real=real, weight=0.5, trained=False)


def of_scales() -> Adversary:
    torch.manual_seed(0)
    net = MultiscaleDiscriminator(6, 4, layers=3)
    return adversary_of(net, PIXELS, real="target", weight=0.5, trained=True)


MADE = {
    "targets": lambda: fresh(),
    "teacher": lambda: fresh("teacher"),
    "domain": lambda: fresh("real", 0),
    "several scales": of_scales,
}


@pytest.mark.parametrize("kind", MADE)
def test_the_student_is_driven_and_the_discriminator_is_not_changed(kind: str) -> None:
    made, seen = MADE[kind](), batch()
    before = copy.deepcopy(made.net.state_dict())
    picture = torch.rand(2, 3, 32, 32).requires_grad_()
    made.student_loss(made.judge(seen, picture)).backward()
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
    made, seen = fresh(), batch()
    assert made.game == "cross-entropy"
    picture = torch.rand(2, 3, 32, 32)
    with torch.no_grad():
        source = (seen.source + 1) / 2  # the input scaled to 0..1
        logits = made.net(source, picture)
        found = made.student_loss(made.judge(seen, picture))
        wanted = torch.nn.functional.softplus(-logits).mean()
        assert float(found) == pytest.approx(float(wanted), rel=1e-5)
        real = torch.nn.functional.softplus(-made.net(source, seen.target)).mean()
        fake = torch.nn.functional.softplus(logits).mean()
        assert float(made.loss(seen, picture)) == pytest.approx(float((real + fake) / 2), rel=1e-5)


def test_pictures_of_a_domain_are_judged_alone_in_least_squares() -> None:
    made, seen = MADE["domain"](), batch()
    assert made.game == "least-squares"
    picture = torch.rand(2, 3, 32, 32)
    with torch.no_grad():
        wanted = (made.net(picture) - 1).square().mean()
        found = made.student_loss(made.judge(seen, picture))
        assert float(found) == pytest.approx(float(wanted))
        other = replace(seen, source=-seen.source, target=None, teacher=seen.real)
        assert torch.equal(made.loss(seen, picture), made.loss(other, picture))


@pytest.mark.parametrize("layout", ["nchw", "nhwc"])
def test_a_trained_one_is_shown_the_ranges_of_its_model(layout: str) -> None:
    pixels = replace(SIGNED, layout=layout)
    net = fresh_discriminator(3, 4, 0)
    made = adversary_of(net, pixels, real="target", weight=1.0, trained=True)
    seen, picture = batch(), torch.rand(2, 3, 32, 32)
    source = seen.source
    given = source.permute(0, 2, 3, 1) if layout == "nhwc" else source
    with torch.no_grad():
        judged = made.judge(replace(seen, source=given), picture)
        assert torch.equal(judged[0][-1], net(source, 2 * picture - 1))


def test_a_label_map_is_shown_as_it_is_fed() -> None:
    net = fresh_discriminator(5, 4, 0)
    made = adversary_of(net, SIGNED, real="teacher", weight=1.0, trained=True)
    seen, picture = batch(channels=5), torch.rand(2, 3, 32, 32)
    with torch.no_grad():
        assert torch.equal(made.judge(seen, picture)[0][-1], net(seen.source, 2 * picture - 1))


def test_a_model_without_an_image_is_judged_by_its_picture_alone() -> None:
    made = fresh("teacher", inputs=0)
    seen = replace(batch(), source=None)
    assert torch.isfinite(made.loss(seen, torch.rand(2, 3, 32, 32)).detach())


def test_the_game_may_be_chosen() -> None:
    net, seen, picture = fresh_discriminator(3, 4, 0), batch(), torch.rand(2, 3, 32, 32)
    made = adversary_of(net, PIXELS, real="target", weight=1.0, trained=False, game="hinge")
    with torch.no_grad():
        judged = made.judge(seen, picture)
        assert float(made.student_loss(judged)) == pytest.approx(-float(judged[0][-1].mean()))


def test_the_first_weights_follow_from_the_seed() -> None:
    found = [next(iter(fresh(seed=seed).net.parameters())) for seed in (0, 0, 1)]
    assert torch.equal(found[0], found[1]) and not torch.equal(found[0], found[2])


@pytest.mark.parametrize(
    ("student", "teacher", "width"),
    [([64, 64], [64, 64], 64), ([16, 16], [64, 64], 16), ([1], [64], 8), ([], [], 8)],
)
def test_the_discriminator_is_as_narrow_as_the_student(
    student: list[int], teacher: list[int], width: int
) -> None:
    assert width_for(student, teacher) == width


SAVED = {
    "pix2pix": (lambda: PatchDiscriminator(6, 8, norm="batch"), "cross-entropy"),
    "cyclegan": (lambda: PatchDiscriminator(3, 4, norm="instance"), "least-squares"),
    "spade": (lambda: MultiscaleDiscriminator(6, 4), "hinge"),
}


@pytest.mark.parametrize("name", SAVED)
def test_a_trained_one_goes_on_from_its_file_in_its_own_game(tmp_path: Path, name: str) -> None:
    make, game = SAVED[name]
    torch.manual_seed(0)
    net = make()
    torch.save(net.state_dict(), tmp_path / "D.pth")
    found = trained_discriminator(tmp_path / "D.pth", 3, "target")
    assert type(found) is type(net) and game_of(found) == game
    weights = [p for p in found.parameters() if p.ndim > 1]
    assert len(weights) == len([p for p in net.parameters() if p.ndim > 1])
    seen, picture = batch(), torch.rand(2, 3, 32, 32)
    made = adversary_of(found, PIXELS, real="target", weight=1.0, trained=True)
    before = made.net.judge(*made.view(seen, picture))[0][0]
    if name != "spade":  # its layers are divided by their norm anew
        torch.testing.assert_close(before, net.judge(*made.view(seen, picture))[0][0])
    made.loss(seen, picture).backward()
    assert all(p.grad is not None and p.grad.isfinite().all() for p in found.parameters())


def test_one_of_several_scales_is_under_spectral_norm_again(tmp_path: Path) -> None:
    torch.save(MultiscaleDiscriminator(6, 4).state_dict(), tmp_path / "D.pth")
    net = trained_discriminator(tmp_path / "D.pth", 3, "target")
    normed = [n for n, part in net.named_modules() if hasattr(part, "parametrizations")]
    assert sorted(normed) == [f"discriminator_{k}.model{n}.0.0" for k in (0, 1) for n in (1, 2, 3)]
    torch.rand(3)  # whatever was drawn before, the same seed begins the same
    again = trained_discriminator(tmp_path / "D.pth", 3, "target").state_dict()
    assert all(torch.equal(value, again[name]) for name, value in net.state_dict().items())


@pytest.mark.parametrize(
    ("channels", "inputs", "real", "message"),
    [
        (7, 3, "target", r"judges 7 channels; .* one of 3 \(the picture alone\) or 6 \(beside"),
        (6, 0, "teacher", r"judges 6 channels; .* one of 3 \(the picture alone\)$"),
        (6, 3, "real", r".* beside their input \(6 channels\), and unpaired pictures belong to no"),
        (6, 4, "real", r"judges 6 channels; .* one of 3 \(the picture alone\)$"),
        (6, 3, "teacher", None),
        (3, 3, "target", None),
        (3, 0, "teacher", None),
    ],
)
def test_one_that_does_not_fit_the_model_is_refused(
    tmp_path: Path, channels: int, inputs: int, real: Any, message: str | None
) -> None:
    torch.save(PatchDiscriminator(channels, 4).state_dict(), tmp_path / "D.pth")
    if message is None:
        assert trained_discriminator(tmp_path / "D.pth", inputs, real).channels == channels
        return
    with pytest.raises(BadInputError, match=rf"D\.pth: this discriminator {message}"):
        trained_discriminator(tmp_path / "D.pth", inputs, real)
