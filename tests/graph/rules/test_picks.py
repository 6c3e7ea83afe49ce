"""Taking elements at given places: windows, embeddings, reordered channels and tokens."""

import numpy as np
import pytest

from decig.graph.channels import analyse
from decig.graph.model import initializers
from decig.graph.slicing import slice_graph
from tests.graph.rules.between import WEIGHTS, between
from tests.graph.tiny import keep, random_feeds, reasons, tiny, widths, worst_difference


def windows(channels: int, side: int, window: int, step: int) -> np.ndarray:
    """Flat places of overlapping windows of [C, H, W], as `as_strided` names them: [n, C, k, k]."""
    starts = range(0, side - window + 1, step)
    flat = np.arange(channels * side * side).reshape(channels, side, side)
    return np.stack([flat[:, r : r + window, c : c + window] for r in starts for c in starts])


def test_windows_of_a_flattened_picture_follow_its_channels() -> None:
    middle = """
        f = Reshape(a, one)
        g = Gather<axis=0>(f, places)
        m = ReduceMean<axes=[0], keepdims=0>(g)
        b = Reshape(m, back)
    """
    places = windows(6, 8, 4, 2)
    proto = tiny(between(middle), one=[-1], places=places, back=[1, 6, 4, 4], **WEIGHTS)
    channels = analyse(proto)
    assert widths(channels) == {"c1": 6}
    plan = keep(channels, c1=[1, 4])
    assert worst_difference(proto, channels, plan) < 1e-5
    found = initializers(slice_graph(proto, channels, plan))["places"]
    assert np.array_equal(found, windows(2, 8, 4, 2))


@pytest.mark.parametrize("rank", [1, 2])
def test_computed_places_along_an_axis_without_channels(rank: int) -> None:
    """Rows that another layer ranks first."""
    middle = """
        h = ReduceMean<axes=[1, 3], keepdims=0>(a)
        t, i = TopK(h, four)
        j = Reshape(i, spread)
        g = Gather<axis=2>(a, j)
        b = Reshape(g, back)
    """
    spread = [4] if rank == 1 else [2, 2]
    proto = tiny(between(middle), four=[4], spread=spread, back=[1, 6, 4, 8], **WEIGHTS)
    channels = analyse(proto)
    assert widths(channels) == {"c1": 6}
    assert reasons(channels).keys() <= {"c2", "(picture)"}


def test_computed_places_among_channels_freeze_them() -> None:
    body = between("[g] b = Gather<axis=1>(a, i)")
    proto = tiny(body, inputs="float[1,3,8,8] x, int64[6] i", **WEIGHTS)
    assert reasons(analyse(proto))["c1"] == "Gather g by computed indices"


def test_a_codebook_makes_channels() -> None:
    """Rows of a table at computed places, as VQGAN looks up its codes."""
    body = """
        [c1] a = Conv(x, w1)
        i = ArgMax<axis=1, keepdims=0>(z)
        [e] g = Gather<axis=0>(table, i)
        t = Transpose<perm=[0,3,1,2]>(g)
        b = Add(a, t)
        [c2] y = Conv(b, w2)
    """
    inputs = "float[1,3,8,8] x, float[1,16,8,8] z"
    proto = tiny(body, inputs=inputs, table=(16, 6), **WEIGHTS)
    channels = analyse(proto)
    assert widths(channels) == {"c1": 6}
    plan = keep(channels, c1=[0, 5])
    assert worst_difference(proto, channels, plan) < 1e-5
    assert initializers(slice_graph(proto, channels, plan))["table"].shape == (16, 2)


def test_slices_at_places_of_other_axes_pass_channels() -> None:
    """GatherND over rows and columns, computed or not; channels behind them."""
    middle = """
        t = Transpose<perm=[2,3,0,1]>(a)
        g = GatherND(t, places)
        u = Unsqueeze(g, zero)
        b = Transpose<perm=[2,3,1,0]>(u)
    """
    places = np.array([[1, 1], [5, 2], [0, 7]])
    proto = tiny(between(middle), places=places, zero=[0], **WEIGHTS)
    channels = analyse(proto)
    assert widths(channels) == {"c1": 6}
    assert worst_difference(proto, channels, keep(channels, c1=[2, 3])) < 1e-5
    computed = tiny(
        between(middle), inputs="float[1,3,8,8] x, int64[3,2] places", zero=[0], **WEIGHTS
    )
    channels = analyse(computed)
    assert widths(channels) == {"c1": 6}
    feeds = random_feeds(tiny(between("b = Abs(a)"), **WEIGHTS)) | {"places": places}
    assert worst_difference(computed, channels, keep(channels, c1=[2, 3]), feeds) < 1e-5


