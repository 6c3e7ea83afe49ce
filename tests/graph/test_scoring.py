"""Magnitudes, against sums worked out with NumPy."""

import numpy as np
import pytest

from decig.graph.channels import analyse
from decig.graph.scoring import channel_norms, magnitude_loss, magnitude_scores
from tests.graph.tiny import tiny

RNG = np.random.default_rng(3)
W1 = RNG.normal(size=(5, 3, 3, 3)).astype(np.float32)
W2 = RNG.normal(size=(4, 5, 3, 3)).astype(np.float32)
GAMMA = RNG.normal(size=5).astype(np.float32)


def norms(weight: np.ndarray, axis: int) -> np.ndarray:
    others = tuple(a for a in range(weight.ndim) if a != axis)
    return np.sqrt((weight.astype(np.float64) ** 2).sum(axis=others))


def test_without_a_norm_writers_count_times_readers():
    proto = tiny("[c1] a = Conv(x, w1)\n [c2] y = Conv(a, w2)", w1=W1, w2=W2)
    scores = magnitude_scores(proto, analyse(proto))
    assert scores.keys() == {"c1"}
    assert scores["c1"] == pytest.approx(norms(W1, 0) * norms(W2, 1))


def test_with_a_norm_its_scale_counts_times_readers():
    body = "[c1] a = Conv(x, w1)\n b = InstanceNormalization(a, g, h)\n [c2] y = Conv(b, w2)"
    proto = tiny(body, w1=W1, g=GAMMA, h=(5,), w2=W2)
    scores = magnitude_scores(proto, analyse(proto))
    assert scores["c1"] == pytest.approx(np.abs(GAMMA) * norms(W2, 1))


def test_every_reader_of_a_skip_counts():
    body = "[c1] a = Conv(x, w1)\n [c2] b = Conv(a, w2)\n [c3] c = Conv(a, w3)\n y = Add(b, c)"
    w3 = RNG.normal(size=(4, 5, 3, 3)).astype(np.float32)
    proto = tiny(body, w1=W1, w2=W2, w3=w3)
    read = np.hypot(norms(W2, 1), norms(w3, 1))
    assert magnitude_scores(proto, analyse(proto))["c1"] == pytest.approx(norms(W1, 0) * read)


def test_a_united_class_sums_over_all_its_indices():
    """A pixel shuffle makes one class of four channels."""
    body = "[c1] a = Conv(x, w1)\n b = DepthToSpace<blocksize=2>(a)\n [c2] y = Conv(b, w2)"
    w1 = RNG.normal(size=(8, 3, 1, 1)).astype(np.float32)
    w2 = RNG.normal(size=(3, 2, 1, 1)).astype(np.float32)
    proto = tiny(body, w1=w1, w2=w2)
    made = np.sqrt((norms(w1, 0) ** 2).reshape(4, 2).sum(0))
    assert magnitude_scores(proto, analyse(proto))["c1"] == pytest.approx(made * norms(w2, 1))


def test_channels_that_nothing_reads_count_alike():
    body = """
        [c1] a = Conv(x, w1)
        m = ReduceMean<axes=[1], keepdims=1>(a)
        y = Mul(x, m)
    """
    proto = tiny(body, w1=np.ones((5, 3, 1, 1), np.float32))
    scores = magnitude_scores(proto, analyse(proto))
    assert scores["c1"] == pytest.approx([np.sqrt(3)] * 5)


def test_norms_by_role():
    body = "[c1] a = Conv(x, w1, b1)\n [c2] y = Conv(a, w2)"
    bias = RNG.normal(size=5).astype(np.float32)
    proto = tiny(body, w1=W1, b1=bias, w2=W2)
    weights = {"w1": W1, "b1": bias, "w2": W2}
    channels = analyse(proto)
    assert channel_norms(channels, weights, ("shift",))["c1"] == pytest.approx(np.abs(bias))
    assert channel_norms(channels, weights, ("scale",))["c1"] == pytest.approx(np.zeros(5))


def test_what_is_lost_is_the_squares_of_those_that_go() -> None:
    loss = magnitude_loss({"g": np.array([1.0, 3.0, 2.0])})["g"]
    assert np.allclose(loss, [14, 5, 1, 0])
