"""Random numbers that graphs draw: the same for all that are compared."""

import numpy as np
import pytest

from decig.graph.channels import analyse
from decig.graph.draws import drawing, draws, kept_draws, pin
from decig.graph.model import normalise
from decig.graph.oracle import masked_graph
from decig.graph.plan import Plan
from decig.graph.slicing import slice_graph
from tests.graph.random_nets import NOISE, noisy
from tests.graph.tiny import keep, random_feeds, run, tiny, widths
from tests.runtime import open_plain


def half(proto):
    channels = analyse(proto)
    return channels, keep(
        channels, **{name: list(range(0, size, 2)) for name, size in widths(channels).items()}
    )


@pytest.mark.parametrize("name", NOISE)
def test_two_runs_differ_until_the_draws_are_given(name):
    proto = normalise(noisy(name))
    assert len(drawing(proto)) == 1
    pinned = pin(proto, draws(proto))
    assert drawing(pinned) == []
    feeds = random_feeds(proto)
    np.testing.assert_array_equal(run(pinned, feeds)[0], run(pinned, feeds)[0])
    if name != "classes":  # which may come out alike twice
        session = open_plain(proto, optimise=False)
        one, other = (session.run(None, feeds)[0] for _ in range(2))
        assert not np.array_equal(one, other)


@pytest.mark.parametrize("name", NOISE)
def test_what_is_left_of_the_draws_goes_with_what_is_left_of_the_channels(name):
    proto = normalise(noisy(name))
    channels, plan = half(proto)
    cut = {group for group in widths(channels) if group.startswith("mid")}
    assert bool(cut) == NOISE[name][2]
    sliced, given = slice_graph(proto, channels, plan), draws(proto)
    masked = pin(masked_graph(proto, channels, plan), given)
    kept = pin(sliced, kept_draws(proto, channels, plan.keep, given))
    assert drawing(sliced)
    assert not drawing(kept)
    feeds = random_feeds(proto)
    (expected,), (found,) = run(masked, feeds), run(kept, feeds)
    np.testing.assert_allclose(found, expected, atol=1e-4 * np.ptp(expected))
    run(sliced, feeds)  # it draws as much as it needs by itself


def test_the_draws_are_the_same_every_time_and_others_for_another_node():
    body = "[n1] a = RandomNormalLike(x) [n2] b = RandomNormalLike(x) c = Add(a, b) y = Add(c, x)"
    first, again = draws(tiny(body)), draws(tiny(body))
    assert first.keys() == {"n1", "n2"}
    np.testing.assert_array_equal(first["n1"], again["n1"])
    assert not np.array_equal(first["n1"], first["n2"])


@pytest.mark.parametrize(
    ("node", "mean", "deviation"),
    [
        ("RandomNormal<shape=[1,3,64,64], mean=2.0, scale=3.0>()", 2, 3),
        ("RandomUniform<shape=[1,3,64,64], low=-1.0, high=3.0>()", 1, 4 / 12**0.5),
        ("RandomNormalLike<mean=-1.0, scale=0.5>(x)", -1, 0.5),
        ("Bernoulli(k)", 0.75, (0.25 * 0.75) ** 0.5),
        ("Dropout(o, ratio, yes)", 1, (0.25 / 0.75) ** 0.5),
    ],
)
def test_the_draws_have_the_distribution_of_the_operator(node, mean, deviation):
    ones = np.ones((1, 3, 64, 64), np.float32)
    more = {"k": ones / 4, "o": ones, "ratio": np.float32(0.25), "yes": np.array(True)}
    proto = tiny(
        f"z = Mul(x, zero) n = {node} y = Add(n, z)",
        inputs="float[1,3,64,64] x",
        zero=np.float32(0),
        **{name: array for name, array in more.items() if name in node},
    )
    for graph in (proto, pin(proto, draws(proto))):
        (found,) = run(graph)
        assert found.mean() == pytest.approx(mean, abs=0.05)
        assert found.std() == pytest.approx(deviation, abs=0.05)


def test_classes_are_drawn_as_often_as_they_are_likely():
    proto = tiny(
        "l = Mul(x, one) y = Multinomial<sample_size=4000>(l)",
        inputs="float[1,3] x",
        outputs="int32[1,N] y",
        one=np.float32(1),
    )
    feeds = {"x": np.log(np.array([[0.2, 0.5, 0.3]], np.float32))}
    (found,) = run(pin(proto, draws(proto)), feeds)
    share = np.bincount(found[0], minlength=3) / 4000
    assert share == pytest.approx([0.2, 0.5, 0.3], abs=0.04)


def test_halves_are_drawn_in_halves():
    proto = tiny(
        "n = RandomNormalLike(x) y = Add(n, x)",
        inputs="float16[1,3,8,8] x",
        outputs="float16[N,C,H,W] y",
    )
    feeds = {"x": np.zeros((1, 3, 8, 8), np.float16)}
    assert run(pin(proto, draws(proto)), feeds)[0].dtype == np.float16


def test_a_dropout_that_does_nothing_draws_nothing():
    for body in ("y = Dropout(x)", "y = Dropout(x, ratio)", "y = Dropout(x, ratio, no)"):
        more = {"ratio": np.float32(0.5), "no": np.array(False)}
        proto = tiny(body, **{name: array for name, array in more.items() if name in body})
        assert drawing(proto) == []
        assert pin(proto, draws(proto)) is proto


def test_a_plan_that_keeps_all_keeps_all_draws():
    proto = normalise(noisy("of a shape"))
    given = draws(proto)
    kept = kept_draws(proto, analyse(proto), Plan("", {}).keep, given)
    for name, array in kept.items():
        np.testing.assert_array_equal(array, given[name])
