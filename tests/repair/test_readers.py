import numpy as np
import onnx
import pytest
from onnx import numpy_helper

from decig.graph.channels import analyse
from decig.graph.flow import Read
from decig.graph.model import normalise
from decig.repair.readers import Reader, _moments, find_readers
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


POOLED = """
<ir_version: 10, opset_import: ["" : 20]>
pooled (float[1,3,8,8] x) => (float[1,4,1,1] s, float[1,3,8,8] y) {
    a = Conv <pads = [1, 1, 1, 1]> (x, w_a)
    r = Relu (a)
    p = GlobalAveragePool (r)
    s = Conv (p, w_s)
    y = Conv (r, w_y)
}
"""


@pytest.mark.parametrize("count", [1, 8])
def test_channels_that_were_seen_once_are_told_apart_by_their_weights(count, caplog):
    """Behind a global mean there is one value of a channel for every image."""
    rng = np.random.default_rng(5)
    proto = onnx.parser.parse_model(POOLED)
    sizes = rng.permutation(np.geomspace(1, 1e-2, 6))[None, :, None, None]
    for name, shape, scale in (
        ("w_a", (6, 3, 3, 3), 0.3),
        ("w_s", (4, 6, 1, 1), sizes),
        ("w_y", (3, 6, 1, 1), 0.3),
    ):
        array = (scale * rng.normal(size=shape)).astype(np.float32)
        proto.graph.initializer.append(numpy_helper.from_array(array, name))
    proto = normalise(proto)
    images = rng.uniform(0, 1, (count, 1, 3, 8, 8)).astype(np.float32)
    found = find_readers(proto, analyse(proto), [{"x": image} for image in images])
    reader = next(each for each in found if each.read.value == "p")
    assert (np.linalg.eigvalsh(reader.inverse) > 0).all()
    price = reader.product.diagonal() / reader.inverse.diagonal()
    assert (price >= 0).all() and price.max() <= 1.01
    assert ("there are 1 images" in caplog.text) is (count == 1)
    if count == 1:
        assert np.argsort(price).tolist() == np.argsort(reader.product.diagonal()).tolist()


@pytest.mark.parametrize("height", [1, 5])
def test_moments_are_those_of_all_batches_together(height):
    rng = np.random.default_rng(0)
    batches = [1e3 + rng.normal(size=(1, 4, height, 7)).astype(np.float32) for _ in range(3)]
    mean, covariance = _moments(batches, -3)
    rows = np.concatenate([b[0].reshape(4, -1) for b in batches], axis=1).astype(np.float64)
    assert mean == pytest.approx(rows.mean(1))
    assert covariance == pytest.approx(np.cov(rows, ddof=0), abs=1e-4)
