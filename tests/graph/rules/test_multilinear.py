"""Einsum of three operands, of one operand twice, with diagonals, and of channels with channels."""

import pytest

from decig.graph.channels import analyse
from decig.graph.slicing import slice_graph
from tests.graph.rules.between import WEIGHTS, between
from tests.graph.tiny import keep, reasons, shape_of, tiny, widths, worst_difference

TWO = """
    [c1] a = Conv(x, w1)
    [c3] d = Conv(x, w3)
    {middle}
    [c2] y = Conv(b, w2)
"""


def einsum(equation: str, operands: str) -> str:
    return f'[e] b = Einsum <equation = "{equation}"> ({operands})'


@pytest.mark.parametrize(
    "equation, operands",
    [
        ("bchw,bchw,bchw->bchw", "a, a, d"),
        ("bchw,bchw,c->bchw", "a, d, s"),
        ("bchw,c,hw->bchw", "a, s, places"),
        ("bchw,bcij,bckl->bchw", "a, d, a"),
    ],
)
def test_three_operands_that_share_channels(equation: str, operands: str) -> None:
    proto = tiny(
        TWO.format(middle=einsum(equation, operands)),
        w3=(6, 3, 1, 1),
        s=(6,),
        places=(8, 8),
        **WEIGHTS,
    )
    channels = analyse(proto)
    assert all(count == 6 for count in widths(channels).values())
    assert worst_difference(proto, channels, keep(channels, c1=[0, 2, 5])) < 1e-5


def test_low_rank_weights_of_two_factors() -> None:
    """x times U times V: channels are read, two sets of them are made, the rank is no channel."""
    proto = tiny(
        between(einsum("bchw,cr,ro->bohw", "a, u, v")),
        u=(6, 4),
        v=(4, 5),
        w1=(6, 3, 1, 1),
        w2=(3, 5, 1, 1),
    )
    channels = analyse(proto)
    assert widths(channels) == {"c1": 6, "e": 5}
    plan = keep(channels, c1=[1, 3], e=[0, 4])
    assert worst_difference(proto, channels, plan) < 1e-5
    sliced = slice_graph(proto, channels, plan)
    assert shape_of(sliced, "u") == [2, 4] and shape_of(sliced, "v") == [4, 2]


def test_every_channel_summed_is_read_once() -> None:
    """The two factors lose channels of their own; both sums count them as zero."""
    middle = """
        [e] e = Einsum <equation = "bchw,bdhw,hw->bhw"> (a, d, places)
        u = Unsqueeze(e, one)
        b = Mul(a, u)
    """
    proto = tiny(TWO.format(middle=middle), w3=(5, 3, 1, 1), one=[1], places=(8, 8), **WEIGHTS)
    channels = analyse(proto)
    assert widths(channels) == {"c1": 6, "c3": 5}
    assert worst_difference(proto, channels, keep(channels, c1=[0, 4], c3=[2])) < 1e-5


@pytest.mark.parametrize("equation", ["bchw,bdhw->bdhw", "bchw,bdij->bchw"])
def test_channels_of_one_factor_are_summed_and_those_of_the_other_pass(equation: str) -> None:
    proto = tiny(TWO.format(middle=einsum(equation, "a, d")), w3=(6, 3, 1, 1), **WEIGHTS)
    channels = analyse(proto)
    assert widths(channels) == {"c1": 6, "c3": 6}
    assert worst_difference(proto, channels, keep(channels, c1=[0, 2], c3=[1, 3, 4])) < 1e-5


ATTENTION = """
    [q] qc = Conv(x, w1)
    [k] kc = Conv(x, w3)
    [v] vc = Conv(x, w3v)
    {heads}
    [s] s = Einsum <equation = "{scores}"> (qh, kh)
    f = Softmax<axis=-1>(s)
    [o] o = Einsum <equation = "{mixed}"> (f, vh)
    b = Reshape(o, back)
    [c2] y = Conv(b, w2)
"""


@pytest.mark.parametrize("heads", [1, 2])
def test_attention_between_channels(heads: int) -> None:
    named = "\n".join(f"{part}h = Reshape({part}c, heads)" for part in "qkv")
    body = ATTENTION.format(heads=named, scores="bncp,bndp->bncd", mixed="bncd,bndp->bncp")
    shapes = dict.fromkeys(("w1", "w3", "w3v"), (6, 3, 1, 1))
    proto = tiny(
        body, heads=[1, heads, 6 // heads, 64], back=[1, 6, 8, 8], w2=(3, 6, 1, 1), **shapes
    )
    channels = analyse(proto)
    assert widths(channels) == {"q": 6 // heads, "k": 6 // heads}
    plan = keep(channels, q=[0, 2], k=[1])
    assert worst_difference(proto, channels, plan) < 1e-5


def test_queries_times_a_sum_of_keys_and_values() -> None:
    """Linear attention in one sum over places and keys."""
    body = """
        [q] q = MatMul(x, wq)
        [k] k = MatMul(x, wk)
        [v] v = MatMul(x, wv)
        [e] o = Einsum <equation = "bnd,bmd,bme->bne"> (q, k, v)
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
    assert widths(channels) == {"q": 5, "v": 4}
    assert worst_difference(proto, channels, keep(channels, q=[0, 4], v=[1, 2])) < 1e-5


def test_a_diagonal_over_places_passes_channels() -> None:
    middle = """
        d = Einsum <equation = "bchh->bch"> (a)
        u = Unsqueeze(d, three)
        b = Add(a, u)
    """
    proto = tiny(between(middle), three=[3], **WEIGHTS)
    channels = analyse(proto)
    assert widths(channels) == {"c1": 6}
    assert worst_difference(proto, channels, keep(channels, c1=[1, 5])) < 1e-5


@pytest.mark.parametrize(
    ("equation", "operands", "why"),
    [
        ("bcch->bch", "a", "takes a diagonal over channels"),
        ("bchw,bdhw,behw->bcde", "a, d, a", "has three axes of channels in its result"),
        ("bchw,bdhw,bcd->bhw", "a, d, z", "joins channels with a computed tensor"),
    ],
)
def test_what_is_not_followed_is_frozen(equation: str, operands: str, why: str) -> None:
    middle = f'''
        [e] e = Einsum <equation = "{equation}"> ({operands})
        m = ReduceMean<keepdims=0>(e)
        b = Mul(a, m)
    '''
    proto = tiny(
        TWO.format(middle=middle),
        inputs="float[1,3,8,8] x, float[1,8,8] z",
        w1=(8, 3, 1, 1),
        w3=(8, 3, 1, 1),
        w2=(3, 8, 1, 1),
    )
    channels = analyse(proto)
    assert reasons(channels)["c1"] == f"Einsum e {why}"
    assert worst_difference(proto, channels, keep(channels)) == 0
