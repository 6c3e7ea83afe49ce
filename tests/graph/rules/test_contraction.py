"""Convolutions and matrix products: what is read, made, passed and refused."""

import pytest

from decig.graph.channels import analyse
from decig.graph.flow import attributes
from decig.graph.slicing import slice_graph
from tests.graph.tiny import keep, reasons, shape_of, tiny, widths, worst_difference


def test_a_convolution_reads_and_makes():
    proto = tiny(
        "[c1] a = Conv(x, w1, b1)\n [c2] y = Conv(a, w2)", w1=(6, 3, 1, 1), b1=(6,), w2=(3, 6, 1, 1)
    )
    channels = analyse(proto)
    roles = [(b.initializer, b.role) for b in channels.bindings]
    assert roles == [
        ("w1", "read"),
        ("w1", "write"),
        ("b1", "shift"),
        ("w2", "read"),
        ("w2", "write"),
    ]
    assert worst_difference(proto, channels, keep(channels, c1=[0, 5])) < 1e-5


def test_a_transposed_convolution_has_its_weights_the_other_way_round():
    proto = tiny(
        "[c1] a = ConvTranspose<strides=[2,2]>(x, w1)\n [c2] y = ConvTranspose(a, w2)",
        w1=(3, 6, 2, 2),
        w2=(6, 4, 1, 1),
    )
    channels = analyse(proto)
    sliced = slice_graph(proto, channels, keep(channels, c1=[0, 5]))
    assert shape_of(sliced, "w1") == [3, 2, 2, 2]
    assert shape_of(sliced, "w2") == [2, 4, 1, 1]


def test_a_learnt_map_is_cut_with_the_computed_weights_that_read_it():
    """StyleGAN: the first convolution reads a constant, its weights are scaled by a style."""
    proto = tiny(
        "[g] s = Gemm<transB=1>(x, w)\n r = Reshape(s, shape)\n m = Mul(w1, r)\n"
        "[c1] a = Conv<pads=[1,1,1,1]>(first, m)\n [c2] y = Conv(a, w2)",
        inputs="float[1,5] x",
        w=(4, 5),
        shape=[1, 4, 1, 1],
        first=(1, 4, 8, 8),
        w1=(6, 4, 3, 3),
        w2=(3, 6, 1, 1),
    )
    channels = analyse(proto)
    assert reasons(channels).keys() == {"c2"}
    group = next(g for g in channels.prunable if g.channels == 4)
    plan = keep(channels, **{group.name: [0, 3]})
    assert shape_of(slice_graph(proto, channels, plan), "first") == [1, 2, 8, 8]
    assert worst_difference(proto, channels, plan) < 1e-5


def test_a_depthwise_convolution_passes_channels_and_counts_its_groups():
    body = "[c1] a = Conv(x, w1)\n [d] b = Conv<group=4>(a, w2, b2)\n [c3] y = Conv(b, w3)"
    proto = tiny(body, w1=(4, 3, 1, 1), w2=(8, 1, 3, 3), b2=(8,), w3=(3, 8, 1, 1))
    channels = analyse(proto)
    assert widths(channels) == {"c1": 4}
    plan = keep(channels, c1=[1, 2, 3])
    sliced = slice_graph(proto, channels, plan)
    assert attributes(sliced.graph.node[1])["group"] == 3
    assert shape_of(sliced, "w2") == [6, 1, 3, 3]
    assert shape_of(sliced, "b2") == [6]
    assert shape_of(sliced, "w3") == [3, 6, 1, 1]
    assert worst_difference(proto, channels, plan) < 1e-5


def test_a_depthwise_transposed_convolution_has_input_channels_first():
    body = "[c1] a = Conv(x, w1)\n [d] b = ConvTranspose<group=4>(a, w2)\n [c3] y = Conv(b, w3)"
    proto = tiny(body, w1=(4, 3, 1, 1), w2=(4, 2, 3, 3), w3=(3, 8, 1, 1))
    channels = analyse(proto)
    plan = keep(channels, c1=[0, 3])
    sliced = slice_graph(proto, channels, plan)
    assert shape_of(sliced, "w2") == [2, 2, 3, 3]
    assert attributes(sliced.graph.node[1])["group"] == 2
    assert worst_difference(proto, channels, plan) < 1e-5


