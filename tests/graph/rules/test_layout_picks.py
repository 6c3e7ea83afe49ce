"""Operators that take out a part of the data: Split, Slice and Gather."""

import numpy as np
import pytest

from decig.graph.channels import analyse
from decig.graph.flow import attributes
from decig.graph.model import initializers
from decig.graph.slicing import slice_graph
from tests.graph.rules.between import WEIGHTS, between, sliced_constant
from tests.graph.tiny import keep, reasons, tiny, widths, worst_difference

SPLIT = between("p, q = Split<axis=1>(a, sizes)\n b = Concat<axis=1>(q, p)")


def test_sizes_of_a_split_are_mended():
    proto = tiny(SPLIT, sizes=[2, 4], **WEIGHTS)
    kept = {"c1": [1], "c1#2": [0, 1, 3]}
    assert sliced_constant(proto, analyse(proto), "sizes", **kept) == [1, 3]


def test_a_split_without_sizes_keeps_equal_parts():
    body = SPLIT.replace("(a, sizes)", "(a)")
    proto = tiny(body, **WEIGHTS)
    channels = analyse(proto)
    assert widths(channels) == {"c1": 3}
    assert worst_difference(proto, channels, keep(channels, c1=[0, 2])) < 1e-5


def test_before_opset_13_sizes_are_an_attribute():
    body = SPLIT.replace("axis=1>(a, sizes)", "axis=1, split=[2,4]>(a)")
    proto = tiny(body, opset=11, **WEIGHTS)
    channels = analyse(proto)
    plan = keep(channels, **{"c1#2": [0]})
    node = slice_graph(proto, channels, plan).graph.node[1]
    assert attributes(node)["split"] == [2, 1]
    assert worst_difference(proto, channels, plan) < 1e-5


def test_a_split_over_places_passes_channels():
    body = between("p, q = Split<axis=2>(a, sizes)\n b = Concat<axis=2>(q, p)")
    proto = tiny(body, sizes=[3, 5], **WEIGHTS)
    assert sliced_constant(proto, analyse(proto), "sizes", c1=[0]) == [3, 5]


@pytest.mark.parametrize(
    ("bounds", "after"),
    [((1, 4), (1, 3)), ((-5, -2), (1, 3)), ((1, 2**31 - 1), (1, 4)), ((-99, 4), (0, 3))],
)
def test_bounds_of_a_slice_are_mended(bounds: tuple, after: tuple):
    count = len(range(*slice(*bounds).indices(6)))
    body = """
        [c1] a = Conv(x, w1)
        s = Slice(a, starts, ends, axes)
        [c2] p = Conv(s, w2)
        [c3] q = Conv(a, w3)
        y = Add(p, q)
    """
    proto = tiny(
        body,
        w1=(6, 3, 1, 1),
        starts=[0, bounds[0]],
        ends=[8, bounds[1]],
        axes=[2, 1],
        w2=(3, count, 1, 1),
        w3=(3, 6, 1, 1),
    )
    channels = analyse(proto)
    classes = channels.classes_of(channels.ids_of("a")).ravel()
    gone = {3, 5}  # of the six channels of a
    kept = {
        group.name: [
            k for k, label in enumerate(group.classes) if list(classes).index(label) not in gone
        ]
        for group in channels.prunable
    }
    plan = keep(channels, **kept)
    constants = initializers(slice_graph(proto, channels, plan))
    assert (constants["starts"][1], constants["ends"][1]) == after
    assert (constants["starts"][0], constants["ends"][0]) == (0, 8)
    assert worst_difference(proto, channels, plan) < 1e-5


def test_before_opset_10_bounds_are_attributes():
    body = """
        [c1] a = Conv(x, w1)
        s = Slice<starts=[2, 0], ends=[6, 8], axes=[1, 3]>(a)
        [c2] y = Conv(s, w2)
    """
    proto = tiny(body, opset=9, w1=(6, 3, 1, 1), w2=(3, 4, 1, 1))
    channels = analyse(proto)
    plan = keep(channels, c1=[1], **{"c1#2": [0, 3]})
    found = attributes(slice_graph(proto, channels, plan).graph.node[1])
    assert (found["starts"], found["ends"]) == ([1, 0], [3, 8])
    assert worst_difference(proto, channels, plan) < 1e-5


