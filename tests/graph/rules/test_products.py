"""Products of computed operands: attention between channels, heads, and what stays whole."""

import numpy as np
import pytest

from decig.graph.channels import analyse
from decig.graph.model import initializers
from decig.graph.slicing import slice_graph
from tests.graph.tiny import keep, reasons, shape_of, tiny, widths, worst_difference

BETWEEN_CHANNELS = """
    [q] qc = Conv(x, wq)
    [k] kc = Conv(x, wk)
    [v] vc = Conv(x, wv)
    qh = Reshape(qc, heads)
    kh = Reshape(kc, heads)
    vh = Reshape(vc, heads)
    {norms}
    kt = Transpose<perm=[0,1,3,2]>(kn)
    s = MatMul(qn, kt)
    t = Mul(s, temperature)
    {focus}
    o = MatMul(f, vh)
    b = Reshape(o, back)
    [c2] y = Conv(b, w2)
"""
LENGTHS = """
    ql = ReduceL2<axes=[-1], keepdims=1>(qh)
    qm = Clip(ql, small)
    qe = Expand(qm, heads)
    qn = Div(qh, qe)
    kn = LpNormalization<axis=-1>(kh)
"""
PLAIN = "qn = Identity(qh)\n kn = Identity(kh)"
SHAPES = {
    "wq": (8, 3, 1, 1),
    "wk": (8, 3, 1, 1),
    "wv": (8, 3, 1, 1),
    "w2": (3, 8, 1, 1),
    "heads": [1, 2, 4, 64],
    "back": [1, 8, 8, 8],
    "temperature": (2, 1, 1),
}


def test_restormer_keeps_the_same_places_of_every_head() -> None:
    """Queries go with rows, keys and values with columns, which share one softmax."""
    body = BETWEEN_CHANNELS.format(norms=LENGTHS, focus="f = Softmax<axis=-1>(t)")
    proto = tiny(body, small=np.float32(1e-12), **SHAPES)
    channels = analyse(proto)
    assert widths(channels) == {"q": 4, "k": 4}
    assert channels.group("q").exact and not channels.group("k").exact
    assert channels.group("k").nodes == ["k", "v"]
    plan = keep(channels, q=[0, 2, 3], k=[1, 3])
    assert worst_difference(proto, channels, plan) < 1e-5
    sliced = initializers(slice_graph(proto, channels, plan))
    assert sliced["wq"].shape[0] == 6 and sliced["wv"].shape[0] == 4
    assert sliced["temperature"].shape == (2, 1, 1), "one number per head, and heads stay"


@pytest.mark.parametrize("focus", ["f = Relu(t)", "f = Identity(t)", "g = Neg(t)\n f = Tanh(g)"])
def test_attention_without_a_sum_over_channels_is_exact(focus: str) -> None:
    proto = tiny(BETWEEN_CHANNELS.format(norms=PLAIN, focus=focus), **SHAPES)
    channels = analyse(proto)
    assert widths(channels) == {"q": 4, "k": 4}
    assert all(group.exact for group in channels.prunable)
    assert worst_difference(proto, channels, keep(channels, q=[1], k=[0, 2])) < 1e-5


@pytest.mark.parametrize("operator", ["ReduceSum", "ReduceMean", "ReduceMax"])
def test_a_softmax_spelled_out(operator: str) -> None:
    over = "m = {}(t, last)" if operator == "ReduceSum" else "m = {}<axes=[-1]>(t)"
    focus = f"{over.format(operator)}\n e = Abs(m)\n h = Add(e, one)\n f = Div(t, h)"
    proto = tiny(
        BETWEEN_CHANNELS.format(norms=PLAIN, focus=focus), last=[-1], one=np.float32(1.0), **SHAPES
    )
    channels = analyse(proto)
    assert channels.group("k").exact == (operator == "ReduceSum")
    assert worst_difference(proto, channels, keep(channels, q=[0, 3], k=[0, 1])) < 1e-5


def test_numbers_for_every_pair_of_channels_follow_both() -> None:
    focus = "u = Add(t, pairs)\n f = Softmax<axis=-1>(u)"
    shapes = SHAPES | {"pairs": (1, 2, 4, 4)}
    proto = tiny(BETWEEN_CHANNELS.format(norms=PLAIN, focus=focus), **shapes)
    channels = analyse(proto)
    plan = keep(channels, q=[0, 2, 3], k=[1, 3])
    assert worst_difference(proto, channels, plan) < 1e-5
    assert shape_of(slice_graph(proto, channels, plan), "pairs") == [1, 2, 3, 2]


def test_heads_of_one_channel_stay() -> None:
    """Keys of one channel per head times values of three: every head is needed whole."""
    body = """
        [k] kc = Conv(x, wk)
        [v] vc = Conv(x, wv)
        kh = Reshape(kc, single)
        vh = Reshape(vc, heads)
        kt = Transpose<perm=[0,1,3,2]>(kh)
        [m] m = MatMul(vh, kt)
        o = MatMul(m, z)
        b = Reshape(o, back)
        [c2] y = Conv(b, w2)
    """
    proto = tiny(
        body,
        inputs="float[1,3,8,8] x, float[1,1,1,64] z",
        wk=(2, 3, 1, 1),
        wv=(6, 3, 1, 1),
        w2=(3, 6, 1, 1),
        single=[1, 2, 1, 64],
        heads=[1, 2, 3, 64],
        back=[1, 6, 8, 8],
    )
    channels = analyse(proto)
    assert widths(channels) == {"v": 3}
    assert reasons(channels)["k"] == "heads of MatMul m have one channel each"
    assert worst_difference(proto, channels, keep(channels, v=[0, 2])) < 1e-5