def test_a_depthwise_stem_on_the_image_stays():
    body = "[d] a = Conv<group=3>(x, w1)\n [c2] b = Conv(a, w2)\n [c3] y = Conv(b, w3)"
    proto = tiny(body, w1=(6, 1, 3, 3), w2=(5, 6, 1, 1), w3=(3, 5, 1, 1))
    channels = analyse(proto)
    assert widths(channels) == {"c2": 5}
    sliced = slice_graph(proto, channels, keep(channels, c2=[0]))
    assert attributes(sliced.graph.node[0])["group"] == 3


@pytest.mark.parametrize("kind", ["Conv", "ConvTranspose"])
def test_the_groups_of_a_grouped_convolution_stay_equal(kind: str):
    middle = (6, 4, 3, 3) if kind == "Conv" else (8, 3, 3, 3)
    body = f"[c1] a = Conv(x, w1)\n [g] b = {kind}<group=2>(a, w2)\n [c3] y = Conv(b, w3)"
    proto = tiny(body, w1=(8, 3, 1, 1), w2=middle, w3=(3, 6, 1, 1))
    channels = analyse(proto)
    assert widths(channels) == {"c1": 4, "g": 3}
    plan = keep(channels, c1=[0, 2, 3], g=[1])
    sliced = slice_graph(proto, channels, plan)
    assert shape_of(sliced, "w1") == [6, 3, 1, 1]
    assert shape_of(sliced, "w2") == ([2, 3, 3, 3] if kind == "Conv" else [6, 1, 3, 3])
    assert attributes(sliced.graph.node[1])["group"] == 2
    assert worst_difference(proto, channels, plan) < 1e-5


@pytest.mark.parametrize(("attribute", "shape"), [("", (6, 4)), ("<transB=1>", (4, 6))])
def test_gemm(attribute: str, shape: tuple):
    axis = shape.index(4)
    body = f"[g1] a = Gemm{attribute}(x, w1, b1)\n [g2] y = Gemm(a, w2)"
    proto = tiny(
        body,
        inputs="float[5,6] x",
        outputs="float[M,N] y",
        w1=shape,
        b1=(4,),
        w2=(4, 3),
    )
    channels = analyse(proto)
    assert widths(channels) == {"g1": 4}
    plan = keep(channels, g1=[3])
    sliced = slice_graph(proto, channels, plan)
    assert shape_of(sliced, "w1")[axis] == 1
    assert shape_of(sliced, "b1") == [1]
    assert worst_difference(proto, channels, plan) < 1e-5


def test_gemm_with_a_scalar_bias_or_a_bias_a_row():
    body = "[g1] a = Gemm(x, w1, one)\n [g2] b = Gemm(a, w2, rows)\n [g3] y = Gemm(b, w3)"
    proto = tiny(
        body,
        inputs="float[5,6] x",
        outputs="float[M,N] y",
        w1=(6, 4),
        one=(1,),
        w2=(4, 3),
        rows=(5, 3),
        w3=(3, 2),
    )
    channels = analyse(proto)
    plan = keep(channels, g1=[1, 2], g2=[0, 2])
    assert shape_of(slice_graph(proto, channels, plan), "rows") == [5, 2]
    assert worst_difference(proto, channels, plan) < 1e-5


def test_gemm_of_a_transposed_operand_is_refused():
    body = "[g1] a = Gemm(x, w1)\n [g2] y = Gemm<transA=1>(a, w2)"
    proto = tiny(body, inputs="float[5,6] x", outputs="float[M,N] y", w1=(6, 4), w2=(5, 3))
    assert reasons(analyse(proto))["g1"] == "Gemm g2 has a computed or transposed operand"


