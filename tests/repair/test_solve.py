import numpy as np
import pytest
from onnx import helper

from decig.repair import solve
from decig.repair.solve import (
    ByFeatures,
    ByRows,
    Regression,
    as_matrix,
    features,
    from_matrix,
    regression,
)

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
    problem = regression(source, np.zeros_like(weights), centre=centre)
    fit = problem.fit(target, [1e-9])
    assert fit.matrix == pytest.approx(weights, abs=1e-3)
    centred = target - target.mean(axis=centre, keepdims=True)
    assert fit.given == pytest.approx(centred, abs=1e-2)


def test_without_an_offset_nothing_is_centred() -> None:
    source = RNG.normal(1.0, 1.0, size=(2, 100, 3)).astype(np.float32)
    weights = np.float32([[1.0], [-2.0], [0.5]])
    problem = regression(source.copy(), np.zeros_like(weights))
    assert problem.fit(source @ weights, [1e-9]).matrix == pytest.approx(weights, abs=1e-3)


def test_positions_of_weight_zero_do_not_count() -> None:
    source, weights, target = data(())
    target = source @ weights
    target[:, :50] = 100.0
    weight = np.ones((4, 200, 1), np.float32)
    weight[:, :50] = 0.0
    problem = regression(source, np.zeros_like(weights), weight=np.maximum(weight, 1e-12))
    assert problem.fit(target, [1e-9]).matrix == pytest.approx(weights, abs=1e-2)


def test_a_strong_ridge_stays_with_the_weights_that_are_there() -> None:
    source, weights, target = data((1,))
    before = RNG.normal(size=weights.shape).astype(np.float32)
    found = regression(source, before, centre=(1,)).fit(target, [1e6]).matrix
    assert found == pytest.approx(before, abs=1e-3)


def test_inputs_that_never_move_keep_their_weights() -> None:
    source, weights, target = data((1,))
    source[:, :, 3] = 1.0
    before = np.ones_like(weights)
    found = regression(source, before, centre=(1,)).fit(target, [1e-6]).matrix
    assert np.isfinite(found).all()
    assert found[3] == pytest.approx(before[3], abs=1e-3)


def test_the_ridge_is_weak_for_a_linear_target_and_strong_for_noise() -> None:
    source, weights, target = data((1,))
    linear = regression(source.copy(), np.zeros_like(weights), centre=(1,))
    assert linear.fit(target, (1e-6, 1e-1, 1e3)).ridge == 1e-6
    noise = RNG.normal(size=target.shape).astype(np.float32)
    alone = regression(source.copy(), np.zeros_like(weights), centre=(1,))
    assert alone.fit(noise, (1e-6, 1e-1, 1e3)).ridge == 1e3


def test_one_image_leaves_nothing_to_hold_out() -> None:
    source, weights, target = data((1,))
    single = regression(source[:1], np.zeros_like(weights), centre=(1,))
    assert single.fit(target[:1], (1e-6, 0.1)).ridge == 0.1


def test_inputs_that_repeat_each_other_can_be_solved() -> None:
    labels = RNG.integers(0, 8, (4, 500))
    hot = np.eye(8, dtype=np.float32)[labels].repeat(40, axis=-1)  # as a label map's taps are
    weights = RNG.normal(size=(320, 2)).astype(np.float32)
    target = hot @ weights
    problem = regression(hot, np.zeros_like(weights))
    assert problem.fit(target, [1e-12]).given == pytest.approx(target, abs=1e-2)


