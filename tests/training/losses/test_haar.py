import numpy as np
import pytest
import torch

from decig.training.losses.haar import haar_bands, haar_loss
from tests.training.losses.pictures import SIZES, pair, require_sound


def bands(picture: np.ndarray) -> tuple[np.ndarray, list[np.ndarray]]:
    """One level by the filters of the Haar wavelets, window by window."""
    height, width = picture.shape
    padded = np.pad(picture, ((0, height % 2), (0, width % 2)), mode="edge")
    filters = [[[1, 1], [1, 1]], [[1, -1], [1, -1]], [[1, 1], [-1, -1]], [[1, -1], [-1, 1]]]
    rows, columns = padded.shape[0] // 2, padded.shape[1] // 2
    made = np.zeros((4, rows, columns))
    for row in range(rows):
        for column in range(columns):
            window = padded[2 * row : 2 * row + 2, 2 * column : 2 * column + 2]
            for place, weights in enumerate(filters):
                made[place, row, column] = (window * np.array(weights)).sum() / 2
    return made[0], list(made[1:])


def naive(difference: np.ndarray) -> float:
    total = 0.0
    channels = list(difference.reshape(-1, *difference.shape[2:]))
    for _ in range(3):
        if min(channels[0].shape) < 2:
            break
        found = [bands(channel) for channel in channels]
        total += np.mean([np.abs(high) for _, highs in found for high in highs])
        channels = [low for low, _ in found]
    return total


@pytest.mark.parametrize("shape", SIZES)
def test_the_loss_is_that_of_numpy(shape: tuple[int, ...]) -> None:
    picture, target = pair(shape)
    wanted = naive((picture - target).double().numpy())
    assert float(haar_loss(picture, target)) == pytest.approx(wanted, rel=1e-5)


def test_it_is_sound() -> None:
    require_sound(haar_loss)


def test_only_details_count() -> None:
    picture = pair((1, 3, 16, 16))[0]
    assert float(haar_loss(picture + 0.25, picture)) == pytest.approx(0, abs=1e-6)
    stripes = torch.zeros(1, 1, 16, 16)
    stripes[:, :, ::2] = 1
    low, high = haar_bands(stripes)
    assert low.eq(1).all() and high[:, 1].eq(1).all() and not high[:, [0, 2]].any()


def test_the_transform_keeps_the_energy() -> None:
    picture = pair((2, 3, 8, 12))[0]
    low, high = haar_bands(picture)
    energy = float(low.square().sum() + high.square().sum())
    assert energy == pytest.approx(float(picture.square().sum()), rel=1e-5)