def test_matmul_reads_the_last_axis_or_from_the_left_the_one_before():
    body = """
        [m1] a = MatMul(x, w1)
        [m2] b = MatMul(a, w2)
        t = Transpose<perm=[0,2,1]>(b)
        [m3] c = MatMul(w3, t)
        [m4] y = MatMul(w4, c)
    """
    proto = tiny(
        body,
        inputs="float[1,5,6] x",
        outputs="float[B,M,N] y",
        w1=(6, 4),
        w2=(4, 7),
        w3=(3, 7),
        w4=(2, 3),
    )
    channels = analyse(proto)
    assert widths(channels) == {"m1": 4, "m2": 7, "m3": 3}
    plan = keep(channels, m1=[0, 2], m2=[6], m3=[1, 2])
    assert worst_difference(proto, channels, plan) < 1e-5


def test_matmul_over_positions_passes_channels():
    body = "[c1] a = Conv(x, w1)\n [m] b = MatMul(a, places)\n [c2] y = Conv(b, w2)"
    proto = tiny(body, w1=(6, 3, 1, 1), places=(8, 5), w2=(3, 6, 1, 1))
    channels = analyse(proto)
    assert widths(channels) == {"c1": 6}
    assert worst_difference(proto, channels, keep(channels, c1=[2, 3])) < 1e-5


@pytest.mark.parametrize("stack", [(1,), (2,), (1, 2), (3, 1)])
def test_all_matrices_of_a_stack_lose_the_same_channels(stack: tuple[int, ...]):
    body = "[m1] a = MatMul(x, w1)\n [m2] b = MatMul(a, w2)\n [m3] y = MatMul(b, w3)"
    proto = tiny(
        body,
        inputs="float[2,5,6] x",
        outputs=f"float[{'A,' * (len(stack) - 1)}B,M,N] y",
        w1=(6, 4),
        w2=(*stack, 4, 3),
        w3=(3, 2),
    )
    channels = analyse(proto)
    assert widths(channels) == {"m1": 4, "m2": 3}
    plan = keep(channels, m1=[0, 3], m2=[2])
    assert worst_difference(proto, channels, plan) < 1e-5
    assert shape_of(slice_graph(proto, channels, plan), "w2") == [*stack, 2, 1]


def test_a_matrix_per_head_and_a_matrix_per_channel():
    """Between places, from the left: heads of three channels stay whole, single ones do not."""
    for heads, found in ([1, 2, 3, 64, 1], {"c1": 3}), ([1, 6, 1, 64, 1], {"c1": 6}):
        middle = "h = Reshape(a, heads)\n m = MatMul(w, h)\n b = Reshape(m, back)"
        proto = tiny(
            f"[c1] a = Conv(x, w1)\n {middle}\n [c2] y = Conv(b, w2)",
            heads=heads,
            back=[1, 6, 8, 8],
            w=(heads[1], 1, 64, 64),
            w1=(6, 3, 1, 1),
            w2=(3, 6, 1, 1),
        )
        channels = analyse(proto)
        assert widths(channels) == found
        plan = keep(channels, c1=[0, 2])
        assert worst_difference(proto, channels, plan) < 1e-5
        left = 2 if heads[1] == 6 else heads[1]
        assert shape_of(slice_graph(proto, channels, plan), "w")[0] == left


ATTENTION = """
    [q] qc = Conv(x, wq)
    [k] kc = Conv(x, wk)
    [v] vc = Conv(x, wv)
    qr = Reshape(qc, few)
    kr = Reshape(kc, few)
    vr = Reshape(vc, many)
    qt = Transpose<perm=[0,2,1]>(qr)
    scores = MatMul(qt, kr)
    focus = Softmax<axis=2>(scores)
    back = Transpose<perm=[0,2,1]>(focus)
    mixed = MatMul(vr, back)
    image = Reshape(mixed, shape)
    [out] y = Conv(image, wo)
"""


def test_attention_unites_queries_with_keys_and_passes_values():
    proto = tiny(
        ATTENTION,
        wq=(4, 3, 1, 1),
        wk=(4, 3, 1, 1),
        wv=(6, 3, 1, 1),
        few=[1, 4, 64],
        many=[1, 6, -1],
        shape=[1, 6, 8, 8],
        wo=(3, 6, 1, 1),
    )
    channels = analyse(proto)
    assert widths(channels) == {"q": 4, "v": 6}
    assert channels.group("q").nodes == ["q", "k"]
    assert worst_difference(proto, channels, keep(channels, q=[1, 3], v=[0, 4, 5])) < 1e-5


