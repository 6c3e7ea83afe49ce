import itertools

import numpy as np
import pytest
import scipy.linalg
from hypothesis import given
from hypothesis import strategies as st

from decig.quality import distributions
from decig.quality.distributions import distance, frechet_distance, kernel_distance


def _kernel(a: np.ndarray, b: np.ndarray) -> float:
    return (float(a @ b) / len(a) + 1) ** 3


def _by_the_equation(x: np.ndarray, y: np.ndarray, pairs: list[tuple[int, int]]) -> float:
    """The equation in the docstring, term by term."""
    within = [
        np.mean([_kernel(a, b) for a, b in itertools.permutations(sample, 2)]) for sample in (x, y)
    ]
    across = [
        _kernel(x[i], y[j])
        for i, j in itertools.product(range(len(x)), range(len(y)))
        if (i, j) not in pairs
    ]
    return float(sum(within) - 2 * np.mean(across))


def _without(sample: np.ndarray, index: int | None) -> np.ndarray:
    return sample if index is None else np.delete(sample, index, axis=0)


def _moved(place: int, removed: int | None) -> int:
    """The place of what stood at `place`, once another one is removed."""
    return place - (removed is not None and place > removed)


@st.composite
def _samples(draw: st.DrawFn) -> tuple[np.ndarray, np.ndarray, list[tuple[int, int]]]:
    m, n, size = draw(st.integers(3, 7)), draw(st.integers(3, 7)), draw(st.integers(1, 5))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    paired = draw(st.integers(0, min(m, n)))
    places = zip(rng.permutation(m)[:paired], rng.permutation(n)[:paired], strict=True)
    pairs = [(int(i), int(j)) for i, j in places]
    return rng.normal(size=(m, size)), rng.normal(0.5, 2, size=(n, size)), pairs


@given(_samples())
def test_the_kernel_distance_is_its_equation(samples):
    x, y, pairs = samples
    assert kernel_distance(x, y, pairs)[0] == pytest.approx(_by_the_equation(x, y, pairs))
    flipped = [(j, i) for i, j in pairs]
    assert kernel_distance(y, x, flipped)[0] == pytest.approx(kernel_distance(x, y, pairs)[0])


@given(_samples())
def test_the_standard_error_is_the_jackknife(samples):
    x, y, pairs = samples
    strata = [
        pairs,
        [(i, None) for i in range(len(x)) if i not in {i for i, _ in pairs}],
        [(None, j) for j in range(len(y)) if j not in {j for _, j in pairs}],
    ]
    variance = 0.0
    for stratum in strata:
        figures = []
        for i, j in stratum:
            rest = [pair for pair in pairs if pair != (i, j)]
            moved = [
                (a - (i is not None and a > i), b - (j is not None and b > j)) for a, b in rest
            ]
            figures.append(_by_the_equation(_without(x, i), _without(y, j), moved))
        if figures:
            variance += (len(figures) - 1) * np.var(figures)
    assert kernel_distance(x, y, pairs)[1] == pytest.approx(np.sqrt(variance), rel=1e-6, abs=1e-9)


def test_a_block_of_rows_at_a_time_gives_the_same(monkeypatch):
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(23, 4)), rng.normal(size=(17, 4))
    whole = kernel_distance(x, y, [(0, 3)])
    monkeypatch.setattr(distributions, "_BLOCK", 5)
    assert kernel_distance(x, y, [(0, 3)]) == pytest.approx(whole)


def test_samples_of_one_distribution_are_0_apart_on_average():
    rng = np.random.default_rng(0)
    found = [
        kernel_distance(rng.normal(size=(20, 6)), rng.normal(size=(30, 6))) for _ in range(400)
    ]
    figures, errors = np.array(found).T
    assert abs(figures.mean()) < 3 * figures.std() / 20
    assert 0.2 < (figures < 0).mean() < 0.8
    # The jackknife overstates the error where the distributions are equal, and not by much.
    assert figures.std() < np.sqrt(np.square(errors).mean()) < 2 * figures.std()


def test_the_standard_error_of_samples_that_differ():
    rng = np.random.default_rng(1)
    found = [
        kernel_distance(rng.normal(size=(60, 6)), rng.normal(0.7, 1, size=(60, 6)))
        for _ in range(300)
    ]
    figures, errors = np.array(found).T
    assert np.sqrt(np.square(errors).mean()) == pytest.approx(figures.std(), rel=0.2)


