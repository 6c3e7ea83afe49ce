from dataclasses import replace

import numpy as np
import pytest

from decig.graph.channels import analyse
from decig.graph.flow import Read
from decig.repair.readers import Reader, find_readers
from tests.repair.small import INPUTS, generator

RNG = np.random.default_rng(3)
SAMPLES = RNG.normal(size=(4000, 6)) @ RNG.normal(size=(6, 6)) + RNG.normal(size=6)
WEIGHTS = RNG.normal(size=(6, 5))


@pytest.fixture
def reader() -> Reader:
    inverse = np.linalg.inv(np.cov(SAMPLES, rowvar=False, ddof=0))
    read = Read("conv", "x", 0, np.arange(6).reshape(1, 6, 1, 1))
    return Reader(read, -3, np.arange(6), SAMPLES.mean(0), inverse, WEIGHTS)


def _unexplained(kept: list[int]) -> float:
    """Energy of the reader's outputs that the kept channels cannot give, by least squares."""
    wanted = (SAMPLES - SAMPLES.mean(0)) @ WEIGHTS
    source = (SAMPLES - SAMPLES.mean(0))[:, kept]
    solution = np.linalg.lstsq(source, wanted, rcond=None)[0]
    return float(np.square(wanted - source @ solution).sum(1).mean())


def test_the_price_of_a_channel_is_what_least_squares_cannot_give_back(reader):
    first = reader.price()
    for channel in range(6):
        rest = [c for c in range(6) if c != channel]
        assert first[channel] == pytest.approx(_unexplained(rest), rel=1e-6)
        second = reader.without(channel).price()
        assert first[channel] + second[0] == pytest.approx(_unexplained(rest[1:]), rel=1e-6)


@pytest.mark.parametrize("outputs", [2, 5, 40])
def test_prices_among_some_channels_are_those_among_all(reader, outputs):
    whole = replace(reader, weights=RNG.normal(size=(6, outputs)))
    some = whole.among(np.array([1, 3, 4]))
    assert some.labels.tolist() == [1, 3, 4]
    assert some.weights.shape == (3, min(3, outputs))
    assert some.price() == pytest.approx(whole.price()[[1, 3, 4]], rel=1e-9)
    after = whole.without(3)
    assert some.without(1).price() == pytest.approx(after.price()[[1, 3]], rel=1e-9)
    assert some.without(1).without(0).price() == pytest.approx(
        after.without(1).price()[[3 - 1]], rel=1e-9
    )


def test_a_view_is_not_changed_by_what_is_made_of_it(reader):
    weights, inverse = reader.weights.copy(), reader.inverse.copy()
    reader.without(2).without(0)
    reader.among(np.array([0, 1])).without(1)
    assert (reader.weights == weights).all() and (reader.inverse == inverse).all()


def test_the_estimate_is_the_linear_regression_on_what_stays(reader):
    gone = np.array([False, True, False, False, True, False])
    matrix, offset = reader.estimate(gone)
    assert not matrix[gone].any()
    source = np.c_[SAMPLES[:, ~gone], np.ones(len(SAMPLES))]
    solution = np.linalg.lstsq(source, SAMPLES, rcond=None)[0]
    assert np.allclose(SAMPLES @ matrix + offset, source @ solution, atol=1e-6)


def test_every_consumer_of_channels_is_found_and_scaled():
    proto = generator("BatchNormalization", residual=True)
    readers = find_readers(proto, analyse(proto), INPUTS)
    assert [reader.read.node for reader in readers] == ["node0", "node3", "node6", "node8"]
    assert [len(reader.labels) for reader in readers] == [3, 12, 12, 8]
    for reader in readers:
        covariance = np.linalg.inv(reader.inverse)
        energy = np.einsum("io,ij,jo->", reader.weights, covariance, reader.weights)
        assert energy == pytest.approx(1.0, rel=0.01)


def test_halves_do_not_overflow():
    proto = generator("InstanceNormalization", dtype=np.float16)
    inputs = [{"x": (30 * feeds["x"]).astype(np.float16)} for feeds in INPUTS]
    first = find_readers(proto, analyse(proto), inputs)[0]
    seen = np.concatenate([feeds["x"].astype(np.float64) for feeds in inputs])
    variance = np.linalg.inv(first.inverse).diagonal()
    assert variance == pytest.approx(seen.var(axis=(0, 2, 3)), rel=0.01)
