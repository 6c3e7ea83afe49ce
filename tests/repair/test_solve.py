import numpy as np
import pytest

from decig.repair.solve import Regression

RNG = np.random.default_rng(0)
CENTRES = [(1,), (0, 1)]


def data(centre: tuple[int, ...]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    source = RNG.normal(size=(4, 200, 6)).astype(np.float32)
    weights = RNG.normal(size=(6, 2)).astype(np.float32)
    shift = RNG.normal(size=(4 if centre == (1,) else 1, 1, 2)).astype(np.float32)
    return source, weights, source @ weights + shift


@pytest.mark.parametrize("centre", CENTRES)
def test_finds_the_weights_behind_a_linear_target_whatever_its_mean(
    centre: tuple[int, ...],
) -> None:
    source, weights, target = data(centre)
    problem = Regression(source, np.zeros_like(weights), centre=centre)
    found = problem.fit(target, 1e-9)
    assert found == pytest.approx(weights, abs=1e-3)
    centred = target - target.mean(axis=centre, keepdims=True)
    assert problem.given(found) == pytest.approx(centred, abs=1e-2)


def test_without_an_offset_nothing_is_centred() -> None:
    source = RNG.normal(1.0, 1.0, size=(2, 100, 3)).astype(np.float32)
    weights = np.float32([[1.0], [-2.0], [0.5]])
    problem = Regression(source.copy(), np.zeros_like(weights))
    assert problem.fit(source @ weights, 1e-9) == pytest.approx(weights, abs=1e-3)


def test_positions_of_weight_zero_do_not_count() -> None:
    source, weights, target = data(())
    target = source @ weights
    target[:, :50] = 100.0
    weight = np.ones((4, 200, 1), np.float32)
    weight[:, :50] = 0.0
    problem = Regression(source, np.zeros_like(weights), weight=np.maximum(weight, 1e-12))
    assert problem.fit(target, 1e-9) == pytest.approx(weights, abs=1e-2)


def test_a_strong_ridge_stays_with_the_weights_that_are_there() -> None:
    source, weights, target = data((1,))
    before = RNG.normal(size=weights.shape).astype(np.float32)
    found = Regression(source, before, centre=(1,)).fit(target, 1e6)
    assert found == pytest.approx(before, abs=1e-3)


def test_inputs_that_never_move_keep_their_weights() -> None:
    source, weights, target = data((1,))
    source[:, :, 3] = 1.0
    before = np.ones_like(weights)
    found = Regression(source, before, centre=(1,)).fit(target, 1e-6)
    assert np.isfinite(found).all()
    assert found[3] == pytest.approx(before[3], abs=1e-3)


def test_the_ridge_is_weak_for_a_linear_target_and_strong_for_noise() -> None:
    source, weights, target = data((1,))
    linear = Regression(source.copy(), np.zeros_like(weights), centre=(1,))
    assert linear.best_ridge(target, (1e-6, 1e-1, 1e3)) == 1e-6
    noise = RNG.normal(size=target.shape).astype(np.float32)
    alone = Regression(source.copy(), np.zeros_like(weights), centre=(1,))
    assert alone.best_ridge(noise, (1e-6, 1e-1, 1e3)) == 1e3


def test_one_image_leaves_nothing_to_hold_out() -> None:
    source, weights, target = data((1,))
    single = Regression(source[:1], np.zeros_like(weights), centre=(1,))
    assert single.best_ridge(target[:1], (1e-6, 0.1)) == 0.1


def test_inputs_that_repeat_each_other_can_be_solved() -> None:
    labels = RNG.integers(0, 8, (4, 500))
    hot = np.eye(8, dtype=np.float32)[labels].repeat(40, axis=-1)  # as a label map's taps are
    weights = RNG.normal(size=(320, 2)).astype(np.float32)
    target = hot @ weights
    problem = Regression(hot, np.zeros_like(weights))
    assert problem.given(problem.fit(target, 1e-12)) == pytest.approx(target, abs=1e-2)
