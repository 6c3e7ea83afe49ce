import numpy as np
import pytest

from decig.repair.solve import Regression

RNG = np.random.default_rng(0)


def data(by_image: bool) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    source = RNG.normal(size=(3, 200, 6)).astype(np.float32)
    weights = RNG.normal(size=(6, 2)).astype(np.float32)
    shift = RNG.normal(size=(3 if by_image else 1, 1, 2)).astype(np.float32)
    return source, weights, source @ weights + shift


@pytest.mark.parametrize("by_image", [True, False])
def test_finds_the_weights_behind_a_linear_target_whatever_its_mean(by_image: bool) -> None:
    source, weights, target = data(by_image)
    found = Regression(source, np.zeros_like(weights), 1e-9, by_image).fit(target)
    assert found == pytest.approx(weights, abs=1e-3)


def test_a_strong_ridge_stays_with_the_weights_that_are_there() -> None:
    source, weights, target = data(True)
    before = RNG.normal(size=weights.shape).astype(np.float32)
    assert Regression(source, before, 1e6, True).fit(target) == pytest.approx(before, abs=1e-3)


def test_inputs_that_never_move_keep_their_weights() -> None:
    source, weights, target = data(True)
    source[:, :, 3] = 1.0
    before = np.ones_like(weights)
    found = Regression(source, before, 1e-6, True).fit(target)
    assert np.isfinite(found).all()
    assert found[3] == pytest.approx(before[3], abs=1e-3)
