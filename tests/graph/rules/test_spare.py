"""Weights in the making: constants that a style or noise meets before the picture does."""

import numpy as np

from decig.graph.channels import analyse
from decig.graph.model import initializers
from decig.graph.slicing import slice_graph
from tests.graph.tiny import keep, reasons, tiny, widths, worst_difference

MODULATED = """
    [c1] a = Conv(x, w1)
    [g] t = Gemm(s, ws)
    u = Reshape(t, row)
    m = Mul(w2, u)
    n = Conv(a, m)
    [c3] y = Conv(n, w3)
"""
STYLED = "float[1,3,8,8] x, float[1,5] s"


def test_modulated_weights_are_cut_on_both_sides():
    proto = tiny(
        MODULATED,
        inputs=STYLED,
        row=[1, 6, 1, 1],
        w1=(6, 3, 1, 1),
        ws=(5, 6),
        w2=(4, 6, 3, 3),
        w3=(3, 4, 1, 1),
    )
    channels = analyse(proto)
    assert sorted(widths(channels).values()) == [4, 6]
    made = next(g.name for g in channels.prunable if g.channels == 4)
    plan = keep(channels, **{"c1": [0, 2, 5], made: [1, 3]})
    sliced = initializers(slice_graph(proto, channels, plan))
    assert np.array_equal(sliced["w2"], initializers(proto)["w2"][[1, 3]][:, [0, 2, 5]])
    assert sliced["ws"].shape == (5, 3)
    assert worst_difference(proto, channels, plan) < 1e-5


def test_weights_from_a_graph_input_freeze_both_sides():
    """The input has an extent for every channel that c1 makes."""
    body = """
        [c1] a = Conv(x, w1)
        m = Mul(w2, s)
        [c2] b = Conv(a, m)
        [c3] y = Conv(b, w3)
    """
    proto = tiny(
        body,
        inputs="float[1,3,8,8] x, float[1,6,1,1] s",
        w1=(6, 3, 1, 1),
        w2=(4, 6, 1, 1),
        w3=(3, 4, 1, 1),
    )
    channels = analyse(proto)
    assert reasons(channels)["c1"] == "Conv c2 has computed weights"
    assert widths(channels) == {"Mul_1": 4}
    plan = keep(channels, Mul_1=[0, 3])
    assert worst_difference(proto, channels, plan) < 1e-5


def test_computed_weights_that_are_looked_at_stay():
    body = MODULATED + "z = ReduceMax<keepdims=0>(m)"
    proto = tiny(
        body,
        inputs=STYLED,
        outputs="float[N,C,H,W] y, float z",
        row=[1, 6, 1, 1],
        w1=(6, 3, 1, 1),
        ws=(5, 6),
        w2=(4, 6, 3, 3),
        w3=(3, 4, 1, 1),
    )
    assert widths(analyse(proto)) == {"c1": 6}


def test_samples_as_groups_of_one_convolution():
    """StyleGAN2 for a batch of two: [2, O, I, k, k] becomes [2 O, I, k, k], the batch groups."""
    body = """
        [c1] a = Conv(x, w1)
        [g] t = Gemm(s, ws)
        u = Reshape(t, row)
        m = Mul(w2, u)
        q = Mul(m, m)
        d = ReduceSum(q, axes)
        e = Sqrt(d)
        f = Div(m, e)
        v = Reshape(f, joined)
        b = Reshape(a, lined)
        n = Conv<group=2>(b, v)
        o = Reshape(n, back)
        [c3] y = Conv(o, w3)
    """
    proto = tiny(
        body,
        inputs="float[2,3,8,8] x, float[2,5] s",
        row=[2, 1, 6, 1, 1],
        axes=[2, 3, 4],
        joined=[8, 6, 3, 3],
        lined=[1, 12, 8, 8],
        back=[2, 4, 6, 6],
        w1=(6, 3, 1, 1),
        ws=(5, 6),
        w2=(1, 4, 6, 3, 3),
        w3=(3, 4, 1, 1),
    )
    channels = analyse(proto)
    made = next(group.name for group in channels.prunable if group.channels == 4)
    plan = keep(channels, **{"c1": [0, 2, 5], made: [1, 3]})
    assert initializers(slice_graph(proto, channels, plan))["w2"].shape == (1, 2, 3, 3, 3)
    assert worst_difference(proto, channels, plan) < 1e-5


def test_strengths_of_noise_go_with_the_channels():
    body = "[c1] a = Conv(x, w1)\n n = Mul(s, z)\n b = Add(a, n)\n [c2] y = Conv(b, w2)"
    proto = tiny(
        body,
        inputs="float[1,3,8,8] x, float[1,1,8,8] z",
        w1=(6, 3, 1, 1),
        s=(6, 1, 1),
        w2=(3, 6, 1, 1),
    )
    channels = analyse(proto)
    plan = keep(channels, c1=[1, 4])
    kept = initializers(slice_graph(proto, channels, plan))["s"]
    assert np.array_equal(kept, initializers(proto)["s"][[1, 4]])
    assert worst_difference(proto, channels, plan) < 1e-5


def test_axes_that_become_one_stay():
    """The kernel's rows and the outputs in one axis: no cut could follow."""
    body = MODULATED.replace("Conv(a, m)", "Conv(a, k)").replace(
        "m = Mul(w2, u)", "m = Mul(w2, u)\n f = Reshape(m, flat)\n k = Reshape(f, whole)"
    )
    proto = tiny(
        body,
        inputs=STYLED,
        row=[1, 6, 1, 1],
        flat=[24, 9],
        whole=[4, 6, 3, 3],
        w1=(6, 3, 1, 1),
        ws=(5, 6),
        w2=(4, 6, 3, 3),
        w3=(3, 4, 1, 1),
    )
    channels = analyse(proto)
    for group in channels.prunable:
        plan = keep(channels, **{group.name: [0]})
        assert worst_difference(proto, channels, plan) < 1e-5
    assert 4 not in widths(channels).values()
