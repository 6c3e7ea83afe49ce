import numpy as np
import pytest

from decig.graph.flow import Read
from decig.repair.elimination import Elimination
from decig.repair.readers import Reader

RNG = np.random.default_rng(3)
SAMPLES = RNG.normal(size=(4000, 6)) @ RNG.normal(size=(6, 6)) + RNG.normal(size=6)
ALL = np.arange(6)


def reader(labels: np.ndarray = ALL, outputs: int = 5) -> Reader:
    weights = np.random.default_rng(4).normal(size=(6, outputs))
    inverse = np.linalg.inv(np.cov(SAMPLES, rowvar=False, ddof=0))
    read = Read("conv", "x", 0, np.arange(6).reshape(1, 6, 1, 1))
    return Reader(read, -3, labels, SAMPLES.mean(0), inverse, weights @ weights.T)


def unexplained(view: Reader, kept: list[int]) -> float:
    """Energy of the reader's outputs that the kept channels cannot give, by least squares."""
    centred = SAMPLES - SAMPLES.mean(0)
    solution = np.linalg.lstsq(centred[:, kept], centred, rcond=None)[0]
    rest = centred - centred[:, kept] @ solution
    return float((view.product * np.cov(rest, rowvar=False, ddof=0)).sum())


@pytest.mark.parametrize("outputs", [2, 5, 40])
def test_the_price_of_a_channel_is_what_least_squares_cannot_give_back(outputs: int) -> None:
    view = reader(outputs=outputs)
    going = Elimination(view, ALL)
    paid, left = 0.0, list(range(6))
    for channel in (4, 1, 5, 0, 2):
        price = going.price()
        for other in left:
            kept = [c for c in left if c != other]
            assert paid + price[other] == pytest.approx(unexplained(view, kept), rel=1e-6)
        paid += price[channel]
        left.remove(channel)
        going.drop(channel)
    assert (going.price() > 0).tolist() == [False, False, False, True, False, False]


def test_prices_among_some_channels_are_those_among_all() -> None:
    whole, some = Elimination(reader(), ALL), Elimination(reader(), np.array([1, 3, 4]))
    assert some.labels.tolist() == [1, 3, 4]
    for channel in (3, 1):
        assert some.price() == pytest.approx(whole.price()[[1, 3, 4]], rel=1e-9)
        whole.drop(channel)
        some.drop(channel)


def test_a_class_goes_with_all_its_channels_but_the_last_of_all_stays() -> None:
    going = Elimination(reader(np.array([7, 8, 8, 7, 7, 8])), np.array([7, 8]))
    going.drop(8)
    assert (going.price() > 0).tolist() == [True, False, False, True, True, False]
    going.drop(7)
    assert np.count_nonzero(going.price()) == 1


def test_a_view_is_not_changed_by_what_is_made_of_it() -> None:
    view = reader()
    product, inverse = view.product.copy(), view.inverse.copy()
    going = Elimination(view, ALL)
    going.drop(2)
    going.drop(0)
    assert (view.product == product).all() and (view.inverse == inverse).all()


def test_channels_that_nothing_reads_are_free() -> None:
    view = reader()
    view.product[:] = 0
    going = Elimination(view, ALL)
    going.drop(3)
    assert not going.price().any()