@pytest.mark.parametrize(
    ("places", "apart"), [([[0], [3], [5], [1]], 6), ([[[4], [0]], [[2], [-1]]], 4)]
)
def test_channels_at_constant_places_are_renumbered(places: list, apart: int) -> None:
    middle = """
        t = Transpose<perm=[1,0,2,3]>(a)
        g = GatherND(t, places)
        r = Reshape(g, rows)
        b = Transpose<perm=[1,0,2,3]>(r)
    """
    proto = tiny(
        between(middle),
        places=np.array(places),
        rows=[4, 1, 8, 8],
        w1=(6, 3, 1, 1),
        w2=(3, 4, 1, 1),
    )
    channels = analyse(proto)
    for name, count in widths(channels).items():
        plan = keep(channels, **{name: list(range(1, count))})
        assert worst_difference(proto, channels, plan) < 1e-5
    assert sum(widths(channels).values()) == apart, "a table of two by two ties its rows"


def test_channels_at_computed_places_are_frozen() -> None:
    middle = "t = Transpose<perm=[1,0,2,3]>(a)\n [g] u = GatherND(t, i)\n"
    middle += "b = Transpose<perm=[1,0,2,3]>(u)"
    proto = tiny(between(middle), inputs="float[1,3,8,8] x, int64[6,1] i", **WEIGHTS)
    assert reasons(analyse(proto))["c1"] == "GatherND g picks channels at computed places"


@pytest.mark.parametrize("axis", [1, 2, 3])
def test_elements_at_constant_places(axis: int) -> None:
    """Another order for every pixel along rows and columns; one for all of them along channels."""
    random = np.random.default_rng(0)
    if axis == 1:
        places = np.broadcast_to(random.permutation(6).reshape(1, 6, 1, 1), (1, 6, 8, 8)).copy()
    else:
        places = random.integers(-8, 8, (1, 6, 8, 8))
    proto = tiny(between(f"b = GatherElements<axis={axis}>(a, places)"), places=places, **WEIGHTS)
    channels = analyse(proto)
    assert sum(widths(channels).values()) == 6
    plan = keep(channels, **{name: [0, 2] for name in widths(channels)})
    assert worst_difference(proto, channels, plan) < 1e-5
    assert initializers(slice_graph(proto, channels, plan))["places"].shape == (1, 2, 8, 8)


TOKENS = """
    [q] a = MatMul(x, wq)
    m = ReduceMean<axes=[2], keepdims=0>(x)
    s, i = TopK<axis=1>(m, {count})
    j = Unsqueeze(i, last)
    e = Expand(j, wide)
    {use}
    [p] y = MatMul(b, wp)
"""
TOKEN_SHAPES = {"wq": (6, 8), "wp": (8, 3), "last": [2], "nine": [9], "four": [4]}


def test_tokens_in_a_computed_order_keep_their_channels() -> None:
    """Places that an Expand copies for every channel lose the copies of those that go."""
    proto = tiny(
        TOKENS.format(count="nine", use="b = GatherElements<axis=1>(a, e)"),
        inputs="float[1,9,6] x",
        outputs="float[B,M,N] y",
        wide=[1, 9, 8],
        **TOKEN_SHAPES,
    )
    channels = analyse(proto)
    assert widths(channels) == {"q": 8}
    plan = keep(channels, q=[0, 3, 7])
    assert worst_difference(proto, channels, plan) < 1e-5
    assert initializers(slice_graph(proto, channels, plan))["wide"].tolist() == [1, 9, 3]


def test_tokens_written_back_at_computed_places() -> None:
    use = "g = GatherElements<axis=1>(a, e)\n h = Tanh(g)\n b = ScatterElements<axis=1>(a, e, h)"
    proto = tiny(
        TOKENS.format(count="four", use=use),
        inputs="float[1,9,6] x",
        outputs="float[B,M,N] y",
        wide=[1, 4, 8],
        **TOKEN_SHAPES,
    )
    channels = analyse(proto)
    assert widths(channels) == {"q": 8}
    assert worst_difference(proto, channels, keep(channels, q=[1, 2, 6])) < 1e-5


def test_elements_at_places_of_their_own_for_every_channel_freeze_them() -> None:
    body = between("[g] b = GatherElements<axis=2>(a, i)")
    proto = tiny(body, inputs="float[1,3,8,8] x, int64[1,6,8,8] i", **WEIGHTS)
    assert reasons(analyse(proto))["c1"] == "GatherElements g picks at computed places"