def test_pairs_of_one_input_do_not_make_it_negative():
    rng = np.random.default_rng(0)
    x = rng.normal(size=(30, 6))
    pairs = [(i, i) for i in range(30)]
    assert kernel_distance(x, x, pairs) == pytest.approx((0, 0), abs=1e-9)
    assert kernel_distance(x, x)[0] < -0.1
    figures = [
        kernel_distance(base, base + 0.1 * rng.normal(size=base.shape), pairs)[0]
        for base in rng.normal(size=(200, 30, 6))
    ]
    # The expected figure of such a small shift is far below the bias that pairs would give.
    assert abs(np.mean(figures)) < 0.05


def test_the_order_of_pictures_does_not_matter():
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(20, 3)), rng.normal(size=(15, 3))
    one, other = distance(x, y), distance(x[rng.permutation(20)], y[rng.permutation(15)])
    assert one.kid == pytest.approx(other.kid)
    assert one.kid_standard_error == pytest.approx(other.kid_standard_error)
    assert one.frechet_distance == pytest.approx(other.frechet_distance)


@pytest.mark.parametrize(("m", "n"), [(40, 50), (6, 50), (40, 6), (5, 7)])
def test_the_frechet_distance_is_its_equation(m, n):
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(m, 8)), rng.normal(0.3, 2, size=(n, 8)) @ rng.normal(size=(8, 8))
    cov_x, cov_y = np.cov(x, rowvar=False), np.cov(y, rowvar=False)
    # The root of C_x C_y has the trace of that of the symmetric root(C_x) C_y root(C_x).
    root_x = scipy.linalg.sqrtm(cov_x + 1e-14 * np.eye(8)).real
    eigenvalues = np.linalg.eigvalsh(root_x @ cov_y @ root_x)
    shared = np.sqrt(np.maximum(eigenvalues, 0)).sum()
    offset = x.mean(axis=0) - y.mean(axis=0)
    expected = offset @ offset + np.trace(cov_x) + np.trace(cov_y) - 2 * shared
    assert frechet_distance(x, y) == pytest.approx(expected, rel=1e-4)


def test_the_frechet_distance_as_published_takes_a_root_of_the_product():
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(60, 5)), rng.normal(0.3, 2, size=(50, 5))
    cov_x, cov_y = np.cov(x, rowvar=False), np.cov(y, rowvar=False)
    offset = x.mean(axis=0) - y.mean(axis=0)
    root = scipy.linalg.sqrtm(cov_x @ cov_y).real
    expected = offset @ offset + np.trace(cov_x + cov_y - 2 * root)
    assert frechet_distance(x, y) == pytest.approx(expected)


def test_the_frechet_distance_of_known_normal_distributions():
    # |mu|^2 + sum (s_i - t_i)^2 for independent features of standard deviations s and t.
    rng = np.random.default_rng(0)
    s, t, mu = np.array([1.0, 2.0, 0.5]), np.array([1.5, 1.0, 0.5]), np.array([0.3, 0.0, -1.0])
    x, y = rng.normal(size=(20000, 3)) * s, rng.normal(size=(20000, 3)) * t + mu
    expected = np.square(mu).sum() + np.square(s - t).sum()
    assert frechet_distance(x, y) == pytest.approx(expected, rel=0.03)


@given(st.integers(0, 2**32 - 1), st.integers(2, 12), st.integers(1, 6))
def test_the_frechet_distance_of_a_sample_to_itself_shifted(seed, count, size):
    rng = np.random.default_rng(seed)
    x, offset = rng.normal(size=(count, size)), rng.normal(size=size)
    assert frechet_distance(x, x) == pytest.approx(0, abs=1e-9)
    assert frechet_distance(x, x + offset) == pytest.approx(np.square(offset).sum(), rel=1e-6)
    turned, _ = np.linalg.qr(rng.normal(size=(size, size)))
    y = rng.normal(size=(5, size))
    assert frechet_distance(x @ turned, y @ turned) == pytest.approx(frechet_distance(x, y))


def test_fewer_pictures_make_the_frechet_distance_larger():
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(2, 400, 10))
    assert frechet_distance(x[:20], y[:20]) > 3 * frechet_distance(x, y)


def test_what_is_not_defined_is_nan():
    x = np.random.default_rng(0).normal(size=(5, 3)).astype(np.float32)
    assert np.isnan(kernel_distance(x, x[:1])[0])
    assert np.isnan(kernel_distance(x[:2], x[:2])[1])
    assert np.isfinite(kernel_distance(x[:2], x[2:4])[0])
    assert np.isnan(frechet_distance(x[:1], x))
    broken = x.copy()
    broken[0, 0] = np.nan
    found = distance(x, broken)
    assert np.isnan([found.kid, found.kid_standard_error, found.frechet_distance]).all()