@pytest.mark.parametrize(
    ("steps", "reason"),
    [([2], "Slice s steps over channels"), ([-1], "Slice s steps over channels")],
)
def test_a_slice_with_steps_over_channels_freezes(steps: list, reason: str):
    bounds = ([5], [-99]) if steps[0] < 0 else ([0], [6])
    proto = tiny(
        between("[s] b = Slice(a, starts, ends, axes, steps)"),
        starts=bounds[0],
        ends=bounds[1],
        axes=[1],
        steps=steps,
        w1=(6, 3, 1, 1),
        w2=(3, 6 // abs(steps[0]), 1, 1),
    )
    assert reasons(analyse(proto))["c1"] == reason


def test_a_slice_by_computed_bounds_freezes():
    body = between("[s] b = Slice(a, i, ends)")
    proto = tiny(body, inputs="float[1,3,8,8] x, int64[4] i", ends=[1, 6, 8, 8], **WEIGHTS)
    assert not analyse(proto).prunable


def test_indices_of_a_gather_are_renumbered():
    body = between("b = Gather<axis=1>(a, i)")
    proto = tiny(body, i=[5, -6, 2, 2, -1, 4], **WEIGHTS)
    channels = analyse(proto)
    assert widths(channels) == {"c1": 4, "c1#2": 2}, "what is gathered, and what is not"
    # 0, 2 and 5 of the gathered stay, and 1 and 3, which nobody asks for: 5 is now the last of 5.
    assert sliced_constant(proto, channels, "i", c1=[0, 1, 3]) == [4, 0, 2, 2, 4]


def test_a_gather_of_one_channel_freezes():
    body = """
        [c1] a = Conv(x, w1)
        [g] p = Gather<axis=1>(a, i)
        r = Reshape(p, shape)
        [c2] y = Conv(r, w2)
    """
    proto = tiny(body, i=np.int64(1), shape=[1, 1, 8, 8], w1=(6, 3, 1, 1), w2=(3, 1, 1, 1))
    channels = analyse(proto)
    assert reasons(channels)["c1#2"] == "Gather g picks single channels"
    plan = keep(channels, c1=[2, 3])
    assert initializers(slice_graph(proto, channels, plan))["i"] == 0
    assert worst_difference(proto, channels, plan) < 1e-5


def test_queries_keys_and_values_picked_from_one_tensor():
    body = """
        [c1] a = Conv(x, w1)
        r = Reshape(a, apart)
        q = Gather<axis=1>(r, first)
        k = Gather<axis=1>(r, last)
        m = Mul(q, k)
        [c2] y = Conv(m, w2)
    """
    more = {"apart": [1, 2, 4, 8, 8], "first": np.int64(0), "last": np.int64(-1)}
    proto = tiny(body, w1=(8, 3, 1, 1), w2=(3, 4, 1, 1), **more)
    channels = analyse(proto)
    assert widths(channels) == {"c1": 4}
    assert worst_difference(proto, channels, keep(channels, c1=[1, 2])) < 1e-5


def test_slices_count_axes_from_the_end():
    proto = tiny(
        between("b = Slice(a, starts, ends, axes)"),
        starts=[1, 0],
        ends=[5, 4],
        axes=[-3, -1],
        w1=(6, 3, 1, 1),
        w2=(3, 4, 1, 1),
    )
    channels = analyse(proto)
    assert sliced_constant(proto, channels, "ends", **{"c1#2": [0, 2]}) == [3, 4]


def test_gather_of_a_single_channel_keeps_its_rank():
    body = """
        [c1] a = Conv(x, w1)
        g = Gather<axis=1>(a, place)
        u = Unsqueeze(g, axis)
        b = Mul(a, u)
        [c2] y = Conv(b, w2)
    """
    proto = tiny(body, place=np.array(3), axis=[1], **WEIGHTS)
    channels = analyse(proto)
    plan = keep(channels, c1=[0, 4])
    assert initializers(slice_graph(proto, channels, plan))["place"].shape == ()
    assert worst_difference(proto, channels, plan) < 1e-5
