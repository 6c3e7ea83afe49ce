import numpy as np
import pytest
import torch

from decig.training.losses.gram import gram, style_loss
from tests.training.losses.pictures import SIZES, pair, require_sound


def naive_gram(features: np.ndarray) -> np.ndarray:
    count, channels, height, width = features.shape
    made = np.zeros((count, channels, channels))
    for n in range(count):
        for i in range(channels):
            for j in range(channels):
                made[n, i, j] = (features[n, i] * features[n, j]).sum()
    return made / (channels * height * width)


@pytest.mark.parametrize("shape", SIZES)
def test_the_loss_is_that_of_numpy(shape: tuple[int, ...]) -> None:
    fake, real = pair(shape)
    small = pair((shape[0], 5, 3, 4))
    layers = [[fake, small[0]], [real, small[1]]]
    by_layer = [
        np.abs(naive_gram(f.double().numpy()) - naive_gram(r.double().numpy())).mean()
        for f, r in zip(*layers, strict=True)
    ]
    # The first scale has two layers, the second one.
    wanted = (by_layer[0] + by_layer[1] + by_layer[1]) / 2
    found = style_loss([layers[0], [small[0]]], [layers[1], [small[1]]])
    assert float(found) == pytest.approx(wanted, rel=1e-4)


def test_it_is_sound() -> None:
    require_sound(lambda picture, target: style_loss([[picture]], [[target]]))


def test_places_do_not_count() -> None:
    features = pair((1, 4, 6, 6))[0]
    moved = features.flatten(2)[:, :, torch.randperm(36)].reshape(1, 4, 6, 6)
    torch.testing.assert_close(gram(moved), gram(features))
