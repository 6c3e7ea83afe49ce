"""Einsum: letters say what is summed over, made, scaled or passed on."""

import pytest

from decig.graph.channels import analyse
from decig.graph.rules.einsum import Equation
from decig.graph.slicing import slice_graph
from tests.graph.rules.between import WEIGHTS, between
from tests.graph.tiny import keep, reasons, shape_of, tiny, widths, worst_difference


@pytest.mark.parametrize(
    ("text", "ranks", "terms", "result"),
    [
        ("bqc, bchw -> bqhw", (3, 4), ("bqc", "bchw"), "bqhw"),
        ("...c,cd->...d", (4, 2), ("abec", "cd"), "abed"),
        ("...i,...i->...", (3, 2), ("abi", "bi"), "ab"),
        ("ji,jk", (2, 2), ("ji", "jk"), "ik"),
        ("...ba", (4,), ("cdba",), "cdab"),
    ],
)
def test_equations(text: str, ranks: tuple, terms: tuple, result: str) -> None:
    assert Equation.of(text, ranks) == Equation(terms, result)


@pytest.mark.parametrize(
    ("equation", "shape", "rank"),
    [
        ("bchw,oc->bohw", (5, 6), 4),
        ("bchw,cohw->bohw", (6, 5, 8, 8), 4),
        ("nchw,hwco->nohw", (8, 8, 6, 5), 4),
        ("...chw,cd->...dhw", (6, 5), 4),
    ],
)
def test_weights_read_channels_and_make_new_ones(equation: str, shape: tuple, rank: int) -> None:
    body = between(f'[e] b = Einsum <equation = "{equation}"> (a, w)')
    proto = tiny(body, w=shape, w1=(6, 3, 1, 1), w2=(3, 5, 1, 1))
    channels = analyse(proto)
    assert widths(channels) == {"c1": 6, "e": 5}
    roles = {(b.initializer, b.role) for b in channels.bindings}
    assert {("w", "read"), ("w", "write")} <= roles
    plan = keep(channels, c1=[0, 2, 5], e=[1, 4])
    assert worst_difference(proto, channels, plan) < 1e-5
    letters = equation.split(",")[1].split("->")[0]
    cut = {"c": 3, "o": 2, "d": 2}
    wanted = [cut.get(x, n) for x, n in zip(letters, shape, strict=True)]
    assert shape_of(slice_graph(proto, channels, plan), "w") == wanted


def test_a_query_is_a_channel_of_what_it_makes() -> None:
    """MaskFormer and its kin: queries times pixels."""
    body = between('[e] b = Einsum <equation = "bqc,bchw->bqhw"> (q, a)')
    proto = tiny(body, q=(1, 5, 6), w1=(6, 3, 1, 1), w2=(3, 5, 1, 1))
    channels = analyse(proto)
    assert widths(channels) == {"c1": 6, "e": 5}
    plan = keep(channels, c1=[1, 2], e=[0, 3])
    assert worst_difference(proto, channels, plan) < 1e-5
    assert shape_of(slice_graph(proto, channels, plan), "q") == [1, 2, 2]


@pytest.mark.parametrize(
    ("equation", "shape"),
    [("bchw,c->bchw", (6,)), ("bchw,chk->bckw", (6, 8, 8)), ("bchw,c->bcwh", (6,))],
)
def test_weights_that_scale_channels_follow_them(equation: str, shape: tuple) -> None:
    proto = tiny(between(f'b = Einsum <equation = "{equation}"> (a, w)'), w=shape, **WEIGHTS)
    channels = analyse(proto)
    assert widths(channels) == {"c1": 6}
    plan = keep(channels, c1=[1, 4])
    assert worst_difference(proto, channels, plan) < 1e-5
    assert shape_of(slice_graph(proto, channels, plan), "w") == [2, *shape[1:]]


@pytest.mark.parametrize("equation", ["bchw,hk->bckw", "bchw,wk->bchk", "bchw,hwij->bcij"])
def test_a_product_over_places_passes_channels(equation: str) -> None:
    sides = equation.split(",")[1].split("->")[0]
    shape = tuple(8 for _ in sides)
    proto = tiny(between(f'b = Einsum <equation = "{equation}"> (a, w)'), w=shape, **WEIGHTS)
    channels = analyse(proto)
    plan = keep(channels, c1=[1, 4])
    assert worst_difference(proto, channels, plan) < 1e-5
    assert shape_of(slice_graph(proto, channels, plan), "w") == list(shape)


ATTENTION = """
    [q] q = Conv(x, wq)
    [k] k = Conv(x, wk)
    [v] v = Conv(x, wv)
    qh = Reshape(q, heads)
    kh = Reshape(k, heads)
    vh = Reshape(v, heads)
    s = Einsum <equation = "bhdi,bhdj->bhij"> (qh, kh)
    p = Softmax(s)
    o = Einsum <equation = "bhij,bhdj->bhdi"> (p, vh)
    b = Reshape(o, back)
    [c2] y = Conv(b, w2)
"""


def test_attention_by_einsum() -> None:
    proto = tiny(
        ATTENTION,
        wq=(8, 3, 1, 1),
        wk=(8, 3, 1, 1),
        wv=(8, 3, 1, 1),
        heads=[1, 2, 4, 64],
        back=[1, 8, 8, 8],
        w2=(3, 8, 1, 1),
    )
    channels = analyse(proto)
    assert widths(channels) == {"q": 4, "v": 4}
    plan = keep(channels, q=[0, 3], v=[1, 2])
    assert worst_difference(proto, channels, plan) < 1e-5


@pytest.mark.parametrize(
    ("equation", "operands"),
    [
        ("bchw,bchw->bchw", "a, d"),
        ("bchw,bcij->bchw", "a, m"),
        ("bcij,bchw->bchw", "m, a"),
    ],
)
def test_channels_that_meet_element_by_element_are_one(equation: str, operands: str) -> None:
    body = f"""
        [c1] a = Conv(x, w1)
        [c3] d = Conv(x, w3)
        m = GlobalAveragePool(d)
        b = Einsum <equation = "{equation}"> ({operands})
        [c2] y = Conv(b, w2)
    """
    proto = tiny(body, w3=(6, 3, 1, 1), **WEIGHTS)
    channels = analyse(proto)
    assert widths(channels) == {"c1": 6}
    assert worst_difference(proto, channels, keep(channels, c1=[2, 3])) < 1e-5


def test_a_sum_of_channels_weighted_by_a_map_is_frozen() -> None:
    body = between('[e] e = Einsum <equation = "bchw,bhw->bhw"> (a, z)\n b = Mul(a, e)')
    proto = tiny(body, inputs="float[1,3,8,8] x, float[1,8,8] z", **WEIGHTS)
    assert reasons(analyse(proto))["c1"] == "Einsum e sums over channels"


def test_one_operand_moves_or_sums() -> None:
    middle = """
        t = Einsum <equation = "bchw->bhwc"> (a)
        s = Einsum <equation = "bhwc->bhw"> (t)
        u = Unsqueeze(s, one)
        b = Add(a, u)
    """
    proto = tiny(between(middle), one=[1], **WEIGHTS)
    channels = analyse(proto)
    assert widths(channels) == {"c1": 6}
    assert worst_difference(proto, channels, keep(channels, c1=[0, 5])) < 1e-5
