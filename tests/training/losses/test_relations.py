import numpy as np
import pytest
import torch

from decig.training.losses.relations import feature_relation_loss, relation_loss
from tests.training.losses.pictures import SIZES, pair, require_sound


def pieces(picture: np.ndarray, rows: int, columns: int) -> list[np.ndarray]:
    height, width = picture.shape[1] // rows, picture.shape[2] // columns
    return [
        picture[:, y * height : (y + 1) * height, x * width : (x + 1) * width].ravel()
        for y in range(rows)
        for x in range(columns)
    ]


def naive(picture: np.ndarray, target: np.ndarray) -> float:
    _, _, height, width = picture.shape
    grids = [(min(32, height), 1), (1, min(32, width)), (min(8, height), min(8, width))]
    kinds = []
    for rows, columns in grids:
        off = []
        for one, other in zip(picture, target, strict=True):
            both = [pieces(each, rows, columns) for each in (one, other)]
            count = len(both[0])
            pairs = [(i, j) for i in range(count) for j in range(i + 1, count)]
            made = [np.array([np.linalg.norm(cut[i] - cut[j]) for i, j in pairs]) for cut in both]
            off.append(made[0] / made[0].mean() - made[1] / made[1].mean())
        size = np.abs(np.concatenate(off))
        kinds.append(np.where(size < 1, size**2 / 2, size - 0.5).mean())
    return float(np.mean(kinds))


@pytest.mark.parametrize("shape", [*SIZES, (1, 2, 70, 40)])
def test_the_loss_is_that_of_numpy(shape: tuple[int, ...]) -> None:
    picture, target = pair(shape)
    wanted = naive(picture.double().numpy(), target.double().numpy())
    # Two strips have one distance, which is its own mean; what is left is rounding.
    assert float(relation_loss(picture, target)) == pytest.approx(wanted, rel=1e-3, abs=1e-7)


def test_it_is_sound() -> None:
    require_sound(relation_loss)


def test_brightness_and_contrast_change_no_relation() -> None:
    picture, other = pair((1, 3, 24, 24))
    assert float(relation_loss(0.5 * picture + 0.2, picture)) == pytest.approx(0, abs=1e-6)
    assert float(relation_loss(other, picture)) > 1e-4


def test_rows_that_change_places_are_noticed() -> None:
    picture = torch.linspace(0, 1, 16).square().reshape(1, 1, 16, 1).repeat(1, 3, 1, 16)
    assert float(relation_loss(picture[:, :, torch.randperm(16)], picture)) > 1e-3


def test_only_inner_values_that_are_maps_have_relations() -> None:
    picture, target = pair((1, 4, 12, 12))
    vectors = [torch.ones(1, 8), torch.ones(1, 8, 1, 1)]
    alone = relation_loss(picture, target)
    both = [[picture, *vectors], [target, *vectors]]
    assert torch.equal(feature_relation_loss(*both), alone)
    assert float(feature_relation_loss(vectors, vectors)) == 0