def test_linear_attention_multiplies_keys_with_values_first() -> None:
    body = """
        [q] qm = MatMul(x, wq)
        [k] km = MatMul(x, wk)
        [v] vm = MatMul(x, wv)
        kt = Transpose<perm=[0,2,1]>(km)
        m = MatMul(kt, vm)
        o = MatMul(qm, m)
        [p] y = MatMul(o, wp)
    """
    proto = tiny(
        body,
        inputs="float[1,9,6] x",
        outputs="float[B,M,N] y",
        wq=(6, 5),
        wk=(6, 5),
        wv=(6, 4),
        wp=(4, 3),
    )
    channels = analyse(proto)
    assert widths(channels) == {"q": 5, "v": 4} and channels.group("q").nodes == ["q", "k"]
    assert worst_difference(proto, channels, keep(channels, q=[0, 4], v=[1, 2])) < 1e-5


COSINE = """
    [q] qm = MatMul(x, wq)
    [k] km = MatMul(x, wk)
    [v] vm = MatMul(x, wv)
    qr = Reshape(qm, heads)
    kr = Reshape(km, heads)
    vr = Reshape(vm, heads)
    qh = Transpose<perm=[0,2,1,3]>(qr)
    kh = Transpose<perm=[0,2,1,3]>(kr)
    vh = Transpose<perm=[0,2,1,3]>(vr)
    ql = ReduceL2<axes=[-1]>(qh)
    qe = Expand(ql, wide)
    qn = Div(qh, qe)
    qs = Mul(qn, scale)
    kt = Transpose<perm=[0,1,3,2]>(kh)
    s = MatMul(qs, kt)
    f = Softmax(s)
    o = MatMul(f, vh)
    ot = Transpose<perm=[0,2,1,3]>(o)
    b = Reshape(ot, flat)
    [p] y = MatMul(b, wp)
"""


def test_queries_divided_by_their_length_and_scaled_by_head() -> None:
    """Swin transformer V2: the length of a query goes over the places of one head."""
    proto = tiny(
        COSINE,
        inputs="float[1,5,6] x",
        outputs="float[B,M,N] y",
        wq=(6, 8),
        wk=(6, 8),
        wv=(6, 8),
        wp=(8, 3),
        heads=[1, 5, 2, 4],
        wide=[1, 2, 5, 4],
        scale=(2, 1, 1),
        flat=[1, 5, 8],
    )
    channels = analyse(proto)
    assert widths(channels) == {"q": 4, "v": 4}
    plan = keep(channels, q=[1, 3], v=[0])
    assert worst_difference(proto, channels, plan) < 1e-5
    sliced = initializers(slice_graph(proto, channels, plan))
    assert sliced["wide"].tolist() == [1, 2, 5, 2] and sliced["scale"].shape == (2, 1, 1)


GRAM = """
    [c1] a = Conv(x, w1)
    r = Reshape(a, rows)
    t = Transpose<perm=[0,2,1]>(r)
    m = MatMul(r, t)
    {end}
"""


def test_a_product_of_channels_that_becomes_a_vector_is_frozen() -> None:
    end = "[f] g = Reshape(m, flat)\n [l] y = MatMul(g, w2)"
    proto = tiny(
        GRAM.format(end=end),
        outputs="float[M,N] y",
        w1=(6, 3, 1, 1),
        rows=[1, 6, 64],
        flat=[1, 36],
        w2=(36, 4),
    )
    why = "uses a product of channels with channels in another way than attention does"
    assert reasons(analyse(proto))["c1"] == f"Reshape f {why}"


@pytest.mark.parametrize(
    ("end", "reason"),
    [
        ("y = Identity(m)", "graph output y"),
        ("y, i = TopK(m, two)", "TopK"),
        ("[l] y = MatMul(m, w2)", "MatMul l"),
        ("y = Add(m, z)", "Add"),
        ("[s] y = Softmax<axis=1>(m)", "Softmax s"),
    ],
)
def test_what_else_meets_a_product_of_channels_freezes_them(end: str, reason: str) -> None:
    proto = tiny(
        GRAM.format(end=end),
        inputs="float[1,3,8,8] x, float[1,6,6] z",
        outputs="float[B,M,N] y",
        opset=11,
        w1=(6, 3, 1, 1),
        rows=[1, 6, 64],
        two=[2],
        w2=(6, 4),
    )
    channels = analyse(proto)
    assert reasons(channels)["c1"].startswith(reason)
    assert worst_difference(proto, channels, keep(channels)) == 0


def test_a_stack_that_only_one_factor_has() -> None:
    body = """
        [c1] a = Conv(x, w1)
        m = MatMul(z, a)
        [c2] y = Conv(m, w2)
    """
    inputs = "float[1,3,8,8] x, float[1,1,8,8] z"
    proto = tiny(body, inputs=inputs, w1=(6, 3, 1, 1), w2=(3, 6, 1, 1))
    channels = analyse(proto)
    assert (
        worst_difference(
            proto, channels, keep(channels, **{name: [0] for name in widths(channels)})
        )
        < 1e-5
    )