def test_heads_stay_equal():
    body = """
        [q] qm = MatMul(x, wq)
        [k] km = MatMul(x, wk)
        qr = Reshape(qm, heads)
        kr = Reshape(km, heads)
        qt = Transpose<perm=[0,2,1,3]>(qr)
        kt = Transpose<perm=[0,2,3,1]>(kr)
        y = MatMul(qt, kt)
    """
    proto = tiny(body, inputs="float[1,5,6] x", wq=(6, 8), wk=(6, 8), heads=[1, 5, 2, 4])
    channels = analyse(proto)
    assert widths(channels) == {"q": 4}, "places inside a head, the same in both heads"
    assert worst_difference(proto, channels, keep(channels, q=[0, 2])) < 1e-5


def test_products_within_each_channel_keep_channels():
    body = "[c1] a = Conv(x, w1)\n [c2] b = Conv(x, w2)\n m = MatMul(a, b)\n [c3] y = Conv(m, w3)"
    proto = tiny(body, w1=(6, 3, 1, 1), w2=(6, 3, 1, 1), w3=(3, 6, 1, 1))
    channels = analyse(proto)
    assert widths(channels) == {"c1": 6}
    assert worst_difference(proto, channels, keep(channels, c1=[2, 5])) < 1e-5


def test_a_map_as_deep_as_the_channels_is_refused():
    """[1, C, H, W] times a computed [1, C, W, W] that has no channels of its own."""
    body = """
        [c1] a = Conv(x, w1)
        m = ReduceMean<axes=[1]>(a)
        e = Expand(m, shape)
        [m] b = MatMul(a, e)
        [c2] y = Conv(b, w2)
    """
    proto = tiny(body, w1=(6, 3, 1, 1), shape=[1, 6, 8, 8], w2=(3, 6, 1, 1))
    assert reasons(analyse(proto))["c1"] == "MatMul m joins channels with a computed tensor"


def test_what_has_no_channels_is_read_as_fixed():
    """The mean over channels, one number a place, through matrices."""
    body = """
        [c1] a = Conv(x, w1)
        m = ReduceMean<axes=[1], keepdims=0>(a)
        r = Reshape(m, row)
        [g] b = Gemm(r, w2)
        [m1] c = MatMul(b, w3)
        [m2] y = MatMul(c, w4)
    """
    proto = tiny(
        body,
        outputs="float[M,N] y",
        w1=(6, 3, 1, 1),
        row=[1, 64],
        w2=(64, 5),
        w3=(5, 4),
        w4=(4, 2),
    )
    channels = analyse(proto)
    assert widths(channels) == {"c1": 6, "g": 5, "m1": 4}
    assert worst_difference(proto, channels, keep(channels, g=[0, 3], m1=[2])) < 1e-5


def test_the_fused_operators_of_onnx_runtime():
    body = """
        [c1] a = com.microsoft.FusedConv<activation="Relu">(x, w1, b1)
        [c2] b = com.microsoft.FusedConv(a, w2, b2, a)
        t = Transpose<perm=[0,2,3,1]>(b)
        [m] u = com.microsoft.FusedMatMul<alpha=0.5>(t, wm)
        v = Transpose<perm=[0,3,1,2]>(u)
        [c3] y = Conv(v, w3)
    """
    proto = tiny(
        body,
        w1=(6, 3, 1, 1),
        b1=(6,),
        w2=(6, 6, 1, 1),
        b2=(6,),
        wm=(6, 5),
        w3=(3, 5, 1, 1),
    )
    channels = analyse(proto)
    assert widths(channels) == {"c1": 6, "m": 5}
    plan = keep(channels, c1=[0, 4], m=[1, 2, 3])
    assert worst_difference(proto, channels, plan) < 1e-5