@pytest.mark.parametrize("centre", [(), *CENTRES])
@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("features", [12, 90])
def test_both_ways_find_the_same_weights(
    centre: tuple[int, ...], weighted: bool, features: int
) -> None:
    source = RNG.normal(0.5, 1.0, size=(4, 10, features)).astype(np.float32)
    before = RNG.normal(size=(features, 3)).astype(np.float32)
    target = source @ before + RNG.normal(size=(4, 10, 3)).astype(np.float32)
    weight = RNG.uniform(0.1, 2.0, size=(4, 10, 1)) if weighted else None
    features_first, rows_first = (
        kind(source.copy(), before, centre=centre, weight=weight) for kind in (ByFeatures, ByRows)
    )
    for ridge in (0.01, 0.1, 1.0):  # smaller ones enlarge the rounding of X'X
        expected = features_first.fit(target, [ridge])
        found = rows_first.fit(target, [ridge])
        assert found.matrix == pytest.approx(expected.matrix, abs=1e-3)
        assert found.given == pytest.approx(expected.given, abs=1e-3)
    ridges = (0.01, 0.1, 1.0)
    assert rows_first.fit(target, ridges).ridge == features_first.fit(target, ridges).ridge


@pytest.mark.parametrize("centre", [(), *CENTRES])
@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize(
    ("kind", "ridge"), [(ByRows, 1e-6), (ByRows, 0.01), (ByFeatures, 0.01), (ByFeatures, 1.0)]
)
def test_weights_are_those_of_the_equation_in_double_precision(
    kind: type[Regression], ridge: float, weighted: bool, centre: tuple[int, ...]
) -> None:
    source = RNG.normal(0.5, size=(2, 10, 40))
    before, target = RNG.normal(size=(40, 3)), RNG.normal(2.0, size=(2, 10, 3))
    weight = RNG.uniform(0.1, 2.0, size=(2, 10, 1)) if weighted else np.ones((2, 10, 1))
    single = [array.astype(np.float32) for array in (source, before, target)]
    problem = kind(single[0].copy(), single[1], centre=centre, weight=weight if weighted else None)
    fit = problem.fit(single[2], [ridge])
    # All positions count alike for the means, whatever their weight.
    if centre:
        source = source - source.mean(centre, keepdims=True)
        target = target - target.mean(centre, keepdims=True)
    rows, w = source.reshape(20, 40), (weight / weight.mean()).reshape(20, 1)
    strength = ridge * (w * rows**2).sum() / 40
    moment = rows.T @ (w * (target.reshape(20, 3) - rows @ before))
    exact = before + np.linalg.solve(rows.T @ (w * rows) + strength * np.eye(40), moment)
    assert fit.matrix == pytest.approx(exact, abs=2e-4)
    assert fit.given == pytest.approx(source @ exact, abs=2e-4)


def test_the_way_with_fewer_equations_is_taken() -> None:
    source = RNG.normal(size=(2, 10, 21)).astype(np.float32)
    assert isinstance(regression(source, np.zeros((21, 1))), ByRows)
    assert isinstance(regression(source[:, :, :20], np.zeros((20, 1))), ByFeatures)


def test_a_factor_is_made_once_for_a_ridge(monkeypatch: pytest.MonkeyPatch) -> None:
    source, weights, target = data((1,))
    problem, made = regression(source, np.zeros_like(weights), centre=(1,)), []
    monkeypatch.setattr(
        solve,
        "cho_factor",
        lambda a, _old=solve.cho_factor, **k: made.append(len(a)) or _old(a, **k),
    )
    first = problem.fit(target, [0.1]).matrix
    assert (problem.fit(target, [0.1]).matrix == first).all() and made == [6]
    assert (problem.fit(target, [0.2]).matrix != first).any() and made == [6, 6]


@pytest.mark.parametrize("turned", [0, 1])
def test_the_matrix_of_a_gemm_has_a_row_for_every_input(turned: int) -> None:
    node = helper.make_node("Gemm", ["x", "w"], ["y"], transB=turned)
    weight = RNG.normal(size=(3, 5)).astype(np.float32)
    inputs = 5 if turned else 3
    assert features(node, weight.shape) == len(as_matrix(node, weight)) == inputs
    assert np.array_equal(from_matrix(node, as_matrix(node, weight), weight), weight)
