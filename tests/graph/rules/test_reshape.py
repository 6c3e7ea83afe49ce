"""Segments of a reshape and the identities that go through them."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from decig.graph.channels import analyse
from decig.graph.flow import Flow, on_axis
from decig.graph.rules.reshape import matching_segments, regroup
from tests.graph.tiny import keep, reasons, tiny, widths, worst_difference


@pytest.mark.parametrize(
    ("before", "after", "segments"),
    [
        ((1, 6, 8, 8), (1, 6, 64), [((0,), (0,)), ((1,), (1,)), ((2, 3), (2,))]),
        ((1, 6, 8, 8), (1, 2, 3, 64), [((0,), (0,)), ((1,), (1, 2)), ((2, 3), (3,))]),
        ((1, 6, 4), (1, 3, 8), [((0,), (0,)), ((1, 2), (1, 2))]),
        ((2, 3), (6,), [((0, 1), (0,))]),
        ((6,), (6, 1), [((0,), (0,)), ((), (1,))]),
        ((4, 1), (4,), [((0,), (0,)), ((1,), ())]),
        ((1, 1), (), [((0,), ()), ((1,), ())]),
        ((), (1,), [((), (0,))]),
    ],
)
def test_segments_have_equal_products(before: tuple, after: tuple, segments: list):
    found = [(tuple(source), tuple(target)) for source, target in matching_segments(before, after)]
    assert found == segments


_SHAPES = st.lists(st.integers(0, 12), max_size=5).map(tuple)


@settings(max_examples=300, derandomize=True, database=None, deadline=None)
@given(_SHAPES, _SHAPES)
def test_segments_of_any_two_shapes_are_found_or_refused(before: tuple, after: tuple):
    """Shapes that do not become each other have none, whatever their sizes; nothing hangs."""
    try:
        found = list(matching_segments(before, after))
    except ValueError:
        assert math.prod(before) != math.prod(after) or 0 in before + after
        return
    assert [axis for source, _ in found for axis in source] == list(range(len(before)))
    assert [axis for _, target in found for axis in target] == list(range(len(after)))
    for source, target in found:
        left, right = (
            math.prod(s[a] for a in axes) for s, axes in ((before, source), (after, target))
        )
        assert left == right


def test_a_reshape_that_does_not_fit_is_frozen():
    """A graph that was never checked, as `fit` refuses it."""
    proto = tiny("[c] a = Conv(x, w)\n [r] y = Reshape(a, s)", w=(4, 3, 1, 1), s=[1, 2, 2, 64])
    next(v for v in proto.graph.value_info if v.name == "a").type.tensor_type.shape.dim[
        2
    ].dim_value = 9
    reason = "Reshape r: its shapes do not fit together"
    assert reasons(analyse(proto)) == {"c": reason}


def through(ids: np.ndarray, before: tuple, after: tuple) -> tuple[np.ndarray, np.ndarray]:
    """Identities after a reshape, and the classes."""
    proto = tiny("y = Relu(x)")
    flow = Flow(proto)
    flow.space.fresh(int(ids.max()))
    out = regroup(flow, proto.graph.node[0], ids, before, after)
    return out, flow.space.classes()


def test_a_split_axis_varies_on_both_of_its_parts():
    out, _ = through(on_axis(np.arange(1, 7), 1, 4), (1, 6, 8, 8), (1, 2, 3, 8, 8))
    assert out.shape == (1, 2, 3, 1, 1)
    assert out.ravel().tolist() == [1, 2, 3, 4, 5, 6]


def test_a_merged_axis_repeats_identities():
    out, _ = through(on_axis(np.arange(1, 4), 1, 3), (1, 3, 2), (1, 6))
    assert out.tolist() == [[1, 1, 2, 2, 3, 3]]


def test_constant_segments_are_never_laid_out():
    out, _ = through(on_axis(np.arange(1, 4), 1, 4), (1, 3, 512, 512), (1, 3, 512 * 512))
    assert out.shape == (1, 3, 1)


def test_what_is_spread_over_several_axes_is_tied_but_for_axis_1():
    """The end of a pixel shuffle: [1, C, H, r, W, r] -> [1, C, H*r, W*r]."""
    ids = np.arange(1, 13).reshape(1, 3, 1, 2, 1, 2)
    out, classes = through(ids, (1, 3, 8, 2, 8, 2), (1, 3, 16, 16))
    assert out.shape == (1, 3, 1, 1)
    assert classes[ids].reshape(3, 4).tolist() == [[1] * 4, [2] * 4, [3] * 4]


def test_pixel_shuffle_spelled_out():
    body = """
        [c1] a = Conv(x, w1)
        p = Reshape(a, wide)
        q = Transpose<perm=[0,1,4,2,5,3]>(p)
        r = Reshape(q, narrow)
        [c2] y = Conv(r, w2)
    """
    proto = tiny(
        body,
        w1=(12, 3, 1, 1),
        wide=[1, 3, 2, 2, 8, 8],
        narrow=[1, 3, 16, 16],
        w2=(3, 3, 1, 1),
    )
    channels = analyse(proto)
    assert widths(channels) == {"c1": 3}
    assert worst_difference(proto, channels, keep(channels, c1=[0, 2])) < 1e-5


def test_channel_shuffle_keeps_places():
    body = """
        [c1] a = Conv(x, w1)
        p = Reshape(a, wide)
        q = Transpose<perm=[0,2,1,3,4]>(p)
        r = Reshape(q, narrow)
        [c2] y = Conv(r, w2)
    """
    proto = tiny(body, w1=(6, 3, 1, 1), wide=[1, 2, 3, 8, 8], narrow=[1, 6, 8, 8], w2=(3, 6, 1, 1))
    channels = analyse(proto)
    assert widths(channels) == {"c1": 3}
    assert worst_difference(proto, channels, keep(channels, c1=[1])) < 1e-5


def test_the_segment_of_most_channels_keeps_them_apart() -> None:
    """A pixel shuffle spelled out with channels last: C channels stay apart, not r rows."""
    body = """
        [c1] a = Conv(x, w1)
        t = Transpose<perm=[0,2,3,1]>(a)
        r = Reshape(t, apart)
        s = Transpose<perm=[0,1,3,2,4,5]>(r)
        u = Reshape(s, wide)
        b = Transpose<perm=[0,3,1,2]>(u)
        [c2] y = Conv(b, w2)
    """
    proto = tiny(
        body,
        apart=[1, 8, 8, 2, 2, 6],
        wide=[1, 16, 16, 6],
        w1=(24, 3, 1, 1),
        w2=(3, 6, 1, 1),
    )
    channels = analyse(proto)
    assert widths(channels) == {"c1": 6}
    assert worst_difference(proto, channels, keep(channels, c1=[0, 4])) < 1e-5


def test_a_zero_copies_no_size_that_is_cut_to_an_axis_that_is_not() -> None:
    """Of as many channels as rows, 0 may stand for either; after a cut it no longer does."""
    body = """
        [c1] h = Conv(x, w1)
        s = Reshape(h, apart)
        t = Softmax<axis=-1>(s)
        r = Reshape(t, back)
        [c2] y = Conv(r, w2)
    """
    proto = tiny(body, w1=(8, 3, 1, 1), apart=[8, 0, -1], back=[1, 8, 8, 8], w2=(3, 8, 1, 1))
    channels = analyse(proto)
    assert widths(channels) == {"c1": 8}
    assert worst_difference(proto, channels, keep(channels, c1=[0, 2, 5])) < 1e-5
