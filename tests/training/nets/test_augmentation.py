from collections.abc import Sequence

import numpy as np
import pytest
import torch
from torch import Tensor

from decig.training.nets.augmentation import Augmentation, Kind

KINDS: tuple[Kind, ...] = ("colour", "translation", "cutout")


def _images(channels: int = 3) -> Tensor:
    generator = torch.Generator().manual_seed(channels)
    return torch.rand(2, channels, 32, 40, generator=generator) + 0.5  # nowhere 0


def test_without_kinds_everything_stays() -> None:
    source, picture = _images(4), _images()
    found, (same,) = Augmentation((), 2.0)(source, [picture], 1)
    assert found is source and same is picture


@pytest.mark.parametrize("kinds", [(kind,) for kind in KINDS] + [KINDS])
def test_seed_and_input_say_how_all_its_pictures_change(kinds: tuple[Kind, ...]) -> None:
    source, picture = _images(4), _images()
    change = Augmentation(kinds, 2.0)
    found, (one, other) = change(source, [picture, picture.clone()], 1)
    assert torch.equal(one, other)
    assert not torch.equal(one, picture)
    again, (repeated,) = change(source, [picture], 1)
    assert torch.equal(repeated, one) and torch.equal(again, found)
    assert not torch.equal(change(source, [picture], 2)[1][0], one)
    assert one.shape == picture.shape and found.shape == source.shape
    assert torch.equal(found, source) == (kinds == ("colour",))


@pytest.mark.parametrize("kind", ["translation", "cutout"])
def test_input_and_picture_stay_aligned(kind: Kind) -> None:
    source, picture = _images(4), _images()
    for seed in range(8):
        found, (changed,) = Augmentation((kind,), 2.0)(source, [picture], seed)
        empty = found[:, 0] == 0
        assert torch.equal(changed[:, 0] == 0, empty)
        assert 0 < empty.float().mean() < 0.5


def test_a_move_keeps_what_stays_in_the_picture() -> None:
    picture = _images()
    for seed in range(8):
        _, (moved,) = Augmentation(("translation",), 2.0)(picture, [picture], seed)
        for before, after in zip(picture, moved, strict=True):
            rows, columns = (after[0] != 0).any(1), (after[0] != 0).any(0)
            height, width = int(rows.sum()), int(columns.sum())
            assert height >= 32 - 4 and width >= 40 - 5
            kept = after[:, rows][:, :, columns]
            places = [
                before[:, top : top + height, left : left + width]
                for top in (0, 32 - height)
                for left in (0, 40 - width)
            ]
            assert any(torch.equal(kept, place) for place in places)


def draw_these(
    monkeypatch: pytest.MonkeyPatch,
    colours: Sequence[float] = (0.5, 0.5, 0.5),
    hole: Sequence[float] = (0.5, 0.5),
    move: Sequence[float] = (0.5, 0.5),
) -> None:
    """Draw the same numbers for all pictures: brightness, saturation, contrast; places."""

    def rand(*shape: int, generator: torch.Generator) -> Tensor:
        found = torch.tensor(colours if shape[0] == 3 else (hole, move))
        return found.view(shape[0], 1, -1, *[1] * (len(shape) - 3)).expand(shape)

    monkeypatch.setattr(torch, "rand", rand)


@pytest.mark.parametrize("drawn", [(0, 0, 0), (1, 1, 1), (0.5, 0.5, 0.5), (0.9, 0.3, 0.2)])
def test_colours_change_as_in_the_papers_code(
    monkeypatch: pytest.MonkeyPatch, drawn: tuple[float, float, float]
) -> None:
    """DiffAugment_pytorch.py: rand_brightness, rand_saturation and rand_contrast."""
    picture = 2 * _images() - 2
    wanted = picture.double().numpy()
    brightness, saturation, contrast = drawn
    wanted = wanted + (brightness - 0.5)
    mean = wanted.mean(axis=1, keepdims=True)
    wanted = (wanted - mean) * (saturation * 2) + mean
    mean = wanted.mean(axis=(1, 2, 3), keepdims=True)
    wanted = (wanted - mean) * (contrast + 0.5) + mean
    draw_these(monkeypatch, colours=drawn)
    _, (changed,) = Augmentation(("colour",), 2.0)(picture, [picture], 0)
    np.testing.assert_allclose(changed.numpy(), wanted, rtol=0, atol=1e-5)


@pytest.mark.parametrize(
    ("place", "rows", "columns"),
    [
        ((0.5, 0.5), slice(8, 24), slice(10, 30)),
        ((0, 0), slice(8), slice(10)),
        ((1, 0.5), slice(24, 32), slice(10, 30)),
    ],
)
def test_a_hole_is_half_as_long_and_wide_as_the_picture(
    monkeypatch: pytest.MonkeyPatch, place: tuple[float, float], rows: slice, columns: slice
) -> None:
    picture = _images()
    draw_these(monkeypatch, hole=place)
    _, (changed,) = Augmentation(("cutout",), 2.0)(picture, [picture], 0)
    wanted = picture.clone()
    wanted[..., rows, columns] = 0
    assert torch.equal(changed, wanted)


@pytest.mark.parametrize("down", [0.0, 1.0])
@pytest.mark.parametrize("right", [0.0, 1.0])
def test_a_move_goes_an_eighth_of_a_side_at_most(
    monkeypatch: pytest.MonkeyPatch, down: float, right: float
) -> None:
    picture = _images()
    draw_these(monkeypatch, move=(down, right))
    _, (moved,) = Augmentation(("translation",), 2.0)(picture, [picture], 0)
    wanted = torch.roll(picture, (4 if down else -4, 5 if right else -5), (2, 3))
    wanted[..., slice(4) if down else slice(28, 32), :] = 0
    wanted[..., slice(5) if right else slice(35, 40)] = 0
    assert torch.equal(moved, wanted)


def test_moves_reach_both_ends() -> None:
    picture, change = _images(), Augmentation(("translation",), 2.0)
    free = []
    for seed in range(64):
        _, (moved,) = change(picture, [picture], seed)
        for shown in (moved[:, 0] != 0).numpy():
            rows, columns = np.flatnonzero(shown.any(axis=1)), np.flatnonzero(shown.any(axis=0))
            free.append([rows[0], 31 - rows[-1], columns[0], 39 - columns[-1]])
    assert np.max(free, axis=0).tolist() == [4, 4, 5, 5]


@pytest.mark.parametrize("span", [2.0, 255.0])
def test_colours_change_in_proportion_to_the_range(span: float) -> None:
    picture = _images() * span / 2
    _, (changed,) = Augmentation(("colour",), span)(picture, [picture], 3)
    _, (unit,) = Augmentation(("colour",), 2.0)(picture, [picture * 2 / span], 3)
    assert torch.allclose(changed, unit * span / 2, rtol=1e-4)
    moved = (changed.mean((1, 2, 3)) - picture.mean((1, 2, 3))).abs()
    assert (moved <= 0.25 * span).all() and (moved > 0).all()


def test_the_gradient_runs_through_the_change() -> None:
    picture = _images().requires_grad_()
    _, (changed,) = Augmentation(KINDS, 2.0)(_images(4), [picture], 5)
    changed.square().sum().backward()
    assert picture.grad is not None and bool((picture.grad != 0).any())
