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
