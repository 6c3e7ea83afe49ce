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
    return Reader(read, -3, np.arange(6), SAMPLES.mean(0), inverse, WEIGHTS @ WEIGHTS.T)


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
        energy = (reader.product * covariance).sum()
        assert energy == pytest.approx(1.0, rel=0.01)


def test_halves_do_not_overflow():
    proto = generator("InstanceNormalization", dtype=np.float16)
    inputs = [{"x": (30 * feeds["x"]).astype(np.float16)} for feeds in INPUTS]
    first = find_readers(proto, analyse(proto), inputs)[0]
    seen = np.concatenate([feeds["x"].astype(np.float64) for feeds in inputs])
    variance = np.linalg.inv(first.inverse).diagonal()
    assert variance == pytest.approx(seen.var(axis=(0, 2, 3)), rel=0.01)
